// SPDX-License-Identifier: Apache-2.0
//
// The side of the plugin that knows LibTorch: streams, devices and NCCL.
#include "trainer/cuda/Plugin.h"

#include "trainer/cuda/Kernels.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace fairy2 {
namespace {

/// A call of Kernels.h on the current stream.
template <auto start, typename Call> void run(const Call &call) {
  C10_CUDA_CHECK(static_cast<cudaError_t>(
      start(&call, c10::cuda::getCurrentCUDAStream().stream())));
}

constexpr DeviceKernels kKernels = {
    run<fairy2CudaNorm, NormCall>,
    run<fairy2CudaNormBackward, NormBackwardCall>,
    run<fairy2CudaGated, GatedCall>,
    run<fairy2CudaGatedBackward, GatedBackwardCall>,
    run<fairy2CudaFakeQuantize, FakeQuantizeCall>,
    run<fairy2CudaRotate, RotateCall>,
    run<fairy2CudaCrossEntropy, CrossEntropyCall>,
    run<fairy2CudaDistill, DistillCall>,
    run<fairy2CudaSumOfSquares, SumOfSquaresCall>,
    run<fairy2CudaQuantizePhases, PhaseCall>,
};

c10::intrusive_ptr<c10d::Backend>
makeNccl(const c10::intrusive_ptr<c10d::Store> &store, int rank, int size,
         std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size,
                                                     options);
}

constexpr CudaPlugin kPlugin = {
    CudaPlugin::kVersion,
    [] { return int(c10::cuda::device_count()); },
    [](int device) { c10::cuda::set_device(c10::DeviceIndex(device)); },
    &kKernels,
    makeNccl,
};

} // namespace
} // namespace fairy2

extern "C" __attribute__((visibility("default"))) const fairy2::CudaPlugin *
fairy2CudaPlugin() {
  return &fairy2::kPlugin;
}
