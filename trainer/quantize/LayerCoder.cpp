// SPDX-License-Identifier: Apache-2.0
//
// A layer, one linear map's input after the other.
#include "trainer/quantize/LayerCoder.h"

#include "runtime/support/Error.h"
#include "runtime/support/ForkJoin.h"
#include "trainer/TensorData.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace fairy2::trainer {

namespace {

constexpr float kInputDamping = 0.03f, kOutputDamping = 0.03f;
/// Up to so many columns the coder takes all the rounds that it gains by. Wider
/// matrices get a third of them: at 2 stages stories260K has 0.01 nats more
/// with them.
constexpr int64_t kFewColumns = 256;
/// Rows of a matrix of moments that one thread makes at a time.
constexpr int64_t kMomentRows = 256;
/// Batches whose inputs are in memory at a time, at least.
constexpr size_t kWindow = 4;

/// Rows [begin, begin + count) of `to` += the same columns of x, transposed,
/// times y, up to column `end`.
void addProduct(const at::Tensor &x, const at::Tensor &y, int64_t begin,
                int64_t count, int64_t end, const at::Tensor &to) {
  at::Tensor rows = to.narrow(0, begin, count).narrow(1, 0, end);
  rows.addmm_(x.narrow(1, begin, count).t(), y.narrow(1, 0, end));
}

/// Makes what is above the diagonal that which is below.
void mirror(const at::Tensor &square) {
  const int64_t size = square.size(0);
  auto *values = square.mutable_data_ptr<float>();
  for (int64_t r = 0; r < size; ++r)
    for (int64_t c = r + 1; c < size; ++c)
      values[r * size + c] = values[c * size + r];
}

} // namespace

LayerCoder::LayerCoder(LayeredModel &source, const std::vector<Batch> &batches,
                       const LayerCoderOptions &options)
    : source(source), model(source.model()), batches(batches), options(options),
      streams(batches.size()) {
  for (const Batch &batch : batches)
    tokenCount += batch.tokens.size(0);
}

void LayerCoder::overBatches(
    const std::function<void(size_t k)> &compute) const {
  inOrder(
      options.threads, batches.size(), [&](size_t k, size_t) { compute(k); },
      [](size_t, size_t) {});
}

void LayerCoder::embed() {
  const Weights weights = source.load(0);
  overBatches([&](size_t k) {
    const at::Tensor x = model.embed(weights, batches[k]);
    streams[k] = {x, x};
  });
  source.release(0);
}

CodedLayer LayerCoder::run(size_t index, GradientMoments moments,
                           std::optional<CodedLayer> done) {
  const PlannedLayer &layer = model.decoderPlan().layers[index];
  exact = source.load(index + 1);
  coded = exact;
  outputs = std::move(moments);
  for (auto &[parameter, metric] : outputs)
    metric.damp(kOutputDamping);
  results = done.value_or(CodedLayer());
  for (const auto &[parameter, matrix] : results)
    use(parameter, matrix);
  const auto code = [&](const std::vector<PlannedLinear> &maps,
                        bool addsToStream, const InputOf &inputOf) {
    if (!done)
      codeGroup(maps, addsToStream, inputOf);
  };
  code(layer.attentionInputs, false, [&](size_t k) {
    return Streams{model.attentionInput(index, exact, streams[k].exact),
                   model.attentionInput(index, coded, streams[k].coded)};
  });
  std::vector<Streams> heads(batches.size());
  overBatches([&](size_t k) {
    const auto attended = [&](const Weights &weights, const at::Tensor &x) {
      return model.attended(index, weights, batches[k],
                            model.attentionInput(index, weights, x));
    };
    heads[k] = {attended(exact, streams[k].exact),
                attended(coded, streams[k].coded)};
  });
  code({layer.attentionOutput}, !layer.afterAttention,
       [&](size_t k) { return heads[k]; });
  overBatches([&](size_t k) {
    streams[k] = {
        model.addAttention(index, exact, streams[k].exact, heads[k].exact),
        model.addAttention(index, coded, streams[k].coded, heads[k].coded)};
    heads[k] = {};
  });
  code(layer.mlpInputs, false, [&](size_t k) {
    return Streams{model.mlpInput(index, exact, streams[k].exact),
                   model.mlpInput(index, coded, streams[k].coded)};
  });
  const auto units = [&](const Weights &weights, const at::Tensor &x) {
    return model.gated(index, weights, model.mlpInput(index, weights, x));
  };
  // The float stream goes on while its units are at hand.
  std::vector<at::Tensor> next(batches.size());
  const auto exactUnits = [&](size_t k) {
    at::Tensor own = units(exact, streams[k].exact);
    next[k] = model.addMlp(index, exact, streams[k].exact, own);
    return own;
  };
  code({layer.mlpOutput}, !layer.afterMlp, [&](size_t k) {
    return Streams{exactUnits(k), units(coded, streams[k].coded)};
  });
  overBatches([&](size_t k) {
    if (!next[k].defined())
      exactUnits(k);
    streams[k] = {next[k], model.addMlp(index, coded, streams[k].coded,
                                        units(coded, streams[k].coded))};
  });
  exact = coded = {};
  source.release(index + 1);
  return std::move(results);
}

