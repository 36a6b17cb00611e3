// SPDX-License-Identifier: Apache-2.0
//
// Windows in an order that a keyed permutation gives, so that no list of them
// is kept; sources are drawn by their weights.
#include "trainer/data/Corpus.h"

#include "runtime/support/Documents.h"
#include "runtime/support/Error.h"
#include "trainer/Random.h"
#include "trainer/data/TokenShards.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace fairy2::trainer {

namespace {

/// Tokens on their way to a corpus.
class CorpusWriter {
public:
  CorpusWriter(const std::string &path, const Vocabulary &vocabulary,
               const std::filesystem::path &scratch)
      : path(path), vocabSize(vocabulary.size), file(scratch, vocabSize) {}

  void append(std::span<const int32_t> tokens) {
    checkTokens(tokens, vocabSize, path);
    file.append(tokens);
  }
  int64_t size() const { return file.size(); }
  Corpus finish() {
    if (file.size() == 0)
      throw Error(path + ": expected text, found none");
    file.finish();
    return Corpus(std::move(file));
  }

private:
  const std::string &path;
  const int64_t vocabSize;
  TokenFile file;
};

} // namespace

Corpus Corpus::read(const DataSource &source, const Recipe::Data &data,
                    const Vocabulary &vocabulary,
                    const std::filesystem::path &scratch) {
  const std::string &path = source.path;
  const bool isFolder = TokenizedText::isFolder(path);
  if ((isFolder || isTokenShard(path)) && !source.where.empty())
    throw Error(path + ": key 'where' chooses records of .jsonl files, and "
                       "this one is tokenized already");
  if (isFolder) {
    Corpus corpus(TokenizedText::open(path, data.separator, data.specialTokens,
                                      vocabulary.sha256, vocabulary.size));
    if (corpus.size() == 0)
      throw Error(path + ": expected text, found none");
    return corpus;
  }
  CorpusWriter writer(path, vocabulary, scratch);
  if (isTokenShard(path)) {
    const auto separators = Separators::of(data.separator, vocabulary.special);
    readTokenShard(
        path, separators.before, separators.after,
        [&](std::span<const int32_t> tokens) { writer.append(tokens); });
    return writer.finish();
  }
  DocumentTokenizer work(vocabulary.tokenizer, path, data.separator,
                         vocabulary.special, data.specialTokens,
                         [&](std::span<const int32_t> tokens, int64_t) {
                           writer.append(tokens);
                           return true;
                         });
  readDocuments(path, data.textField, source.where, work.taking());
  work.finish();
  return writer.finish();
}

Corpus Corpus::readWhole(const std::string &path, const Recipe::Data &data,
                         const Vocabulary &vocabulary,
                         const std::filesystem::path &scratch, int64_t most) {
  CorpusWriter writer(path, vocabulary, scratch);
  DocumentTokenizer work(vocabulary.tokenizer, path, "none", {},
                         data.specialTokens,
                         [&](std::span<const int32_t> tokens, int64_t) {
                           if (most > 0)
                             tokens = tokens.first(std::min(
                                 tokens.size(), size_t(most - writer.size())));
                           writer.append(tokens);
                           return most == 0 || writer.size() < most;
                         });
  if (readText(path, data.textField, work.taking()))
    work.finish();
  return writer.finish();
}

std::vector<int32_t> Corpus::window(int64_t begin, int64_t count) const {
  std::vector<int32_t> result(static_cast<size_t>(count));
  if (text)
    text->read(begin, result);
  else
    file->read(begin, result);
  return result;
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

std::vector<int32_t> Mixture::next() {
  const auto source = size_t(choose());
  return corpora[source].window(orders[source].start(taken[source] - 1),
                                length);
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

} // namespace fairy2::trainer
