// SPDX-License-Identifier: Apache-2.0
#include "trainer/data/Corpus.h"

#include "dialect/Error.h"
#include "trainer/Parallel.h"
#include "trainer/Random.h"
#include "trainer/data/Documents.h"
#include "trainer/data/TokenShards.h"

#include <bit>
#include <numeric>

namespace fairy2 {
namespace {

/// Documents are tokenized in batches of about this many bytes.
constexpr size_t kBatchBytes = size_t(8) << 20;
/// Joined documents are tokenized in texts of at least this many bytes.
constexpr size_t kJoinedBytes = size_t(1) << 20;

class Tokenizing {
public:
  Tokenizing(const Recipe::Data &data, const Tokenizer &tokenizer,
             SpecialTokens special)
      : tokenizer(tokenizer), joins(data.separator == "blank_line") {
    const bool both = data.separator == "both";
    if (data.separator == "eos" || both)
      after = require(special.eos, "eos_token_id");
    if (data.separator == "bos" || both)
      before = require(special.bos, "bos_token_id");
  }

  void add(std::string text) {
    bytes += text.size();
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

  std::vector<int32_t> shard(const std::string &path) const {
    return readTokenShard(path, before, after);
  }

  std::vector<int32_t> finish() {
    flush();
    return std::move(tokens);
  }

private:
  static int32_t require(std::optional<int32_t> token, const char *field) {
    if (!token)
      throw Error(std::string("data.separator needs config.json's ") + field +
                  ", which is missing");
    return *token;
  }

  void flush() {
    std::vector<std::vector<int32_t>> parts(texts.size());
    parallelFor(int64_t(texts.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        parts[size_t(i)] = tokenizer.encode(texts[size_t(i)], false, false);
    });
    for (const std::vector<int32_t> &part : parts) {
      if (before)
        tokens.push_back(*before);
      tokens.insert(tokens.end(), part.begin(), part.end());
      if (after)
        tokens.push_back(*after);
    }
    texts.clear();
    bytes = 0;
  }

  const Tokenizer &tokenizer;
  const bool joins;
  std::optional<int32_t> before, after;
  std::vector<std::string> texts;
  size_t bytes = 0;
  std::vector<int32_t> tokens;
};

} // namespace

Corpus Corpus::read(const DataSource &source, const Recipe::Data &data,
                    const Tokenizer &tokenizer, SpecialTokens special,
                    int64_t vocabSize) {
  Tokenizing work(data, tokenizer, special);
  std::vector<int32_t> tokens;
  const std::string &path = source.path;
  if (isTokenShard(path)) {
    tokens = work.shard(path);
  } else {
    readDocuments(path, data.textField, source.where,
                  [&](std::string text) { work.add(std::move(text)); });
    tokens = work.finish();
  }
  if (tokens.empty())
    throw Error(path + ": expected text, found none");
  for (const int32_t token : tokens)
    if (token < 0 || token >= vocabSize)
      throw Error(path + ": token " + std::to_string(token) +
                  " does not fit the model's vocabulary of " +
                  std::to_string(vocabSize) +
                  ": is this the model's tokenizer?");
  return Corpus(std::move(tokens));
}

WindowOrder::WindowOrder(int64_t tokens, int64_t length, uint64_t seed)
    : length(length), windows(tokens / length), slack(0), seed(seed) {
  // All windows but one may start late by up to a window's length.
  if (windows > 1) {
    --windows;
    slack = tokens - windows * length;
  }
  const int bits = std::bit_width(uint64_t(std::max<int64_t>(windows - 1, 1)));
  halfBits = (bits + 1) / 2;
}

int64_t WindowOrder::permuted(int64_t index, uint64_t key) const {
  // A Feistel network permutes [0, 4^halfBits); walking its cycle from an index
  // below `windows` comes back below it.
  const uint64_t mask = (uint64_t(1) << halfBits) - 1;
  auto value = uint64_t(index);
  do {
    uint64_t left = value >> halfBits, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed =
          left ^ (mix64(key ^ mix64(right * 4 + round)) & mask);
      left = right;
      right = mixed;
    }
    value = left << halfBits | right;
  } while (value >= uint64_t(windows));
  return int64_t(value);
}

int64_t WindowOrder::start(int64_t n) const {
  const int64_t epoch = n / windows;
  const uint64_t key = mix64(seed ^ mix64(uint64_t(epoch) + 1));
  const int64_t shift = slack ? int64_t(mix64(key) % uint64_t(slack)) : 0;
  return shift + permuted(n % windows, key) * length;
}

Mixture::Mixture(std::vector<Corpus> corpora, std::vector<double> weights,
                 int64_t length, uint64_t seed)
    : corpora(std::move(corpora)), weights(std::move(weights)),
      taken(this->corpora.size()), length(length) {
  const double sum =
      std::accumulate(this->weights.begin(), this->weights.end(), 0.0);
  for (double &weight : this->weights)
    weight /= sum;
  for (size_t i = 0; i < this->corpora.size(); ++i) {
    if (this->corpora[i].size() < length)
      throw Error("data.train[" + std::to_string(i) + "]: expected at least " +
                  std::to_string(length) + " tokens, one sequence, found " +
                  std::to_string(this->corpora[i].size()));
    orders.emplace_back(this->corpora[i].size(), length, mix64(seed + i));
  }
}

int64_t Mixture::choose() {
  size_t best = 0;
  double most = -1e300;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double lag = weights[i] * double(count + 1) - double(taken[i]);
    if (lag > most) {
      most = lag;
      best = i;
    }
  }
  ++count;
  ++taken[best];
  return int64_t(best);
}

std::span<const int32_t> Mixture::next() {
  const auto source = size_t(choose());
  return corpora[source].all().subspan(
      size_t(orders[source].start(taken[source] - 1)), size_t(length));
}

void Mixture::skipTo(int64_t k) {
  count = 0;
  std::fill(taken.begin(), taken.end(), 0);
  while (count < k)
    choose();
}

int64_t Mixture::tokens() const {
  int64_t sum = 0;
  for (const Corpus &corpus : corpora)
    sum += corpus.size();
  return sum;
}

} // namespace fairy2