LayerCoder::Moments LayerCoder::momentsOf(const InputOf &inputOf,
                                          bool addsToStream) const {
  const size_t window = std::max(kWindow, size_t(options.threads));
  std::vector<Streams> inputs(window);
  std::vector<at::Tensor> errors(window);
  Moments sums;
  for (size_t first = 0; first < batches.size(); first += window) {
    const size_t count = std::min(window, batches.size() - first);
    const auto nothing = [](size_t, size_t) {};
    inOrder(
        options.threads, count,
        [&](size_t i, size_t) {
          inputs[i] = inputOf(first + i);
          inputs[i].exact = inputs[i].exact.sub(inputs[i].coded);
          if (addsToStream)
            errors[i] = streams[first + i].exact.sub(streams[first + i].coded);
        },
        nothing);
    const int64_t columns = inputs[0].coded.size(1);
    const int64_t hidden = addsToStream ? errors[0].size(1) : 0;
    if (!sums.h.defined()) {
      sums.h = at::zeros({columns, columns}, at::kFloat);
      sums.drift = at::zeros({columns, columns}, at::kFloat);
      if (addsToStream)
        sums.residual = at::zeros({hidden, columns}, at::kFloat);
    }
    // Every sum takes the batches in their order, whoever makes it.
    const auto rowBlocks = [&](int64_t rows, const auto &add) {
      inOrder(
          options.threads, size_t((rows + kMomentRows - 1) / kMomentRows),
          [&](size_t block, size_t) {
            const int64_t begin = int64_t(block) * kMomentRows;
            for (size_t i = 0; i < count; ++i)
              add(i, begin, std::min(kMomentRows, rows - begin));
          },
          nothing);
    };
    rowBlocks(columns, [&](size_t i, int64_t begin, int64_t rows) {
      addProduct(inputs[i].coded, inputs[i].coded, begin, rows, begin + rows,
                 sums.h);
      addProduct(inputs[i].exact, inputs[i].coded, begin, rows, columns,
                 sums.drift);
    });
    rowBlocks(hidden, [&](size_t i, int64_t begin, int64_t rows) {
      addProduct(errors[i], inputs[i].coded, begin, rows, columns,
                 sums.residual);
    });
  }
  mirror(sums.h);
  sums.h.div_(double(tokenCount));
  sums.drift.div_(double(tokenCount));
  if (addsToStream)
    sums.residual.div_(double(tokenCount) * model.config().residualMultiplier);
  return sums;
}

CodingOptions LayerCoder::codingOf(size_t parameter, int64_t columns) const {
  CodingOptions coding;
  coding.stages = options.stages[parameter];
  coding.grid = schemeOf(options.stages).grid;
  if (columns > kFewColumns) {
    coding.rounds = 4;
    coding.sweeps = coding.lastSweeps = 2;
  }
  return coding;
}

/// Codes the maps that read one input.
void LayerCoder::codeGroup(const std::vector<PlannedLinear> &maps,
                           bool addsToStream, const InputOf &inputOf) {
  const std::vector<bool> &isCoded = source.isCoded();
  if (std::ranges::none_of(
          maps, [&](const PlannedLinear &map) { return isCoded[map.weight]; }))
    return;
  Moments moments = momentsOf(inputOf, addsToStream);
  const std::string &first = model.parameters()[maps[0].weight].name;
  const auto parallel = [&](int64_t count,
                            const std::function<void(int64_t, int64_t)> &body) {
    forkJoinRanges(options.threads, count, body);
  };
  const InputMetric inputs(floatsOf(moments.h), moments.h.size(0),
                           kInputDamping, "inputs of " + first, parallel);
  moments.h = at::Tensor();
  if (inputs.isZero())
    options.note("the input of " + first +
                 " is always zero on this text: its weights are coded as "
                 "they are");
  std::vector<std::pair<size_t, CodingTask>> tasks;
  for (const PlannedLinear &map : maps)
    if (isCoded[map.weight]) {
      const Parameter &parameter = model.parameters()[map.weight];
      CodingTask task;
      task.weights = floatsOf(parameter.latent);
      task.rows = parameter.shape[0];
      task.columns = parameter.shape[1];
      task.inputs = &inputs;
      task.outputs = &outputs.at(map.weight);
      task.name = parameter.name;
      if (!options.survey) {
        task.drift = floatsOf(moments.drift);
        task.residual = addsToStream ? floatsOf(moments.residual) : nullptr;
      }
      tasks.emplace_back(map.weight, std::move(task));
    }
  if (options.survey) {
    for (const auto &[weight, task] : tasks)
      options.survey(weight, task, parallel);
    return;
  }
  codeTasks(tasks, parallel);
}

/// One after the other on all threads, but that matrices of one block, which
/// one thread codes, are coded beside each other.
void LayerCoder::codeTasks(
    const std::vector<std::pair<size_t, CodingTask>> &tasks,
    const ParallelFor &parallel) {
  std::vector<size_t> lone;
  const auto code = [&](size_t k, const ParallelFor &parallelFor) {
    const auto &[weight, task] = tasks[k];
    CodedMatrix &matrix = results.at(weight);
    matrix.phases = codePhases(task, codingOf(weight, task.columns),
                               parallelFor, &matrix.report);
  };
  for (size_t k = 0; k < tasks.size(); ++k) {
    results[tasks[k].first] = {};
    if (tasks[k].second.outputs->blocks() == 1)
      lone.push_back(k);
    else
      code(k, parallel);
  }
  inOrder(
      options.threads, lone.size(),
      [&](size_t i, size_t) { code(lone[i], serialFor); },
      [](size_t, size_t) {});
  for (const auto &[weight, task] : tasks)
    use(weight, results.at(weight));
}

/// Lets the coded stream multiply with it.
void LayerCoder::use(size_t parameter, const CodedMatrix &matrix) {
  const std::vector<float> dense = dequantizePhases(matrix.phases);
  at::Tensor weights =
      at::empty(model.parameters()[parameter].shape, at::kFloat);
  std::copy(dense.begin(), dense.end(), weights.mutable_data_ptr<float>());
  coded.tensors[parameter] = weights;
}

} // namespace fairy2::trainer
