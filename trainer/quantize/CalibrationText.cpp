// SPDX-License-Identifier: Apache-2.0
//
// Windows of the text's beginning, in the order of training.
#include "trainer/quantize/CalibrationText.h"

#include "runtime/support/Error.h"
#include "runtime/support/ForkJoin.h"
#include "trainer/data/LoadTokenizer.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>

namespace fairy2::trainer {

namespace {

constexpr int64_t kLongestSequence = 512;
constexpr int64_t kBatchTokens = 1024;
/// A text is read up to so many times what is asked for, so that a seed has
/// something to choose from and a long text takes no time.
constexpr int64_t kReadFactor = 16;

int64_t sequenceLength(const HFConfig &config) {
  return std::min(kLongestSequence, config.maxPositions);
}

} // namespace

CalibrationText readCalibration(const ModelFolder &folder,
                                const HFConfig &config,
                                const std::vector<std::string> &files,
                                int64_t tokens, int64_t gradientTokens,
                                int64_t tuningTokens, uint64_t seed,
                                const std::string &scratch) {
  const LoadedTokenizer loaded = loadTokenizer(folder);
  const Vocabulary vocabulary{*loaded.tokenizer, loaded.sha256,
                              specialTokensOf(config), config.vocabSize};
  CalibrationText text;
  text.length = sequenceLength(config);
  const auto sequencesIn = [&](int64_t count) {
    return (count + text.length - 1) / text.length;
  };
  const int64_t asked = sequencesIn(tokens);
  const int64_t askedGradients = sequencesIn(gradientTokens);
  const int64_t askedTuning = sequencesIn(tuningTokens);
  std::vector<Corpus> corpora;
  std::vector<double> weights;
  int64_t sequences = 0, found = 0;
  for (const std::string &file : files) {
    Corpus corpus = Corpus::readWhole(
        file, Recipe::Data(), vocabulary, scratch,
        kReadFactor * (asked + askedGradients + askedTuning) * text.length);
    found += corpus.size();
    if (corpus.size() < text.length)
      continue;
    sequences += corpus.size() / text.length;
    weights.push_back(double(corpus.size()));
    corpora.push_back(std::move(corpus));
  }
  if (corpora.empty())
    throw Error(files[0] + ": expected at least " +
                std::to_string(text.length) + " tokens, one sequence, found " +
                std::to_string(found));
  if (sequences < std::max(asked, askedGradients))
    text.remark = "the text has " + std::to_string(sequences * text.length) +
                  " tokens in sequences of " + std::to_string(text.length) +
                  ", less than asked for; all are used";
  Mixture mixture(std::move(corpora), std::move(weights), text.length, seed);
  const auto take = [&](int64_t first, int64_t count, Sequences &into) {
    mixture.skipTo(first);
    for (int64_t k = 0; k < count; ++k)
      into.push_back(mixture.next());
  };
  take(0, std::min(asked, sequences), text.inputs);
  take(asked + askedGradients <= sequences ? asked : 0,
       std::min(askedGradients, sequences), text.gradients);
  take(asked + askedGradients, askedTuning, text.tuning);
  return text;
}

std::vector<Batch> batchesOf(const HFConfig &config,
                             const Sequences &sequences) {
  Recipe::Data data;
  data.sequenceLength = sequenceLength(config);
  const BatchMaker maker(config, data, specialTokensOf(config));
  const auto perBatch =
      size_t(std::max<int64_t>(1, kBatchTokens / data.sequenceLength));
  std::vector<Batch> batches;
  for (size_t k = 0; k < sequences.size(); k += perBatch) {
    std::vector<std::span<const int32_t>> rows;
    for (size_t i = k; i < std::min(k + perBatch, sequences.size()); ++i)
      rows.emplace_back(sequences[i]);
    batches.push_back(maker.make(rows, data.sequenceLength));
  }
  return batches;
}

void inOrder(int threads, size_t count,
             const std::function<void(size_t k, size_t slot)> &compute,
             const std::function<void(size_t k, size_t slot)> &take) {
  for (size_t first = 0; first < count; first += size_t(threads)) {
    const auto now = int(std::min(size_t(threads), count - first));
    forkJoin(now, [&](int slot) {
      // A product on several threads may add up in another order.
      at::set_num_threads(1);
      const at::NoGradGuard noGradients;
      compute(first + size_t(slot), size_t(slot));
    });
    for (int slot = 0; slot < now; ++slot)
      take(first + size_t(slot), size_t(slot));
  }
}

} // namespace fairy2::trainer
