// SPDX-License-Identifier: Apache-2.0
//
// config.json, tokenizer and weights, which are float, or phases for the
// compiler.
#include "trainer/model/Export.h"

#include "frontend/PackedCheckpoint.h"
#include "frontend/Safetensors.h"
#include "frontend/TokenizerFolder.h"
#include "frontend/TrainedSchemeFile.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "trainer/TensorData.h"
#include "trainer/run/Folders.h"
#include "trainer/run/Sha256.h"

#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>
#include <map>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

/// What is copied with the tokenizer.
constexpr const char *kBesideTokenizer[] = {"generation_config.json",
                                            "chat_template.jinja"};

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

/// Of values in the order of the shape.
std::vector<uint8_t> storedBytes(const at::Tensor &tensor, DType type) {
  const at::Tensor values = tensor.cpu().contiguous();
  std::vector<uint8_t> bytes(size_t(values.numel() * byteWidth(type)));
  fromFloats(type, floatsOf(values), values.numel(), bytes.data());
  return bytes;
}

/// Whether a layer multiplies with the quantized form of this parameter and
/// nothing needs its latent. A head that is the embedding needs it.
bool isQuantizedAtRest(const Model &model, size_t index,
                       const Numerics &numerics) {
  const Parameter &parameter = model.parameters()[index];
  if (Model::isQuantized(parameter, numerics.method))
    return true;
  return index == model.headParameter() && numerics.method &&
         numerics.quantizeHead && !model.config().tieWordEmbeddings &&
         numerics.method->accepts(parameter.shape[0], parameter.shape[1]);
}

/// The files that go with the weights from `source`, by name.
std::map<std::string, fs::path> copiedFiles(const ModelFolder &source) {
  std::map<std::string, fs::path> files;
  const auto add = [&](const char *name) {
    if (source.has(name))
      files[name] = source.file(name);
  };
  std::for_each(std::begin(kTokenizerFiles), std::end(kTokenizerFiles), add);
  std::for_each(std::begin(kBesideTokenizer), std::end(kBesideTokenizer), add);
  return files;
}

/// What fairy2-compile makes of the export where nobody asks for anything else.
std::optional<TrainedScheme> trainedScheme(ExportForm form,
                                           const Numerics &numerics) {
  const Method *method = numerics.method;
  if (!method)
    return std::nullopt;
  if (form == ExportForm::Dense)
    return TrainedScheme{.quantizesActivations = false};
  return TrainedScheme{method->phaseScheme(), method->signScheme(),
                       numerics.quantizeActivations, numerics.quantizeHead};
}

void writeConfig(const fs::path &from, const fs::path &to, DType type,
                 bool isTied, const std::optional<TrainedScheme> &trained) {
  nlohmann::json config = readJson(from);
  // The model's weights decided, whatever the file said.
  config["tie_word_embeddings"] = isTied;
  // The name that it has there: transformers 5 writes dtype. One alone, or they
  // may say different things.
  const char *field = config.contains("dtype") ? "dtype" : "torch_dtype";
  config.erase("torch_dtype");
  config[field] = torchName(type);
  config.erase(kTrainedField); // of the model that training began with
  if (trained)
    config[kTrainedField] = toJson(*trained);
  writeTextFile(to, config.dump(2) + "\n");
}

constexpr const char *kWeightsFile = "model.safetensors";

/// All that stands beside the weights.
void writeFilesBeside(const Model &model, DType type,
                      const std::optional<TrainedScheme> &trained,
                      const ModelFolder &source, const fs::path &folder) {
  makeFolder(folder);
  for (const auto &[name, file] : copiedFiles(source))
    copyFile(file, folder / name);
  writeConfig(source.file("config.json"), folder / "config.json", type,
              model.config().tieWordEmbeddings, trained);
}

} // namespace

void roundTo(DType type, const at::Tensor &tensor) {
  std::vector<uint8_t> stored(size_t(tensor.numel() * byteWidth(type)));
  const at::Tensor host = tensor.cpu(); // itself, where it is there
  auto *values = static_cast<float *>(host.data_ptr());
  fromFloats(type, values, tensor.numel(), stored.data());
  toFloats(type, stored.data(), tensor.numel(), values);
  if (!tensor.is_cpu())
    tensor.copy_(host);
}

