// SPDX-License-Identifier: Apache-2.0
//
// Forward through all layers, keeping their inputs, and back layer by layer,
// each computed again.
#include "trainer/quantize/Gradients.h"

#include "trainer/Random.h"
#include "trainer/TensorData.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace fairy2::trainer {

namespace {

/// Adds to G what the gradients of a batch, [tokens, rows], give it.
void addProducts(const at::Tensor &gradient, OutputMetric &to) {
  const int64_t half = gradient.size(1) / 2, pairs = to.pairs();
  for (int64_t b = 0; b < to.blocks(); ++b) {
    const int64_t count = to.pairsOf(b);
    const at::Tensor g = at::cat({gradient.narrow(1, b * pairs, count),
                                  gradient.narrow(1, half + b * pairs, count)},
                                 1);
    const at::Tensor products = at::mm(g.t(), g);
    const float *from = floatsOf(products);
    for (int64_t r = 0; r < 2 * count; ++r)
      for (int64_t c = 0; c < 2 * count; ++c) {
        const auto place = [&](int64_t k) {
          return k / count * pairs + k % count;
        };
        to.block(b)[place(r) * 2 * pairs + place(c)] += from[r * 2 * count + c];
      }
  }
}

/// One of the tokens, by its probability.
int64_t drawn(const float *probabilities, int64_t count, double uniform) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k)
    sum += probabilities[k];
  double left = uniform * sum;
  for (int64_t k = 0; k < count; ++k)
    if (left -= probabilities[k]; left < 0)
      return k;
  return count - 1;
}

/// The gradient, in the last hidden states, of the cross-entropy of labels that
/// are drawn for each of them; the first is token `first` of the run.
at::Tensor hiddenGradient(const Model &model, const Weights &weights,
                          const at::Tensor &hidden, uint64_t seed,
                          int64_t first) {
  const std::optional<double> cap = model.config().finalSoftCap;
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < hidden.size(0); begin += kLossChunkTokens) {
    const int64_t count = std::min(kLossChunkTokens, hidden.size(0) - begin);
    at::Tensor logits =
        at::mm(hidden.narrow(0, begin, count), weights.head.t());
    at::Tensor capSlope;
    if (cap) {
      const at::Tensor bent = logits.div(*cap).tanh();
      capSlope = bent.square().neg().add(1);
      logits = bent.mul(*cap);
    }
    at::Tensor slope = at::softmax(logits, 1);
    auto *values = slope.mutable_data_ptr<float>();
    for (int64_t t = 0; t < count; ++t) {
      RandomStream stream(seed, "label " + std::to_string(first + begin + t));
      float *row = values + t * slope.size(1);
      row[drawn(row, slope.size(1), stream.uniform())] -= 1;
    }
    if (cap)
      slope = slope.mul(capSlope);
    parts.push_back(at::mm(slope, weights.head));
  }
  return at::cat(parts, 0);
}

/// Goes back through y = f(x), from dLoss/dy to dLoss/dx.
template <typename F>
at::Tensor back(const at::Tensor &x, const F &f, const at::Tensor &gradient) {
  const at::Tensor leaf = x.detach().requires_grad_(true);
  at::Tensor y;
  {
    const at::AutoGradMode withGradients(true);
    y = f(leaf);
  }
  torch::autograd::backward({y}, {gradient});
  return leaf.grad();
}

/// One run: forwards, and back.
class GradientPass {
public:
  GradientPass(LayeredModel &source, const std::vector<Batch> &batches,
               uint64_t seed, int threads, const LayerInputs &inputs)
      : source(source), model(source.model()), batches(batches), seed(seed),
        threads(threads), inputs(inputs), streams(batches.size()) {
    for (const Batch &batch : batches)
      firsts.push_back(firsts.back() + batch.tokens.size(0));
  }

  void run(const TakeMoments &take) {
    const size_t layers = model.decoderPlan().layers.size();
    withUnit(0, [&](const Weights &weights, size_t k) {
      streams[k] = model.embed(weights, batches[k]);
    });
    for (size_t layer = 0; layer < layers; ++layer) {
      inputs.save(layer, streams);
      withUnit(layer + 1, [&](const Weights &weights, size_t k) {
        streams[k] = model.layer(layer, weights, batches[k], streams[k]);
      });
    }
    // From here on the streams are gradients.
    withUnit(0, [&](const Weights &weights, size_t k) {
      const at::Tensor hidden = model.finish(weights, streams[k]);
      streams[k] = back(
          streams[k],
          [&](const at::Tensor &x) { return model.finish(weights, x); },
          hiddenGradient(model, weights, hidden, seed, firsts[k]));
    });
    for (size_t layer = layers; layer-- > 0;)
      take(layer, momentsOf(layer));
  }

private:
  void withUnit(
      size_t unit,
      const std::function<void(const Weights &weights, size_t k)> &compute) {
    const Weights weights = source.load(unit);
    inOrder(
        threads, batches.size(), [&](size_t k, size_t) { compute(weights, k); },
        [](size_t, size_t) {});
    source.release(unit);
  }

  GradientMoments momentsOf(size_t layer) {
    GradientMoments total = noMoments(source, layer);
    std::vector<GradientMoments> parts(static_cast<size_t>(threads));
    const std::vector<at::Tensor> xs = inputs.take(layer, streams);
    const Weights weights = source.load(layer + 1);
    const auto compute = [&](size_t k, size_t slot) {
      GradientMoments &sums = parts[slot] = noMoments(source, layer);
      Weights tapped = weights;
      tapped.tap = [&](size_t index, const at::Tensor &y) {
        if (const auto place = sums.find(index); place != sums.end())
          y.register_hook([&to = place->second](const at::Tensor &g) {
            addProducts(g.detach(), to);
          });
      };
      streams[k] = back(
          xs[k],
          [&](const at::Tensor &x) {
            return model.layer(layer, tapped, batches[k], x);
          },
          streams[k]);
    };
    const auto take = [&](size_t, size_t slot) {
      for (auto &[index, metric] : total) {
        const std::span<const float> from = parts[slot].at(index).all();
        const std::span<float> to = metric.all();
        for (size_t i = 0; i < to.size(); ++i)
          to[i] += from[i] / float(firsts.back());
      }
    };
    inOrder(threads, batches.size(), compute, take);
    source.release(layer + 1);
    return total;
  }

  LayeredModel &source;
  const Model &model;
  const std::vector<Batch> &batches;
  const uint64_t seed;
  const int threads;
  const LayerInputs &inputs;
  std::vector<at::Tensor> streams;   ///< of each batch
  std::vector<int64_t> firsts = {0}; ///< tokens of each batch
};

} // namespace

GradientMoments noMoments(const LayeredModel &source, size_t layer) {
  GradientMoments moments;
  const auto &parameters = source.model().parameters();
  for (size_t i = 0; i < parameters.size(); ++i)
    if (source.isCoded()[i] && parameters[i].layer == int64_t(layer))
      moments.emplace(i, OutputMetric(parameters[i].shape[0]));
  return moments;
}

void gradientMoments(LayeredModel &source, const std::vector<Batch> &batches,
                     uint64_t seed, int threads, const LayerInputs &inputs,
                     const TakeMoments &take) {
  GradientPass(source, batches, seed, threads, inputs).run(take);
}

} // namespace fairy2::trainer
