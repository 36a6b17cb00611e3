// SPDX-License-Identifier: Apache-2.0
//
// The parsed text of a tokenizer.json. Vocabulary and merges, nearly all of
// the file, go straight into flat arrays; the rest becomes a JSON tree.
#pragma once

#include "runtime/support/Json.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::tokenizer {

struct TokenizerFile {
  /// A piece of the vocabulary; `score` is there when the file lists
  /// [piece, score] pairs, whose ids are their positions.
  struct Entry {
    std::string_view piece;
    int64_t id;
    double score;
  };
  struct Merge {
    std::string_view left, right;
  };
  enum class VocabularyKind { Missing, Ids, Scores };

  /// Parses; `origin` names the file in errors. Throws Error.
  TokenizerFile(std::string_view text, const std::string &origin);

  std::vector<Entry> vocabulary() const;
  std::vector<Merge> merges() const;

  VocabularyKind vocabularyKind = VocabularyKind::Missing;
  bool hasMerges = false;
  /// Everything but model.vocab and model.merges.
  nlohmann::json rest;

private:
  class Reader;
  struct Piece {
    size_t length;
    int64_t id;
    double score;
  };
  std::string pieceText, mergeText;
  std::vector<Piece> pieces;
  std::vector<size_t> mergeLengths; // two for each merge
};

} // namespace fairy2::tokenizer
