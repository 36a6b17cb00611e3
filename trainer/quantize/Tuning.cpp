// SPDX-License-Identifier: Apache-2.0
//
// One vector of logarithms holds all that is tuned. A pass multiplies with
// codes alone and then with factors, so that backward makes no gradient of a
// matrix.
#include "trainer/quantize/Tuning.h"

#include "dialect/phase/PhaseCoder.h"
#include "trainer/TensorData.h"
#include "trainer/optimize/AdamW.h"
#include "trainer/optimize/Schedule.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace fairy2::trainer {

namespace {

constexpr size_t kBatchesPerStep = 2; // of 1,024 tokens
constexpr const char *kState = "tuning.f32";
constexpr auto kSaveInterval = std::chrono::seconds(20);

at::Tensor tensorOf(std::span<const float> values) {
  at::Tensor tensor = at::empty({int64_t(values.size())}, at::kFloat);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

/// A parameter's part of the vector.
struct TunedPart {
  size_t index;   ///< of the parameter
  bool isMatrix;  ///< whose factors these are
  int64_t offset; ///< in the vector
  std::vector<float> start;
};

class Tuner {
public:
  Tuner(const Model &model, const std::map<size_t, PhaseMatrix> &coded,
        const TuningOptions &options)
      : model(model), options(options), exact(model.latents()),
        passed(model.latents()) {
    passed.rowFactors.resize(model.parameters().size());
    int64_t offset = 0;
    const auto add = [&](size_t index, bool isMatrix,
                         std::vector<float> start) {
      parts.push_back({index, isMatrix, offset, std::move(start)});
      offset += int64_t(parts.back().start.size());
    };
    for (const auto &[index, phases] : coded) {
      add(index, true, phases.rowFactors);
      PhaseMatrix plain = phases;
      std::fill(plain.rowFactors.begin(), plain.rowFactors.end(), 1.f);
      passed.tensors[index] = tensorOf(dequantizePhases(plain))
                                  .view(model.parameters()[index].shape);
    }
    for (size_t i = 0; i < model.parameters().size(); ++i)
      if (const Parameter &norm = model.parameters()[i];
          norm.role == ParameterRole::Norm)
        add(i, false,
            {floatsOf(norm.latent), floatsOf(norm.latent) + norm.count()});
    adam.values = {at::zeros({offset}, at::kFloat)};
    adam.gradients = {at::zeros({offset}, at::kFloat)};
    adam.means = {at::zeros({offset}, at::kFloat)};
    adam.squares = {at::zeros({offset}, at::kFloat)};
    adam.steps = {at::zeros({}, at::kFloat)};
    settings.learningRate = options.learningRate;
  }

  Tuned run(const std::vector<Batch> &batches, const WorkFolder &work) {
    const size_t steps =
        (batches.size() + kBatchesPerStep - 1) / kBatchesPerStep;
    std::vector<float> divergences = load(work, steps);
    auto saved = std::chrono::steady_clock::now();
    for (size_t step = divergences.size(); step < steps; ++step) {
      divergences.push_back(oneStep(batches, step, steps));
      if (const auto now = std::chrono::steady_clock::now();
          now - saved > kSaveInterval) {
        save(work, divergences, steps);
        saved = now;
      }
    }
    Tuned tuned;
    for (const TunedPart &part : parts)
      tuned.values[part.index] = valuesOf(part);
    const size_t eighth = (steps + 7) / 8;
    for (size_t k = 0; k < eighth; ++k) {
      tuned.firstDivergence += divergences[k] / double(eighth);
      tuned.lastDivergence += divergences[steps - 1 - k] / double(eighth);
    }
    return tuned;
  }

private:
  /// 1 where norms multiply with 1 + what is stored.
  float offsetOf(const TunedPart &part) const {
    return !part.isMatrix && model.config().block.unitOffset ? 1 : 0;
  }

  std::vector<float> valuesOf(const TunedPart &part) const {
    const float *logs = floatsOf(adam.values[0]) + part.offset;
    std::vector<float> values;
    for (size_t k = 0; k < part.start.size(); ++k) {
      const float value =
          (part.start[k] + offsetOf(part)) * float(std::exp(double(logs[k])));
      values.push_back(part.isMatrix ? nearestRowFactor(value)
                                     : value - offsetOf(part));
    }
    return values;
  }

  /// What a pass multiplies with, as leaves of its own.
  Weights leaves(const std::vector<std::vector<float>> &values,
                 std::vector<at::Tensor> &tuned) const {
    Weights weights = passed;
    for (size_t k = 0; k < parts.size(); ++k) {
      tuned.push_back(tensorOf(values[k]).requires_grad_(true));
      (parts[k].isMatrix ? weights.rowFactors
                         : weights.tensors)[parts[k].index] = tuned.back();
    }
    return weights;
  }

  /// The mean divergence of the step's tokens before it.
  float oneStep(const std::vector<Batch> &batches, size_t step, size_t steps) {
    std::vector<std::vector<float>> values;
    for (const TunedPart &part : parts)
      values.push_back(valuesOf(part));
    auto *gradient = adam.gradients[0].mutable_data_ptr<float>();
    std::fill_n(gradient, adam.gradients[0].numel(), 0.f);
    const size_t first = step * kBatchesPerStep;
    const size_t count = std::min(kBatchesPerStep, batches.size() - first);
    std::vector<std::vector<at::Tensor>> tuned(size_t(options.threads));
    std::vector<double> losses(size_t(options.threads));
    double loss = 0;
    int64_t tokens = 0;
    inOrder(
        options.threads, count,
        [&](size_t k, size_t slot) {
          tuned[slot].clear();
          losses[slot] =
              backward(batches[first + k], leaves(values, tuned[slot]));
        },
        [&](size_t k, size_t slot) {
          loss += losses[slot];
          tokens += batches[first + k].tokens.size(0);
          for (size_t part = 0; part < parts.size(); ++part)
            addGradient(parts[part], values[part], tuned[slot][part].grad(),
                        gradient);
        });
    move(double(tokens), step, steps);
    return float(loss / double(tokens));
  }

  double backward(const Batch &batch, const Weights &weights) const {
    const std::optional<double> cap = model.config().finalSoftCap;
    const Distillation teacher = {model.hidden(exact, batch), exact.head,
                                  /*weight=*/1, /*temperature=*/1, cap};
    const at::AutoGradMode withGradients(true);
    const at::Tensor loss =
        linearCrossEntropy(model.hidden(weights, batch), weights.head,
                           batch.targets, &teacher, nullptr, cap);
    torch::autograd::backward({loss}, {});
    return loss.item<double>();
  }

  /// From the gradient in a value to that in its logarithm.
  void addGradient(const TunedPart &part, const std::vector<float> &values,
                   const at::Tensor &from, float *to) const {
    const float *slope = floatsOf(from);
    for (size_t k = 0; k < values.size(); ++k)
      to[part.offset + int64_t(k)] += slope[k] * (values[k] + offsetOf(part));
  }

  void move(double tokens, size_t step, size_t steps) {
    double norm = 0;
    const float *gradient = floatsOf(adam.gradients[0]);
    for (int64_t k = 0; k < adam.gradients[0].numel(); ++k)
      norm += double(gradient[k]) * double(gradient[k]);
    norm = std::sqrt(norm) / tokens;
    adam.gradients[0].mul_(std::min(1.0, settings.clip / norm) / tokens);
    adam.steps[0].add_(1);
    adam.update(settings.learningRate *
                    learningRateFactor(settings, int64_t(step), int64_t(steps)),
                settings);
  }

  /// The state, then the divergences of the steps done, and their number.
  void save(const WorkFolder &work, const std::vector<float> &divergences,
            size_t steps) const {
    std::vector<float> all;
    for (const auto *state : {&adam.values, &adam.means, &adam.squares})
      all.insert(all.end(), floatsOf(state->front()),
                 floatsOf(state->front()) + state->front().numel());
    all.insert(all.end(), divergences.begin(), divergences.end());
    all.resize(all.size() + steps - divergences.size());
    all.push_back(float(divergences.size()));
    work.saveFloats(kState, all);
  }

  std::vector<float> load(const WorkFolder &work, size_t steps) {
    const auto size = size_t(adam.values[0].numel());
    const auto saved = work.floats(kState, 3 * size + steps + 1);
    if (!saved)
      return {};
    const float *from = saved->data();
    for (auto *state : {&adam.values, &adam.means, &adam.squares}) {
      std::copy_n(from, size, state->front().mutable_data_ptr<float>());
      from += size;
    }
    const float done = saved->back();
    adam.steps[0].fill_(done);
    return {from, from + size_t(done)};
  }

  const Model &model;
  const TuningOptions &options;
  const Weights exact;
  Weights passed; ///< codes, in place of coded matrices
  std::vector<TunedPart> parts;
  AdamWGroup adam; ///< of the one vector
  Recipe::Train settings;
};

} // namespace

double tuningRate(double bits) {
  return bits < 2.5 ? 1.5e-2 : bits < 3.5 ? 1e-2 : 5e-3;
}

Tuned tune(const Model &model, const std::map<size_t, PhaseMatrix> &coded,
           const Sequences &sequences, const TuningOptions &options,
           const WorkFolder &work) {
  return Tuner(model, coded, options)
      .run(batchesOf(model.config(), sequences), work);
}

} // namespace fairy2::trainer
