// SPDX-License-Identifier: Apache-2.0
//
// Perplexity of a text by one of the protocols under which it is published.
// The logic of fairy2-eval.
#pragma once

#include "runtime/Model.h"
#include "runtime/WeightMapping.h"
#include "runtime/support/Documents.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace fairy2 {

/// How a text becomes sequences x of tokens. In every protocol
///
///     NLL = sum over sequences x and positions i >= 1 of
///               -log p(x[i] | x[0 .. i-1])
///           / sum over sequences of (length(x) - 1)
///
/// and the perplexity is exp(NLL).
enum class Protocol {
  /// The documents, joined by blank lines, are one text without special tokens;
  /// a sequence is BOS and the next `chunk` tokens (the last may be shorter).
  Chunks,
  /// As GPTQ and its successors publish WikiText-2: the documents, joined by
  /// blank lines, are one text with the tokenizer's special tokens (one BOS at
  /// its start, where the model has it); a sequence is the next `chunk` tokens,
  /// whose first is not predicted; what is left at the end is dropped.
  Gptq,
  /// As the Fairy2i repository (eval/eval_utils.py, eval_ppl.py) publishes: a
  /// document is its tokens and EOS, and is dropped when that is more than
  /// `chunk` tokens; a sequence is BOS, if the model has one, and as many whole
  /// documents as fit into `chunk` tokens. Of the sum above the terms that
  /// follow an EOS are left out, but they count in the denominator.
  Reference
};
/// "chunks", "gptq", "reference".
const char *nameOf(Protocol protocol);

struct EvaluationOptions {
  Protocol protocol = Protocol::Chunks;
  /// Tokens per sequence, at most the model's positions. 0: 511 of chunks, 2048
  /// of others, or the model's positions where they are fewer.
  int32_t chunk = 0;
  int64_t maxChunks = 0; ///< sequences to evaluate; 0: all
  int32_t threads = 0;   ///< 0: as many usable cores as pay
  HugePages hugePages = HugePages::Auto;
  std::string source = "text"; ///< what errors call the text
  /// Called after every sequence.
  std::function<void(int64_t done, int64_t total)> onProgress;
};

struct Evaluation {
  double nllPerToken = 0; ///< nats
  double perplexity = 0;
  int64_t tokens = 0; ///< the denominator
  int64_t chunks = 0; ///< sequences
  int32_t chunk = 0;  ///< EvaluationOptions::chunk as it was taken
};

/// Hands on the documents of a text, from the first one each time it is called.
using Documents = std::function<void(const UsePiece &use)>;

/// The documents of a file: of .jsonl (an object with a string "text" in each
/// line) its texts, of any other its lines when the protocol counts documents,
/// and otherwise the whole text; either may be compressed as .zst. Throws
/// Error that names the file, reading them one that names the line, too.
Documents documentsOf(const std::string &path, Protocol protocol);

/// Reads the documents twice. Throws StatusError, also when there is nothing to
/// predict.
Evaluation evaluate(std::shared_ptr<const Model> model,
                    const Documents &documents,
                    const EvaluationOptions &options);

} // namespace fairy2
