// SPDX-License-Identifier: Apache-2.0
//
// The one list of a decoder's parameters: their names in a checkpoint, shapes
// and roles, and which of them each step of a layer uses. The importer, the
// maker of random checkpoints and the trainer read it. Plain C++.
#pragma once

#include "frontend/HFConfig.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

/// What a parameter is to the model. A matrix is a layer's, which few bits may
/// stand for.
enum class ParameterRole { Norm, Matrix, Embedding, Head, Bias };

/// What the places along a dimension are; models of one architecture differ in
/// how many there are.
enum class Axis { Vocabulary, Hidden, Queries, Keys, Units, HeadFeatures };

/// How many places an axis has.
int64_t extentOf(Axis axis, const HFConfig &config);

struct DecoderParameter {
  std::string name; ///< as transformers stores it, "model.norm.weight"
  ParameterRole role;
  int64_t layer; ///< -1: of none
  /// Of the first dimension; fused projections have several, one after the
  /// other.
  std::vector<Axis> rows;
  std::optional<Axis> columns; ///< of the second, if there is one
  std::vector<int64_t> shape;

  int64_t count() const;
  /// Whether it writes into the residual stream.
  bool endsBranch() const {
    return role == ParameterRole::Matrix && rows[0] == Axis::Hidden;
  }
};

/// Indices of a linear map's parameters.
struct PlannedLinear {
  size_t weight = 0;
  std::optional<size_t> bias;
};

/// Indices of a layer's parameters. Norms may be missing.
struct PlannedLayer {
  std::optional<size_t> beforeAttention, afterAttention;
  /// Queries, keys and values, or one for all.
  std::vector<PlannedLinear> attentionInputs;
  std::optional<size_t> queryNorm, keyNorm;
  PlannedLinear attentionOutput;
  std::optional<size_t> beforeMlp, afterMlp;
  /// Gate and up, or one for both.
  std::vector<PlannedLinear> mlpInputs;
  PlannedLinear mlpOutput;
};

struct DecoderPlan {
  explicit DecoderPlan(const HFConfig &config);

  /// In the order of their use. A tied head is the embedding.
  std::vector<DecoderParameter> parameters;
  std::vector<PlannedLayer> layers;
  size_t embedding = 0, finalNorm = 0, head = 0;
};

/// The embedding's name, and the head's where it is a parameter of its own.
inline constexpr char kTableName[] = "model.embed_tokens.weight";
inline constexpr char kHeadName[] = "lm_head.weight";
/// Whether `name` is a buffer that old checkpoints carry; config.json says the
/// same.
bool isRotaryBuffer(const std::string &name);

} // namespace fairy2
