// SPDX-License-Identifier: Apache-2.0
//
// Loads the CUDA plugin by its path and keeps one table of kernels per type of
// device.
#include "trainer/Device.h"

#include "runtime/support/Error.h"
#include "trainer/cuda/Plugin.h"

#include <array>
#include <cstdlib>
#include <filesystem>

#include <dlfcn.h>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

constexpr const char *kPluginName = "libfairy2_cuda.so";
/// Names another plugin than the one beside the program.
constexpr const char *kPluginVariable = "FAIRY2_CUDA_PLUGIN";

std::array<const DeviceKernels *, at::COMPILE_TIME_MAX_DEVICE_TYPES> &table() {
  static std::array<const DeviceKernels *, at::COMPILE_TIME_MAX_DEVICE_TYPES>
      kernels{};
  return kernels;
}

[[noreturn]] void fail(const std::string &what) {
  throw Error("train.device: cuda: " + what);
}

fs::path pluginPath() {
  if (const char *named = std::getenv(kPluginVariable))
    return named;
  return fs::read_symlink("/proc/self/exe").parent_path() / kPluginName;
}

const CudaPlugin *loadPlugin() {
  const fs::path path = pluginPath();
  if (!fs::exists(path))
    fail(path.string() + " does not exist: the program was built without nvcc");
  // ATen's operators register themselves, for the whole process.
  void *library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library)
    fail(
        "cannot load " + path.string() + ": " + ::dlerror() +
        " (tools/setup-libtorch.sh --cuda installs LibTorch's CUDA libraries)");
  const auto get =
      reinterpret_cast<GetCudaPlugin>(::dlsym(library, kCudaPluginSymbol));
  if (!get || get()->version != CudaPlugin::kVersion)
    fail(path.string() + " is of another version than the program");
  return get();
}

} // namespace

const CudaPlugin &cudaPlugin() {
  static const CudaPlugin *plugin = loadPlugin();
  return *plugin;
}

at::Device openDevice(const std::string &name, int64_t localRank) {
  if (name == "cpu")
    return at::kCPU;
  const CudaPlugin &plugin = cudaPlugin();
  const int count = plugin.deviceCount();
  if (count == 0)
    fail("this machine has no NVIDIA GPU with a driver that works");
  if (localRank >= count)
    fail("process " + std::to_string(localRank) +
         " of this machine finds only " + std::to_string(count) +
         (count == 1 ? " GPU" : " GPUs"));
  plugin.setDevice(int(localRank));
  setDeviceKernels(at::kCUDA, plugin.kernels);
  return {at::kCUDA, at::DeviceIndex(localRank)};
}

const DeviceKernels *deviceKernels(at::DeviceType type) {
  return table()[size_t(type)];
}

void setDeviceKernels(at::DeviceType type, const DeviceKernels *kernels) {
  table()[size_t(type)] = kernels;
}

} // namespace fairy2::trainer
