// SPDX-License-Identifier: Apache-2.0
//
// Documents to tokens, separators between them, on all threads.
#pragma once

#include "runtime/text/Tokenizer.h"
#include "trainer/run/Recipe.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fairy2 {
struct HFConfig;
}

namespace fairy2::trainer {

/// Special tokens that the model's config names.
struct SpecialTokens {
  std::optional<int32_t> bos, eos;
};
SpecialTokens specialTokensOf(const HFConfig &config);

/// The tokens around each document with a data.separator.
struct Separators {
  std::optional<int32_t> before, after;

  /// Throws Error when config.json does not name a token that is needed.
  static Separators of(const std::string &separator, SpecialTokens special);
};

/// Whether data.special_tokens makes tokens of text that spells special ones.
inline bool parsesSpecial(const std::string &specialTokens) {
  return specialTokens == "parse";
}

/// Throws Error when a token is not in [0, vocabSize); `origin` names the file.
void checkTokens(std::span<const int32_t> tokens, int64_t vocabSize,
                 const std::string &origin);

/// Gathers documents, tokenizes them in batches and hands the tokens on in the
/// order of the documents.
class DocumentTokenizer {
public:
  /// Tokens of `documents` whole documents.
  using Use =
      std::function<void(std::span<const int32_t> tokens, int64_t documents)>;

  /// `specialTokens` is data.special_tokens.
  DocumentTokenizer(const Tokenizer &tokenizer, const std::string &separator,
                    SpecialTokens special, const std::string &specialTokens,
                    Use use);

  void add(std::string text);
  /// To call after the last document.
  void flush();

private:
  const Tokenizer &tokenizer;
  const bool parsesSpecial;
  const bool joins; ///< documents by blank lines, before they are tokenized
  const Separators separators;
  const Use use;
  std::vector<std::string> texts;
  size_t bytes = 0;
  int64_t documents = 0;
};

} // namespace fairy2::trainer
