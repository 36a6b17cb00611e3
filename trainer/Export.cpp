// SPDX-License-Identifier: Apache-2.0
#include "trainer/Export.h"

#include "dialect/Error.h"
#include "frontend/Json.h"
#include "frontend/Safetensors.h"
#include "runtime/File.h"

#include "trainer/TensorData.h"

#include <torch/csrc/autograd/grad_mode.h>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

constexpr const char *kCopied[] = {
    "tokenizer.json",         "tokenizer.model",
    "tokenizer_config.json",  "special_tokens_map.json",
    "generation_config.json", "chat_template.jinja",
};

std::span<const uint8_t> bytesOf(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

const char *torchName(DType type) {
  switch (type) {
  case DType::F32:
    return "float32";
  case DType::F16:
    return "float16";
  case DType::BF16:
    return "bfloat16";
  }
  return "";
}

void writeConfig(const fs::path &from, const fs::path &to, DType type) {
  nlohmann::json config = readJson(from);
  config["torch_dtype"] = torchName(type);
  OutputFile out(to);
  out.append(bytesOf(config.dump(2) + "\n"));
  out.commit();
}

} // namespace

void roundLatents(Model &model, DType type) {
  std::vector<uint8_t> stored;
  for (Parameter &parameter : model.parameters()) {
    const int64_t count = parameter.latent.numel();
    auto *values = static_cast<float *>(parameter.latent.data_ptr());
    stored.resize(size_t(count * byteWidth(type)));
    fromFloats(type, values, count, stored.data());
    toFloats(type, stored.data(), count, values);
  }
}

void writeSafetensors(
    const fs::path &file,
    const std::vector<std::pair<std::string, at::Tensor>> &tensors,
    DType type) {
  std::vector<SafetensorsEntry> entries;
  int64_t offset = 0;
  for (const auto &[name, tensor] : tensors) {
    const int64_t bytes = tensor.numel() * byteWidth(type);
    entries.push_back(
        {name, nameOf(type), tensor.sizes().vec(), offset, offset + bytes});
    offset += bytes;
  }
  OutputFile out(file);
  out.append(bytesOf(formatSafetensorsHeader(entries)));
  std::vector<uint8_t> stored;
  for (const auto &[name, tensor] : tensors) {
    stored.resize(size_t(tensor.numel() * byteWidth(type)));
    fromFloats(type, floatsOf(tensor), tensor.numel(), stored.data());
    out.append(stored);
  }
  out.commit();
}

void writeCheckpoint(const Model &model, const Numerics &numerics, DType type,
                     const fs::path &source, const fs::path &folder) {
  const at::NoGradGuard noGradients;
  fs::create_directories(folder);
  for (const char *name : kCopied)
    if (fs::exists(source / name) &&
        !(fs::exists(folder / name) &&
          fs::equivalent(source / name, folder / name)))
      fs::copy_file(source / name, folder / name,
                    fs::copy_options::overwrite_existing);
  writeConfig(source / "config.json", folder / "config.json", type);
  const bool storesLatents =
      !numerics.method || !numerics.method->compilerMethod().empty();
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Parameter &parameter : model.parameters()) {
    at::Tensor value = parameter.latent;
    if (!storesLatents && Model::isQuantized(parameter, numerics.method))
      value = quantizeStraightThrough(value, *numerics.method, parameter.name);
    tensors.emplace_back(parameter.name, value);
  }
  writeSafetensors(folder / "model.safetensors", tensors, type);
}

} // namespace fairy2
