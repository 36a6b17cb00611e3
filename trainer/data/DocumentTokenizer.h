// SPDX-License-Identifier: Apache-2.0
//
// Documents to tokens, separators between them, on all threads and in bounded
// memory.
#pragma once

#include "runtime/support/Documents.h"
#include "runtime/text/TextEncoder.h"
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

/// Tokenizes documents and hands the tokens on in their order. Documents joined
/// by blank lines are tokenized as the text that they make together, with a
/// blank line after the last one, too.
class DocumentTokenizer {
public:
  /// Tokens, and the number of documents that ended since the last call;
  /// returns whether more are wanted.
  using Use =
      std::function<bool(std::span<const int32_t> tokens, int64_t documents)>;

  /// `origin` names the text in errors, `specialTokens` is data.special_tokens.
  DocumentTokenizer(const Tokenizer &tokenizer, const std::string &origin,
                    const std::string &separator, SpecialTokens special,
                    const std::string &specialTokens, Use use);
  DocumentTokenizer(const DocumentTokenizer &) = delete;
  DocumentTokenizer &operator=(const DocumentTokenizer &) = delete;

  /// What takes the documents of a reader; refers to this.
  UsePiece taking();
  /// To call after the last document.
  void finish();

private:
  void take(std::span<const int32_t> ids, bool ends);
  void hand();

  const bool joins; ///< documents by blank lines
  const Separators separators;
  const Use use;
  bool wantsMore = true;
  std::vector<int32_t> tokens; ///< to hand on
  int64_t documents = 0;       ///< that ended in them
  bool startsDocument = true;
  bool holdsText = false; ///< the joined text does
  TextEncoder encoder;
};

} // namespace fairy2::trainer
