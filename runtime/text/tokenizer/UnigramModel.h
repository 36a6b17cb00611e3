// SPDX-License-Identifier: Apache-2.0
//
// The Unigram model, of a tokenizer.json or of a SentencePiece file.
#pragma once

#include "runtime/text/tokenizer/ByteTrie.h"
#include "runtime/text/tokenizer/Model.h"

namespace fairy2::tokenizer {

class UnigramModel final : public Model {
public:
  /// `scores` belong to the ids 0, 1, ..; `unknown` is -1 for none. Ids marked
  /// in `hidden` are not found in text. `origin` names the file. Throws Error.
  UnigramModel(Vocabulary vocabulary, std::vector<double> scores,
               int32_t unknown, bool byteFallback,
               const std::vector<bool> &hidden, const std::string &origin);

  void encode(std::string_view piece, bool avoidSpecial, WordCache &cache,
              std::vector<int32_t> &ids) const override;

private:
  static constexpr size_t none = ~size_t(0);
  void encodeWord(std::string_view word, bool avoidSpecial,
                  std::vector<int32_t> &ids) const;
  void appendUnknown(std::string_view text, bool avoidSpecial,
                     std::vector<int32_t> &ids) const;

  bool mayNotOccur(int32_t id) const { return id != unknown && isSpecial(id); }

  std::vector<double> scores;
  int32_t unknown;
  double unknownScore;
  std::vector<int32_t> bytes; // empty without byte fallback
  ByteTrie trie;
  std::string origin;
};

} // namespace fairy2::tokenizer
