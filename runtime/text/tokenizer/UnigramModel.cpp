// SPDX-License-Identifier: Apache-2.0
//
// Unigram language model: of all ways to cut a piece into known tokens the one
// with the best sum of scores, found by Viterbi from left to right.
#include "runtime/text/tokenizer/UnigramModel.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/Words.h"

#include <algorithm>
#include <limits>

namespace fairy2::tokenizer {

UnigramModel::UnigramModel(Vocabulary vocabulary,
                           std::vector<double> pieceScores, int32_t unknown,
                           bool byteFallback, const std::vector<bool> &hidden,
                           const std::string &origin)
    : scores(std::move(pieceScores)), unknown(unknown), origin(origin) {
  pieces = std::move(vocabulary);
  size_t total = 0;
  std::vector<ByteTrie::Entry> entries;
  for (int32_t id = 0; id < pieces.end(); ++id) {
    const std::string_view piece = pieces.piece(id);
    total += piece.size();
    if (piece.size() > longestPiece || total > mostPieceBytes)
      throw Error(origin + ": expected pieces of at most " +
                  std::to_string(longestPiece) + " bytes and " +
                  std::to_string(mostPieceBytes) + " in all, found more at " +
                  "piece " + std::to_string(id));
    if (!piece.empty() && !(size_t(id) < hidden.size() && hidden[size_t(id)]))
      entries.push_back({piece, id});
  }
  trie = ByteTrie(std::move(entries));
  constexpr double unknownPenalty = 10;
  unknownScore = std::numeric_limits<double>::infinity();
  for (double score : scores)
    unknownScore = std::min(unknownScore, score);
  unknownScore -= unknownPenalty;
  if (byteFallback)
    bytes = byteTokens(pieces);
}

void UnigramModel::encode(std::string_view piece, bool avoidSpecial,
                          WordCache &cache, std::vector<int32_t> &ids) const {
  if (cache.find(piece, ids))
    return;
  const size_t first = ids.size();
  encodeWord(piece, false, ids);
  if (avoidSpecial &&
      std::any_of(ids.begin() + ptrdiff_t(first), ids.end(),
                  [&](int32_t id) { return mayNotOccur(id); })) {
    ids.resize(first);
    encodeWord(piece, true, ids);
  }
  cache.insert(piece, std::span(ids).subspan(first));
}

void UnigramModel::encodeWord(std::string_view word, bool avoidSpecial,
                              std::vector<int32_t> &ids) const {
  /// The best way to cut the text up to a position: its last token.
  struct Best {
    double score = 0;
    size_t begin = none;
    int32_t id = -1;
  };
  std::vector<Best> best(word.size() + 1);
  const auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
    score += best[begin].score;
    if (best[end].begin == none || score > best[end].score)
      best[end] = {score, begin, id};
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t length = codePointAt(word.data() + begin).length;
    bool known = false; // whether the character is a token by itself
    trie.visitPrefixes(word.substr(begin), [&](int32_t id, size_t tokenLength) {
      if (avoidSpecial && mayNotOccur(id))
        return;
      offer(begin, begin + tokenLength, id, scores[size_t(id)]);
      known = known || tokenLength == length;
    });
    if (!known) {
      if (unknown < 0)
        throw Error(origin +
                    ": model.unk_id: expected an id, since the text "
                    "has " +
                    quoteName(word.substr(begin, length), '"') +
                    ", which is unknown");
      offer(begin, begin + length, unknown, unknownScore);
    }
    begin += length;
  }

  // Backwards over the tokens; neighbours that are unknown become one.
  const size_t first = ids.size();
  for (size_t end = word.size(); end > 0;) {
    size_t begin = best[end].begin;
    const int32_t id = best[end].id;
    if (id != unknown) {
      ids.push_back(id);
      end = begin;
      continue;
    }
    while (begin > 0 && best[begin].id == unknown)
      begin = best[begin].begin;
    appendUnknown(word.substr(begin, end - begin), avoidSpecial, ids);
    end = begin;
  }
  std::reverse(ids.begin() + ptrdiff_t(first), ids.end());
}

/// Appends the ids of unknown text in reverse: a token that the whole happens
/// to spell, its bytes, or the unknown token.
void UnigramModel::appendUnknown(std::string_view text, bool avoidSpecial,
                                 std::vector<int32_t> &ids) const {
  const int32_t id = pieces.find(text);
  if (id >= 0 && !(avoidSpecial && mayNotOccur(id))) {
    ids.push_back(id);
  } else if (!bytes.empty() &&
             std::all_of(text.begin(), text.end(),
                         [&](char c) { return bytes[uint8_t(c)] >= 0; })) {
    for (size_t i = text.size(); i-- > 0;)
      ids.push_back(bytes[uint8_t(text[i])]);
  } else {
    ids.push_back(unknown);
  }
}

} // namespace fairy2::tokenizer
