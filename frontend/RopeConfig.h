// SPDX-License-Identifier: Apache-2.0
//
// Rotary position embedding as config.json describes it, in the spelling of
// rope_scaling and rope_theta or in that of rope_parameters. Plain C++.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

class JsonObject;

/// A rotary embedding, after its scaling has been validated.
struct RopeConfig {
  /// Dynamic (NTK by sequence length) changes nothing within
  /// max_position_embeddings, where our contexts end.
  enum class Scaling { None, Linear, Dynamic, Llama3, Yarn, LongRope };
  double theta = 10000;
  Scaling scaling = Scaling::None;
  double factor = 1;                ///< linear, llama3, yarn
  double lowFrequencyFactor = 1;    ///< llama3 only
  double highFrequencyFactor = 4;   ///< llama3 only
  int64_t originalMaxPositions = 0; ///< llama3, yarn, longrope
  double betaFast = 32;             ///< yarn only
  double betaSlow = 1;              ///< yarn only
  bool truncatesRange = true;       ///< yarn only
  /// longrope only, one divisor per frequency: up to originalMaxPositions, and
  /// for longer contexts.
  std::vector<float> shortFactors = {}, longFactors = {};
  double magnitude = 1; ///< of cosines and sines; yarn and longrope
  /// Of a head's features, so many from the first are turned (Phi-3).
  double partialFactor = 1;

  bool operator==(const RopeConfig &) const = default;

  /// The number of features of a head that are turned; even.
  int64_t rotaryDim(int64_t headDim) const {
    return int64_t(double(headDim) * partialFactor);
  }
  /// rotaryDim / 2 inverse frequencies, float32-rounded where transformers
  /// rounds; with longrope those of short contexts.
  std::vector<float> inverseFrequencies(int64_t headDim) const;
  /// With longrope, those of contexts longer than originalMaxPositions.
  std::vector<float> longInverseFrequencies(int64_t headDim) const;
};

/// What the fields of a rotary embedding mean in one architecture.
struct RopeRules {
  double defaultTheta = 10000;
  int64_t headDim = 0;
  int64_t maxPositions = 0;
  /// Whether partial_rotary_factor is known, and the types su and yarn are old
  /// names of longrope (Phi-3).
  bool isPhi3 = false;
  /// Whether layers with and without a window have embeddings of their own
  /// (Gemma 3).
  bool byLayerType = false;
  /// Takes the members that are not known; without, they are errors.
  std::vector<std::string> *unknownFields = nullptr;
};

struct RopePair {
  RopeConfig main;
  std::optional<RopeConfig> local; ///< of layers with a window
};

/// Reads all fields about rotary embeddings. Throws Error naming the field.
RopePair readRope(const JsonObject &config, const RopeRules &rules);

} // namespace fairy2
