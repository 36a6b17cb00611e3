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

void roundTo(DType type, const at::Tensor &tensor) {
  std::vector<uint8_t> stored(size_t(tensor.numel() * byteWidth(type)));
  auto *values = static_cast<float *>(tensor.data_ptr());
  fromFloats(type, values, tensor.numel(), stored.data());
  toFloats(type, stored.data(), tensor.numel(), values);
}

void writeSafetensors(const fs::path &file,
                      const std::vector<NamedShape> &tensors,
                      const std::function<at::Tensor(size_t)> &valuesOf,
                      DType type) {
  std::vector<SafetensorsEntry> entries;
  int64_t offset = 0;
  for (const NamedShape &tensor : tensors) {
    int64_t bytes = byteWidth(type);
    for (const int64_t extent : tensor.shape)
      bytes *= extent;
    entries.push_back(
        {tensor.name, nameOf(type), tensor.shape, offset, offset + bytes});
    offset += bytes;
  }
  OutputFile out(file);
  out.append(bytesOf(formatSafetensorsHeader(entries)));
  std::vector<uint8_t> stored;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor values = valuesOf(i).contiguous();
    stored.resize(size_t(entries[i].end - entries[i].begin));
    fromFloats(type, floatsOf(values), values.numel(), stored.data());
    out.append(stored);
  }
  out.commit();
}

void writeCheckpoint(const Model &model, const LatentOf &latentOf,
                     const Numerics &numerics, DType type,
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
  std::vector<NamedShape> tensors;
  for (const Parameter &parameter : model.parameters())
    tensors.push_back({parameter.name, parameter.shape});
  writeSafetensors(
      folder / "model.safetensors", tensors,
      [&](size_t i) {
        const at::Tensor latent = latentOf(i);
        return storesLatents ? latent : model.effective(i, latent, numerics);
      },
      type);
}

} // namespace fairy2
