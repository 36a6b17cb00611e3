// SPDX-License-Identifier: Apache-2.0
//
// Reads the "model" of a tokenizer.json.
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/BpeModel.h"
#include "runtime/text/tokenizer/UnigramModel.h"

namespace fairy2::tokenizer {
namespace {

Vocabulary readVocabulary(const TokenizerFile &file, const JsonField &model) {
  Vocabulary pieces;
  for (const TokenizerFile::Entry &entry : file.vocabulary()) {
    if (entry.id < 0 || entry.id >= idLimit)
      model["vocab"].refuse(
          "expected ids from 0 to " + std::to_string(idLimit - 1) + ", found " +
          std::to_string(entry.id) + " for " + quoteName(entry.piece, '"'));
    switch (pieces.add(entry.piece, int32_t(entry.id))) {
    case Vocabulary::Added::Yes:
      break;
    case Vocabulary::Added::DuplicateId:
      model["vocab"].refuse("expected one piece for each id, found " +
                            quoteName(pieces.piece(int32_t(entry.id)), '"') +
                            " and " + quoteName(entry.piece, '"') +
                            " with id " + std::to_string(entry.id));
    case Vocabulary::Added::DuplicatePiece:
      model["vocab"].refuse("expected each piece once, found " +
                            quoteName(entry.piece, '"') + " again");
    }
  }
  return pieces;
}

std::unique_ptr<Model> readBpe(const TokenizerFile &file,
                               const JsonField &model) {
  model.requireKeys({"type", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", "byte_fallback", "ignore_merges"});
  if (file.vocabularyKind != TokenizerFile::VocabularyKind::Ids)
    model["vocab"].refuse("expected an object of pieces and ids");
  if (!file.hasMerges)
    model["merges"].refuse("expected an array of merges");
  if (const JsonField dropout = model["dropout"];
      !dropout.isNull() && !dropout.isZero())
    dropout.refuse("expected nothing or 0, since dropout makes tokens random");
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!model[name].isNull() && !model[name].string().empty())
      model[name].refuse("a BPE model with " + std::string(name) +
                         " is not supported");
  Vocabulary pieces = readVocabulary(file, model);
  BpeOptions options;
  options.fuseUnknown = model["fuse_unk"].boolean(false);
  options.ignoreMerges = model["ignore_merges"].boolean(false);
  options.byteFallback = model["byte_fallback"].boolean(false);
  if (const JsonField token = model["unk_token"]; !token.isNull()) {
    options.unknown = pieces.find(token.string());
    if (options.unknown < 0)
      options.missingUnknown = token.name();
  }

  auto bpe = std::make_unique<BpeModel>(std::move(pieces), std::move(options));
  const std::vector<TokenizerFile::Merge> merges = file.merges();
  bpe->expectMerges(merges.size());
  std::string merged;
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto idOf = [&](std::string_view piece) {
      const int32_t id = bpe->vocabulary().find(piece);
      if (id < 0)
        model["merges"].refuse("expected pieces of the vocabulary, found " +
                               quoteName(piece, '"') + " in entry " +
                               std::to_string(i));
      return id;
    };
    const auto [left, right] = merges[i];
    merged.assign(left).append(right);
    const int32_t leftId = idOf(left), rightId = idOf(right);
    bpe->addMerge(leftId, rightId, {uint32_t(i), idOf(merged)});
  }
  return bpe;
}

/// The scores of a vocabulary that is a list of pieces and scores.
std::vector<double> readScores(const TokenizerFile &file,
                               const JsonField &model) {
  if (file.vocabularyKind != TokenizerFile::VocabularyKind::Scores)
    model["vocab"].refuse("expected an array of pieces and scores");
  std::vector<double> scores;
  for (const TokenizerFile::Entry &entry : file.vocabulary())
    scores.push_back(entry.score);
  return scores;
}

std::unique_ptr<Model> readUnigram(const TokenizerFile &file,
                                   const JsonField &model,
                                   const std::string &origin) {
  model.requireKeys({"type", "unk_id", "byte_fallback"});
  std::vector<double> scores = readScores(file, model);
  Vocabulary pieces = readVocabulary(file, model);
  const JsonField unknown = model["unk_id"];
  const int32_t unknownId =
      unknown.isNull() ? -1 : int32_t(unknown.integer(0, pieces.end() - 1));
  return std::make_unique<UnigramModel>(
      std::move(pieces), std::move(scores), unknownId,
      model["byte_fallback"].boolean(false), std::vector<bool>(), origin);
}

} // namespace

std::unique_ptr<Model> readModel(const TokenizerFile &file,
                                 const JsonField &root,
                                 const std::string &origin) {
  const JsonField model = root["model"];
  if (model.isNull())
    model.fail("an object");
  const JsonField type = model["type"];
  // Files of before 2020 do not name the type; those with merges are BPE.
  if (type.isNull() ? file.hasMerges : type.string() == "BPE")
    return readBpe(file, model);
  if (!type.isNull() && type.string() == "Unigram")
    return readUnigram(file, model, origin);
  if (!type.isNull() && type.string() == "SentencePiece") {
    std::vector<double> scores = readScores(file, model);
    return readSentencePieceModel(readVocabulary(file, model),
                                  std::move(scores), model, origin);
  }
  type.fail("\"BPE\" or \"Unigram\"");
}

} // namespace fairy2::tokenizer
