// SPDX-License-Identifier: Apache-2.0
//
// Perplexity of a text: how well the model predicts each token from all before
// it in its piece. The logic of fairy2-eval.
#pragma once

#include "runtime/Model.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace fairy2 {

struct EvaluationOptions {
  int32_t chunk = 511;   ///< tokens per piece, at most the model's positions
  int64_t maxChunks = 0; ///< pieces to evaluate; 0: all
  int32_t threads = 0;   ///< 0: one per core this process may use
  /// Called after every piece.
  std::function<void(int64_t done, int64_t total)> onProgress;
};

struct Evaluation {
  double nllPerToken = 0; ///< nats
  double perplexity = 0;
  int64_t tokens = 0; ///< predictions
};

/// Tokenizes `text` as one text without special tokens, cuts it into pieces of
/// `chunk` tokens (the last may be shorter), and predicts every token of a
/// piece from BOS and the piece's tokens before it. Throws StatusError.
Evaluation evaluate(std::shared_ptr<const Model> model, std::string_view text,
                    const EvaluationOptions &options);

} // namespace fairy2
