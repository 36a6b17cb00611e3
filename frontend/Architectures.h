// SPDX-License-Identifier: Apache-2.0
//
// The table of architectures: what each class of transformers does without
// asking config.json, which fields it asks, and their defaults. Plain C++.
#pragma once

#include "frontend/HFConfig.h"

#include <optional>
#include <string_view>
#include <vector>

namespace fairy2 {

/// Where a property that some architectures fix and others configure comes
/// from. A fixed one may stand in config.json if it says the same.
enum class Source { Never, Always, Config };

/// Which layers have the window of `sliding_window`, where layer_types does not
/// say: none; all; those from max_window_layers on (if use_sliding_window);
/// all but each sliding_window_pattern-th; those without rotary embedding (if
/// use_sliding_window).
enum class WindowRule { None, All, Last, AllButEach, Unrotated };

struct Architecture {
  const char *name;      ///< in the field architectures
  const char *modelType; ///< in the field model_type
  BlockDesign block = {};
  Source qkvBias = Source::Never;
  Source outputBias = Source::Never;
  const char *outputBiasField = "attention_bias"; ///< shared in most classes
  Source mlpBias = Source::Never;
  WindowRule windows = WindowRule::None;
  /// Whether embeddings are multiplied by the root of hidden_size (Gemma).
  bool scalesEmbedding = false;
  bool ropeByLayerType = false; ///< RopeRules::byLayerType
  bool isPhi3 = false;          ///< RopeRules::isPhi3
  const char *activationField = "hidden_act";

  // Defaults of the configuration class.
  const char *activation = "silu";
  int64_t kvHeads = 0; ///< 0: as many as heads
  int64_t headDim = 0; ///< 0: hidden_size / num_attention_heads
  int64_t maxPositions = 2048;
  double epsilon = 1e-6;
  double theta = 10000;
  bool tiesEmbeddings = false;
  std::optional<int64_t> bosToken = std::nullopt, eosToken = std::nullopt;
  std::optional<int64_t> window = std::nullopt;
  int64_t windowPattern = 0;
  std::optional<double> queryScalar = std::nullopt; ///< query_pre_attn_scalar
  std::optional<double> attentionSoftCap = std::nullopt;
  std::optional<double> finalSoftCap = std::nullopt;

  /// Fields that this architecture asks and others do not. Listing one is not
  /// enough: HFConfig.cpp must read it, or it is refused like any other.
  std::vector<std::string_view> fields = {};
  /// Fields that such files have and their class does not look at.
  std::vector<std::string_view> ignored = {};

  bool asks(std::string_view field) const;
};

const std::vector<Architecture> &architectures();

} // namespace fairy2
