// SPDX-License-Identifier: Apache-2.0
//
// The model "SentencePiece" that sentencePieceToJson() writes: pieces and their
// scores, from which merges follow, or a Unigram model.
#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/BpeModel.h"
#include "runtime/text/tokenizer/UnigramModel.h"

#include <algorithm>
#include <limits>

namespace fairy2::tokenizer {
namespace {

enum class Use : uint8_t { Normal, UserDefined, Hidden };

std::vector<Use> readUses(const JsonField &model, size_t pieces) {
  std::vector<Use> uses(pieces, Use::Normal);
  const auto mark = [&](const JsonField &id, Use use) {
    uses[size_t(id.integer(0, int64_t(pieces) - 1))] = use;
  };
  for (const JsonField &id : model["user_defined"].elements())
    mark(id, Use::UserDefined);
  for (const JsonField &id : model["hidden"].elements())
    mark(id, Use::Hidden);
  mark(model["unk_id"], Use::Hidden);
  return uses;
}

/// Two pieces merge if what they spell together is a piece; its score ranks
/// the merge, and of equal ones the leftmost comes first.
std::unique_ptr<Model> makeBpe(Vocabulary pieces, BpeOptions options,
                               const std::vector<double> &scores,
                               const std::vector<Use> &uses) {
  auto bpe = std::make_unique<BpeModel>(std::move(pieces), std::move(options));
  const Vocabulary &vocabulary = bpe->vocabulary();
  std::vector<int32_t> byScore;
  std::vector<ByteTrie::Entry> whole;
  for (int32_t id = 0; size_t(id) < uses.size(); ++id)
    if (uses[size_t(id)] == Use::Normal)
      byScore.push_back(id);
    else if (uses[size_t(id)] == Use::UserDefined)
      whole.push_back({vocabulary.piece(id), id});
  std::sort(byScore.begin(), byScore.end(), [&](int32_t a, int32_t b) {
    const double left = scores[size_t(a)], right = scores[size_t(b)];
    return left != right ? left > right : a < b;
  });
  struct Pair {
    int32_t left, right;
    Merge merge;
  };
  std::vector<Pair> pairs;
  const auto normalId = [&](std::string_view text) {
    const int32_t id = vocabulary.find(text);
    return id >= 0 && uses[size_t(id)] == Use::Normal ? id : -1;
  };
  uint32_t rank = 0;
  for (size_t i = 0; i < byScore.size(); ++i) {
    const std::string_view piece = vocabulary.piece(byScore[i]);
    if (i && scores[size_t(byScore[i])] < scores[size_t(byScore[i - 1])])
      ++rank;
    for (size_t at = codePointAt(piece.data()).length; at < piece.size();
         at += codePointAt(piece.data() + at).length) {
      const int32_t left = normalId(piece.substr(0, at));
      const int32_t right = normalId(piece.substr(at));
      if (left >= 0 && right >= 0)
        pairs.push_back({left, right, {rank, byScore[i]}});
    }
  }
  bpe->expectMerges(pairs.size());
  for (const Pair &pair : pairs)
    bpe->addMerge(pair.left, pair.right, pair.merge);
  bpe->setWholePieces(std::move(whole));
  return bpe;
}

std::unique_ptr<Model> makeUnigram(Vocabulary pieces, int32_t unknown,
                                   bool byteFallback,
                                   std::vector<double> scores,
                                   const std::vector<Use> &uses,
                                   const std::string &origin) {
  std::vector<bool> hidden;
  double worst = std::numeric_limits<float>::max();
  for (size_t id = 0; id < uses.size(); ++id)
    if (uses[id] == Use::Normal)
      worst = std::min(worst, scores[id]);
  // A user's own piece scores above all log probabilities. What is not looked
  // for must not change the score of unknown characters, which follows from the
  // worst.
  for (size_t id = 0; id < uses.size(); ++id) {
    if (uses[id] == Use::UserDefined)
      scores[id] = 0.1 * (double(pieces.piece(int32_t(id)).size()) - 1);
    else if (uses[id] == Use::Hidden)
      scores[id] = worst;
    hidden.push_back(uses[id] == Use::Hidden);
  }
  return std::make_unique<UnigramModel>(std::move(pieces), std::move(scores),
                                        unknown, byteFallback, hidden, origin);
}

} // namespace

std::unique_ptr<Model> readSentencePieceModel(Vocabulary pieces,
                                              std::vector<double> scores,
                                              const JsonField &model,
                                              const std::string &origin) {
  model.requireKeys({"type", "algorithm", "byte_fallback", "unk_id",
                     "user_defined", "hidden"});
  size_t total = 0;
  for (int32_t id = 0; id < pieces.end(); ++id) {
    const size_t bytes = pieces.piece(id).size();
    total += bytes;
    if (bytes == 0 || bytes > longestPiece || total > mostPieceBytes)
      model["vocab"].refuse("expected pieces of 1 to " +
                            std::to_string(longestPiece) + " bytes and " +
                            std::to_string(mostPieceBytes) +
                            " in all, found piece " + std::to_string(id) +
                            " of " + std::to_string(bytes) + " bytes and " +
                            std::to_string(total) + " in all");
  }
  const std::vector<Use> uses = readUses(model, scores.size());
  const auto unknown =
      int32_t(model["unk_id"].integer(0, int64_t(scores.size()) - 1));
  const bool byteFallback = model["byte_fallback"].boolean();
  const std::string algorithm = model["algorithm"].string();
  if (algorithm == "unigram")
    return makeUnigram(std::move(pieces), unknown, byteFallback,
                       std::move(scores), uses, origin);
  if (algorithm != "bpe")
    model["algorithm"].fail("\"bpe\" or \"unigram\"");
  BpeOptions options;
  options.unknown = unknown;
  options.fuseUnknown = true;
  options.byteFallback = byteFallback;
  return makeBpe(std::move(pieces), std::move(options), scores, uses);
}

} // namespace fairy2::tokenizer
