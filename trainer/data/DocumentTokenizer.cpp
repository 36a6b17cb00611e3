// SPDX-License-Identifier: Apache-2.0
//
// Puts separators around what TextEncoder gives.
#include "trainer/data/DocumentTokenizer.h"

#include "frontend/HFConfig.h"
#include "runtime/support/Error.h"

#include <ATen/Parallel.h>

#include <utility>

namespace fairy2::trainer {
namespace {

/// Tokens are handed on when they are about so many.
constexpr size_t kHandedTokens = size_t(1) << 16;

int32_t require(std::optional<int32_t> token, const char *field) {
  if (!token)
    throw Error(std::string("data.separator: needs config.json's ") + field +
                ", which is missing");
  return *token;
}

} // namespace

SpecialTokens specialTokensOf(const HFConfig &config) {
  SpecialTokens special;
  if (config.bosToken)
    special.bos = int32_t(*config.bosToken);
  if (!config.eosTokens.empty())
    special.eos = int32_t(config.eosTokens.front());
  return special;
}

Separators Separators::of(const std::string &separator, SpecialTokens special) {
  const bool both = separator == "both";
  Separators result;
  if (separator == "eos" || both)
    result.after = require(special.eos, "eos_token_id");
  if (separator == "bos" || both)
    result.before = require(special.bos, "bos_token_id");
  return result;
}

void checkTokens(std::span<const int32_t> tokens, int64_t vocabSize,
                 const std::string &origin) {
  for (const int32_t token : tokens)
    if (token < 0 || token >= vocabSize)
      throw Error(origin + ": token " + std::to_string(token) +
                  " does not fit the model's vocabulary of " +
                  std::to_string(vocabSize) +
                  ": is this the model's tokenizer?");
}

DocumentTokenizer::DocumentTokenizer(const Tokenizer &tokenizer,
                                     const std::string &origin,
                                     const std::string &separator,
                                     SpecialTokens special,
                                     const std::string &specialTokens, Use use)
    : joins(separator == "blank_line"),
      separators(Separators::of(separator, special)), use(std::move(use)),
      encoder(tokenizer, origin, parsesSpecial(specialTokens),
              at::get_num_threads(),
              [this](std::span<const int32_t> ids, bool ends) {
                take(ids, ends);
              }) {}

UsePiece DocumentTokenizer::taking() {
  return [this](std::string_view piece, bool ends) {
    encoder.append(piece);
    holdsText = true;
    if (ends && joins) {
      encoder.append("\n\n");
      ++documents;
    } else if (ends) {
      encoder.endDocument();
    }
    return wantsMore;
  };
}

void DocumentTokenizer::finish() {
  if (joins && holdsText)
    encoder.endDocument();
  encoder.finish();
  hand();
}

void DocumentTokenizer::take(std::span<const int32_t> ids, bool ends) {
  if (startsDocument && separators.before)
    tokens.push_back(*separators.before);
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  if (ends && separators.after)
    tokens.push_back(*separators.after);
  startsDocument = ends;
  documents += ends && !joins;
  if (tokens.size() >= kHandedTokens)
    hand();
}

void DocumentTokenizer::hand() {
  if (wantsMore && !tokens.empty())
    wantsMore = use(tokens, std::exchange(documents, 0));
  tokens.clear();
}

} // namespace fairy2::trainer
