// SPDX-License-Identifier: Apache-2.0
//
// The frame of all optimizers: their states, the gradients' norm and scale.
#include "trainer/optimize/Optimizer.h"

#include "trainer/Device.h"
#include "trainer/TensorData.h"
#include "trainer/optimize/AdamW.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace fairy2::trainer {
namespace {

/// In double, so that how a vector is divided over ranks hardly matters.
double sumOfSquares(const float *x, int64_t count) {
  constexpr int64_t kSums = 8;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int64_t j = 0; j < kSums; ++j)
      sums[j] += double(x[i + j]) * double(x[i + j]);
  double sum = 0;
  for (; i < count; ++i)
    sum += double(x[i]) * double(x[i]);
  for (const double part : sums)
    sum += part;
  return sum;
}

} // namespace

Optimizer::Optimizer(ShardedWeights &weights,
                     std::vector<std::string> stateNames)
    : weights(weights),
      count(
          at::zeros({}, at::TensorOptions(weights.device()).dtype(at::kFloat))),
      names(std::move(stateNames)), unitGradients(weights.gradientParts()) {
  for (const OwnPart &part : weights.ownParts()) {
    states.emplace_back();
    for (size_t i = 0; i < names.size(); ++i)
      states.back().push_back(at::zeros_like(part.latents));
  }
  // Norms add up matrices first, and the rest then: what a sum rounds to
  // depends on its order.
  std::vector<Piece> others;
  for (Slice &slice : weights.slices()) {
    Piece piece{std::move(slice), {}};
    for (const at::Tensor &state : states[piece.slice.unit])
      piece.states.push_back(
          state.narrow(0, piece.slice.offset, piece.slice.values.numel()));
    (piece.slice.isOfMatrix() ? pieces : others).push_back(std::move(piece));
  }
  pieces.insert(pieces.end(), others.begin(), others.end());
}

double Optimizer::squaredNormOnDevice(const DeviceKernels &device) const {
  std::vector<at::Tensor> parts;
  for (const at::Tensor &gradient : unitGradients) {
    parts.push_back(at::empty({SumOfSquaresCall::kParts},
                              gradient.options().dtype(at::kDouble)));
    device.start(SumOfSquaresCall{floatsOf(gradient), gradient.numel(),
                                  parts.back().mutable_data_ptr<double>()});
  }
  return parts.empty() ? 0 : at::cat(parts).sum().item<double>();
}

double Optimizer::squaredNorm() const {
  if (const DeviceKernels *device = deviceKernels(count))
    return squaredNormOnDevice(*device);
  double sum = 0;
  for (const Piece &piece : pieces)
    sum += sumOfSquares(floatsOf(piece.slice.gradient),
                        piece.slice.gradient.numel());
  return sum;
}

void Optimizer::scaleGradients(double factor) {
  const at::NoGradGuard noGradients;
  for (const at::Tensor &gradient : unitGradients)
    gradient.mul_(factor);
}

void Optimizer::step(double learningRate) {
  const at::NoGradGuard noGradients;
  count.add_(1);
  update(learningRate);
}

int64_t Optimizer::stepsDone() const { return int64_t(count.item<float>()); }

void Optimizer::setStepsDone(int64_t steps) { count.fill_(double(steps)); }

std::unique_ptr<Optimizer> makeOptimizer(ShardedWeights &weights,
                                         const Recipe::Train &settings) {
  switch (optimizerKind(settings.optimizer).rule) {
  case OptimizerRule::AdamW:
    return std::make_unique<AdamW>(weights, settings);
  }
  return nullptr;
}

} // namespace fairy2::trainer
