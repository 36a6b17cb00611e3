// SPDX-License-Identifier: Apache-2.0
//
// A model as a Hugging Face checkpoint that fairy2-compile and transformers
// read.
#pragma once

#include "frontend/DType.h"
#include "trainer/model/Model.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace fairy2::trainer {

/// Rounds all values to `type` in place, so that what is measured afterwards is
/// what writeCheckpoint() stores.
void roundTo(DType type, const at::Tensor &tensor);

/// All of the latent of parameter `index`.
using LatentOf = std::function<at::Tensor(size_t index)>;

/// What an export holds for each matrix that the method quantizes.
enum class ExportForm {
  Latents, ///< the values that training updates; fairy2-compile quantizes them
  Dense,   ///< the quantized values, for programs that know no quantization
  Packed,  ///< codes and scales, frontend/PackedCheckpoint.h
};

/// "latents", "dense" or "packed".
const char *nameOf(ExportForm form);

/// The form called latents, dense or packed for a model of that config. Throws
/// Error when `numerics` cannot be stored so.
ExportForm exportFormOf(const std::string &name, const Numerics &numerics,
                        const HFConfig &config);

/// The options with which fairy2-compile makes of such an export the model that
/// was trained.
std::string compilerOptions(ExportForm form, const Numerics &numerics);

/// Writes model.safetensors and config.json to `folder`, and copies tokenizer
/// and generation files from `source`, the folder of the model's config. Asks
/// for each latent once, in order. What is not quantized has elements of
/// `type`. model.safetensors appears last and in one step. Throws Error.
void writeCheckpoint(const Model &model, const LatentOf &latentOf,
                     const Numerics &numerics, ExportForm form, DType type,
                     const ModelFolder &source,
                     const std::filesystem::path &folder);

/// The quantized matrices of a packed export whose phases are there already.
struct PhasesOfModel {
  PhaseScheme scheme;
  /// By parameter: its stages, or 0 where it has no phases.
  std::vector<int> stages;
  /// By the parameter's index; asked for once, in order, where there are.
  std::function<PhaseMatrix(size_t index)> phasesOf;
};

/// The same of such phases, for int8 activations; all else is latents.
void writePhases(const Model &model, const PhasesOfModel &phases,
                 const LatentOf &latentOf, DType type,
                 const ModelFolder &source,
                 const std::filesystem::path &folder);

/// Throws the Error now with which writeCheckpoint() would refuse to copy a
/// file of `source`.
void requireCopyable(const ModelFolder &source);

/// The names of all files that writeCheckpoint() may write.
std::vector<std::string> exportedFiles();

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};

/// Writes tensors of float32 values to a safetensors file of elements `type`
/// that appears in one step; holds one tensor at a time. Returns the SHA-256 of
/// the file, in hexadecimal.
std::string writeSafetensors(const std::filesystem::path &file,
                             const std::vector<NamedShape> &tensors,
                             const std::function<at::Tensor(size_t)> &valuesOf,
                             DType type);

} // namespace fairy2::trainer
