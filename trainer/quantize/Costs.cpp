// SPDX-License-Identifier: Apache-2.0
//
// Operations and bytes of Gradients.cpp, LayerCoder.cpp, PhaseCoder.cpp and
// Tuning.cpp, in that order.
#include "trainer/quantize/Costs.h"

#include "dialect/phase/PhaseCoder.h"
#include "runtime/support/ForkJoin.h"
#include "trainer/TensorData.h"
#include "trainer/quantize/CalibrationText.h"

#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace fairy2::trainer {
namespace {

constexpr int64_t kFloat = sizeof(float);
/// Program, libraries, and what allocators hold.
constexpr int64_t kProgramBytes = int64_t(200) << 20;
/// Tokens of a batch, and of a chunk of logits.
constexpr int64_t kBatchTokens = 1024, kLogitTokens = 256;
/// Attention's operations take so much longer than those of products, and what
/// goes over all values of a token (norms, gates, copies) takes as long as so
/// many operations for each of them.
constexpr double kAttentionCost = 4, kPassCost = 250;

double secondsOf(const std::function<void()> &body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

/// Seconds of work, on the threads that were asked for.
struct Rates {
  double operation; ///< of products
  /// Of the coder: for each row times squared columns, and for each column that
  /// a group of blocks goes through.
  double product, column;
};

/// A matrix as the coder sees it.
struct CoderShape {
  explicit CoderShape(int64_t rows, int64_t columns)
      : rows(rows), columns(columns) {
    const OutputMetric outputs(rows);
    blockRows = 2 * outputs.pairs();
    groups = std::min(
        outputs.blocks(),
        std::max<int64_t>(2, (outputs.blocks() + kLanes - 1) / kLanes));
  }
  double products() const {
    return double(rows) * double(columns) * double(columns);
  }
  /// Of the busiest of so many threads.
  double columnsOf(int threads) const {
    const int64_t turns = (groups + threads - 1) / threads;
    const double sweeps = columns > 256 ? 1 : 3;
    return sweeps * double(turns * blockRows * columns) *
           (1 + double(blockRows) / 64) / 2;
  }

  int64_t rows, columns, blockRows, groups;
};

double secondsOfCoding(int64_t rows, int64_t columns, int threads) {
  std::vector<float> weights(size_t(rows * columns)),
      moments(size_t(columns * columns));
  uint32_t state = 1;
  for (float &value : weights) {
    float sum = 0; // of four numbers: near enough to normal
    for (int k = 0; k < 4; ++k) {
      state = state * 1664525 + 1013904223;
      sum += float(state >> 8) / float(1 << 24) - 0.5f;
    }
    value = sum;
  }
  for (int64_t a = 0; a < columns; ++a)
    for (int64_t b = 0; b < columns; ++b)
      moments[size_t(a * columns + b)] =
          std::pow(0.5f, std::min(float(std::abs(a - b)), 60.f));
  const auto parallel = [&](int64_t count,
                            const std::function<void(int64_t, int64_t)> &body) {
    forkJoinRanges(threads, count, body);
  };
  const InputMetric inputs(moments.data(), columns, 0.03f, "moments", parallel);
  OutputMetric outputs(rows);
  outputs.damp(0.03f);
  CodingTask task;
  task.weights = weights.data();
  task.rows = rows;
  task.columns = columns;
  task.inputs = &inputs;
  task.outputs = &outputs;
  task.drift = moments.data();
  CodingOptions options;
  options.rounds = 4;
  options.sweeps = options.lastSweeps = 2;
  CodingReport report;
  return secondsOf([&] { codePhases(task, options, parallel, &report); });
}

Rates triedRates(int threads) {
  Rates rates{};
  constexpr int64_t size = 1024, rows = 256;
  const at::Tensor a = at::full({rows, size}, 0.5),
                   b = at::full({size, size}, 0.5);
  const auto multiply = [&](int64_t count) {
    return secondsOf([&] {
      inOrder(
          threads, size_t(count * threads),
          [&](size_t, size_t) { at::mm(a, b); }, [](size_t, size_t) {});
    });
  };
  multiply(4);
  rates.operation = multiply(64) / (64. * threads * 2 * rows * size * size);
  // All lanes of as many groups as there are threads; two lengths of rows tell
  // products from passes.
  const int64_t coded = 2 * OutputMetric::kMostPairs * kLanes * threads;
  const CoderShape few(coded, 320), many(coded, 960);
  const double first = secondsOfCoding(few.rows, few.columns, threads);
  const double second = secondsOfCoding(many.rows, many.columns, threads);
  const double ratio = double(many.columns) / double(few.columns);
  rates.product = std::max(0., second - ratio * first) /
                  (many.products() - ratio * few.products());
  rates.column =
      (first - rates.product * few.products()) / few.columnsOf(threads);
  return rates;
}

/// What is counted of one layer.
class LayerCosts {
public:
  LayerCosts(const Model &model, const PlannedLayer &layer,
             const StagePlan &plan, const QuantizationWork &work)
      : model(model), plan(plan), work(work) {
    for (const PlannedLinear &map : layer.attentionInputs)
      heads += weightsOf(map);
    output = weightsOf(layer.attentionOutput);
    for (const PlannedLinear &map : layer.mlpInputs)
      units += weightsOf(map);
    down = weightsOf(layer.mlpOutput);
    add(layer.attentionInputs, false);
    add({layer.attentionOutput}, true);
    add(layer.mlpInputs, false);
    add({layer.mlpOutput}, true);
  }

  double weights() const { return heads + output + units + down; }
  double seconds(const Rates &rates) const {
    const HFConfig &config = model.config();
    const double attention = kAttentionCost * 2 * double(work.sequenceLength) *
                             double(config.heads * config.headDim);
    const double passes =
        kPassCost * double(config.hiddenSize + config.intermediateSize);
    const double streams = // of a token, both
        4 * (heads + output + down) + 6 * units + 2 * (attention + passes);
    const double gradients = 6 * weights() + 4.5 * attention + 3 * passes;
    const double times = work.surveys ? 2 : 1;
    return rates.operation *
               (double(work.tokens) * (times * streams + times * moments) +
                double(work.gradientTokens) * (gradients + outputs)) +
           rates.product * (products + factors) * (work.surveys ? 3 : 1) +
           rates.column * columns * (work.surveys ? 3 : 1);
  }
  /// While the layer is coded, but for the streams.
  int64_t bytes() const {
    return int64_t(kFloat * (weights() + codedWeights)) + most;
  }
  int64_t outputBytes() const { return gradientBytes; }

private:
  double weightsOf(const PlannedLinear &map) const {
    return double(model.parameters()[map.weight].count());
  }

  void add(const std::vector<PlannedLinear> &maps, bool addsToStream) {
    double lone = 0;
    int64_t coding = 0, columnCount = 0, residual = 0;
    for (const PlannedLinear &map : maps) {
      if (!plan[map.weight])
        continue;
      const auto &shape = model.parameters()[map.weight].shape;
      const CoderShape coder(shape[0], shape[1]);
      columnCount = shape[1];
      codedWeights += weightsOf(map);
      outputs += 2 * double(shape[0] * coder.blockRows);
      gradientBytes += kFloat * shape[0] * coder.blockRows;
      const int64_t used = std::min<int64_t>(coder.groups, work.threads);
      const double stretched = double(work.threads) / double(used);
      if (coder.groups > 1) {
        products += stretched * coder.products();
        columns += coder.columnsOf(work.threads);
      } else {
        products += coder.products(); // beside others of one block
        lone += coder.columnsOf(1);
      }
      residual = addsToStream ? shape[0] * shape[1] : 0;
      coding = std::max(coding, 5 * shape[1] * shape[0] * used / coder.groups);
    }
    if (!columnCount)
      return;
    columns +=
        lone / double(std::min<size_t>(maps.size(), size_t(work.threads)));
    const double square = double(columnCount) * double(columnCount);
    moments += 3 * square + 2 * double(residual);
    // 11 operations a product; those of Cholesky's columns are half as fast.
    factors += square * double(columnCount) / 3 / 11 * 2;
    const int64_t squares = columnCount * columnCount;
    most = std::max(
        most, kFloat * (3 * squares + residual + std::max(squares, coding)));
  }

  const Model &model;
  const StagePlan &plan;
  const QuantizationWork &work;
  double heads = 0, output = 0, units = 0, down = 0;
  double codedWeights = 0;
  double moments = 0, outputs = 0;               ///< operations of a token
  double products = 0, factors = 0, columns = 0; ///< of the coder
  int64_t most = 0, gradientBytes = 0;
};

} // namespace

QuantizationCosts planCosts(const Model &model, const StagePlan &plan,
                            const QuantizationWork &work) {
  const HFConfig &config = model.config();
  const Rates rates = triedRates(work.threads);
  const int64_t hidden = config.hiddenSize;
  const int64_t table = config.vocabSize * hidden;
  const auto layers = int64_t(model.decoderPlan().layers.size());
  QuantizationCosts costs;
  costs.seconds =
      rates.operation * double(work.gradientTokens) * 4 * double(table);
  int64_t layerBytes = 0, gradientLayer = 0, gradients = 0;
  for (const PlannedLayer &layer : model.decoderPlan().layers) {
    const LayerCosts own(model, layer, plan, work);
    costs.seconds += own.seconds(rates);
    layerBytes = std::max(layerBytes, own.bytes());
    gradientLayer =
        std::max(gradientLayer, int64_t(kFloat * own.weights()) +
                                    (work.threads + 1) * own.outputBytes());
    gradients += own.outputBytes();
  }
  const int64_t stream = kFloat * work.tokens * hidden;
  const int64_t gradientStream = kFloat * work.gradientTokens * hidden;
  const int64_t heads = kFloat * work.tokens * config.heads * config.headDim;
  // Of a batch: the way back keeps every value of a layer.
  const int64_t values =
      kFloat * kBatchTokens * (12 * hidden + 6 * config.intermediateSize);
  const int64_t unitTable = kFloat * table * (config.tieWordEmbeddings ? 1 : 2);
  const int64_t logits =
      work.threads * 3 * kFloat * kLogitTokens * config.vocabSize;
  costs.memoryBytes =
      kProgramBytes +
      std::max({unitTable + logits + 2 * gradientStream,
                gradientLayer + 3 * gradientStream + work.threads * values,
                layerBytes + 2 * stream + std::max(stream, 2 * heads) +
                    4 * work.threads * kFloat * kBatchTokens *
                        config.intermediateSize / 2});
  costs.diskBytes =
      layers * gradientStream + gradients + 2 * int64_t(model.parameterCount());
  if (work.tuningTokens) {
    // A teacher forward; the coded model forward, again, and back.
    costs.seconds += 1.5 * rates.operation * double(work.tuningTokens) * 10 *
                     double(model.parameterCount());
    costs.memoryBytes =
        std::max(costs.memoryBytes,
                 kProgramBytes + 3 * kFloat * model.parameterCount() +
                     work.threads * (values * layers / 2 + 2 * logits));
  }
  return costs;
}

} // namespace fairy2::trainer
