// SPDX-License-Identifier: Apache-2.0
//
// Moments lie beside the slices, and one kernel updates all of them.
#include "trainer/optimize/Optimizer.h"

#include "trainer/Device.h"
#include "trainer/TensorData.h"

#include <ATen/ops/_fused_adamw.h>
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

AdamW::AdamW(ShardedWeights &weights, const Recipe::Train &settings)
    : settings(settings),
      count(
          at::zeros({}, at::TensorOptions(weights.device()).dtype(at::kFloat))),
      unitGradients(weights.gradientParts()) {
  groups[0].weightDecay = settings.weightDecay;
  groups[1].weightDecay = 0;
  for (const OwnPart &part : weights.ownParts())
    units.push_back(
        {at::zeros_like(part.latents), at::zeros_like(part.latents)});
  for (const Slice &slice : weights.slices()) {
    Group &group = groups[slice.decays ? 0 : 1];
    const int64_t length = slice.values.numel();
    const Moments &unit = units[slice.unit];
    group.values.push_back(slice.values);
    group.gradients.push_back(slice.gradient);
    group.means.push_back(unit.means.narrow(0, slice.offset, length));
    group.squares.push_back(unit.squares.narrow(0, slice.offset, length));
    group.steps.push_back(count);
  }
}

double AdamW::squaredNormOnDevice(const DeviceKernels &device) const {
  std::vector<at::Tensor> parts;
  for (const at::Tensor &gradient : unitGradients) {
    parts.push_back(at::empty({SumOfSquaresCall::kParts},
                              gradient.options().dtype(at::kDouble)));
    device.start(SumOfSquaresCall{floatsOf(gradient), gradient.numel(),
                                  parts.back().mutable_data_ptr<double>()});
  }
  return parts.empty() ? 0 : at::cat(parts).sum().item<double>();
}

double AdamW::squaredNorm() const {
  if (const DeviceKernels *device = deviceKernels(count))
    return squaredNormOnDevice(*device);
  double sum = 0;
  for (const Group &group : groups)
    for (const at::Tensor &gradient : group.gradients)
      sum += sumOfSquares(floatsOf(gradient), gradient.numel());
  return sum;
}

void AdamW::scaleGradients(double factor) {
  const at::NoGradGuard noGradients;
  for (const at::Tensor &gradient : unitGradients)
    gradient.mul_(factor);
}

void AdamW::step(double learningRate) {
  const at::NoGradGuard noGradients;
  count.add_(1);
  for (Group &group : groups)
    if (!group.values.empty())
      at::_fused_adamw_(group.values, group.gradients, group.means,
                        group.squares, {}, group.steps, learningRate,
                        settings.beta1, settings.beta2, group.weightDecay,
                        settings.epsilon, /*amsgrad=*/false,
                        /*maximize=*/false);
}

int64_t AdamW::stepsDone() const { return int64_t(count.item<float>()); }

void AdamW::setStepsDone(int64_t steps) { count.fill_(double(steps)); }

} // namespace fairy2::trainer
