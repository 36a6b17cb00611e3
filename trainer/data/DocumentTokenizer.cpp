// SPDX-License-Identifier: Apache-2.0
//
// Documents are gathered until a batch is worth all threads.
#include "trainer/data/DocumentTokenizer.h"

#include "frontend/HFConfig.h"
#include "runtime/support/Error.h"
#include "trainer/Parallel.h"

namespace fairy2::trainer {
namespace {

/// Documents are tokenized in batches of about this many bytes.
constexpr size_t kBatchBytes = size_t(8) << 20;
/// Joined documents are tokenized in texts of at least this many bytes.
constexpr size_t kJoinedBytes = size_t(1) << 20;

int32_t require(std::optional<int32_t> token, const char *field) {
  if (!token)
    throw Error(std::string("data.separator needs config.json's ") + field +
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
                                     const std::string &separator,
                                     SpecialTokens special,
                                     const std::string &specialTokens, Use use)
    : tokenizer(tokenizer),
      parsesSpecial(trainer::parsesSpecial(specialTokens)),
      joins(separator == "blank_line"),
      separators(Separators::of(separator, special)), use(std::move(use)) {}

void DocumentTokenizer::add(std::string text) {
  bytes += text.size();
  ++documents;
  // Joined documents are tokenized as one text, as a text file would be.
  if (joins && !texts.empty() && texts.back().size() < kJoinedBytes)
    texts.back() += text;
  else
    texts.push_back(std::move(text));
  if (joins)
    texts.back() += "\n\n";
  if (bytes >= kBatchBytes)
    flush();
}

void DocumentTokenizer::flush() {
  std::vector<std::vector<int32_t>> parts(texts.size());
  parallelFor(int64_t(texts.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = size_t(begin); i < size_t(end); ++i)
      parts[i] =
          tokenizer.encode(texts[i], /*addSpecial=*/false, parsesSpecial);
  });
  std::vector<int32_t> tokens;
  for (const std::vector<int32_t> &part : parts) {
    if (separators.before)
      tokens.push_back(*separators.before);
    tokens.insert(tokens.end(), part.begin(), part.end());
    if (separators.after)
      tokens.push_back(*separators.after);
  }
  use(tokens, documents);
  texts.clear();
  bytes = 0;
  documents = 0;
}

} // namespace fairy2::trainer