std::string writeSafetensors(const fs::path &file,
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
  Sha256 hash;
  const auto append = [&](std::span<const uint8_t> bytes) {
    hash.add(bytes);
    out.append(bytes);
  };
  append(bytesOf(formatSafetensorsHeader(entries)));
  for (size_t i = 0; i < tensors.size(); ++i)
    append(storedBytes(valuesOf(i), type));
  out.commit();
  return hash.finish();
}

const char *nameOf(ExportForm form) {
  switch (form) {
  case ExportForm::Latents:
    return "latents";
  case ExportForm::Dense:
    return "dense";
  case ExportForm::Packed:
    return "packed";
  }
  return "";
}

ExportForm exportFormOf(const std::string &name, const Numerics &numerics,
                        const HFConfig &config) {
  const Method *method = numerics.method;
  if (name == "packed") {
    if (!method || !method->phaseScheme())
      throw Error(
          "export.form: expected packed with a method of complex phases "
          "alone");
    return ExportForm::Packed;
  }
  if (name != "dense")
    return ExportForm::Latents;
  if (method && numerics.quantizeHead && config.tieWordEmbeddings)
    throw Error("skip_lm_head: expected true for an export with dense "
                "quantized weights where the head is the embedding");
  return ExportForm::Dense;
}

std::string compilerOptions(ExportForm form, const Numerics &numerics) {
  const Method *method = numerics.method;
  if (!method || form == ExportForm::Dense)
    return "--method=none";
  std::string options =
      form == ExportForm::Latents ? method->compilerOptions() : "";
  const auto add = [&](const char *option) {
    options += (options.empty() ? "" : " ") + std::string(option);
  };
  if (!numerics.quantizeActivations)
    add("--activations=float");
  if (numerics.quantizeHead)
    add("--lm-head=quantize");
  return options;
}

void requireCopyable(const ModelFolder &source) { copiedFiles(source); }

std::vector<std::string> exportedFiles() {
  std::vector<std::string> names = {"config.json", kWeightsFile};
  names.insert(names.end(), std::begin(kTokenizerFiles),
               std::end(kTokenizerFiles));
  names.insert(names.end(), std::begin(kBesideTokenizer),
               std::end(kBesideTokenizer));
  return names;
}

void writePhases(const Model &model, const PhasesOfModel &phases,
                 const LatentOf &latentOf, DType type,
                 const ModelFolder &source, const fs::path &folder) {
  writeFilesBeside(model, type, TrainedScheme{.phases = phases.scheme}, source,
                   folder);
  std::vector<PackedItem> items;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter &parameter = model.parameters()[i];
    items.push_back({parameter.name, parameter.shape, phases.stages[i] > 0,
                     type, phases.stages[i]});
  }
  writePackedCheckpoint(
      folder / kWeightsFile, phases.scheme, items, phases.phasesOf,
      [&](size_t i) { return storedBytes(latentOf(i), type); });
}

void writeCheckpoint(const Model &model, const LatentOf &latentOf,
                     const Numerics &numerics, ExportForm form, DType type,
                     const ModelFolder &source, const fs::path &folder) {
  const at::NoGradGuard noGradients;
  writeFilesBeside(model, type, trainedScheme(form, numerics), source, folder);
  const fs::path file = folder / kWeightsFile;
  std::vector<PackedItem> items;
  std::vector<NamedShape> tensors;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter &parameter = model.parameters()[i];
    items.push_back({parameter.name, parameter.shape,
                     isQuantizedAtRest(model, i, numerics), type});
    tensors.push_back({parameter.name, parameter.shape});
  }
  const Method *method = numerics.method;
  if (form == ExportForm::Packed) {
    writePackedCheckpoint(
        file, *method->phaseScheme(), items,
        [&](size_t i) {
          const at::Tensor latent = latentOf(i).cpu().contiguous();
          return method->phases(floatsOf(latent), latent.size(0),
                                latent.size(1), items[i].name);
        },
        [&](size_t i) { return storedBytes(latentOf(i), type); });
    return;
  }
  writeSafetensors(
      file, tensors,
      [&](size_t i) {
        const at::Tensor latent = latentOf(i);
        return form == ExportForm::Dense && items[i].isQuantized
                   ? quantizedWeight(latent.contiguous(), *method,
                                     items[i].name)
                   : latent;
      },
      type);
}

} // namespace fairy2::trainer
