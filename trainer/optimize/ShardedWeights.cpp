// SPDX-License-Identifier: Apache-2.0
//
// Units of parameters, cut into equal parts, that are gathered before a layer
// and whose gradients are summed after it.
#include "trainer/optimize/ShardedWeights.h"

#include "runtime/support/Error.h"

#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <algorithm>

namespace fairy2::trainer {
namespace {

/// Parameters and parts begin at multiples of so many values, so that a loop in
/// vectors over a slice rounds as the loop over the whole does.
constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t count) {
  return (count + kAlignment - 1) / kAlignment * kAlignment;
}

/// Exchanges under way at a time: Gloo holds a copy of each one's tensor.
constexpr size_t kUnderWay = 2;

/// Waits for the oldest until at most `count` are left.
void waitForAllBut(size_t count, std::deque<Pending> &pending) {
  while (pending.size() > count) {
    pending.front()();
    pending.pop_front();
  }
}

} // namespace

Sharding shardingOf(const std::string &name) {
  if (name == "none")
    return Sharding::None;
  if (name == "zero1")
    return Sharding::Moments;
  if (name == "zero3")
    return Sharding::All;
  throw Error("train.sharding: expected none, zero1 or zero3, found '" + name +
              "'");
}

int64_t partLength(int64_t total, int64_t parts) {
  return aligned((total + parts - 1) / parts);
}

ShardedWeights::ShardedWeights(Model &model, Communicator &ranks,
                               Sharding sharding, bool recompute,
                               const FillParameter &fill, at::Device device)
    : model(model), ranks(ranks), sharding(sharding), recompute(recompute),
      home(device), units(model.units()) {
  const std::vector<Parameter> &parameters = model.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    Unit &unit = units[parameters[i].unit()];
    unit.parameters.push_back(i);
    unit.offsets.push_back(unit.total);
    unit.total += aligned(parameters[i].count());
  }
  for (Unit &unit : units) {
    // Without sharding every rank owns the whole vector.
    unit.length = partLength(unit.total, divides() ? ranks.size() : 1);
    unit.begin = divides() ? unit.length * ranks.rank() : 0;
    place(unit, fill);
  }
}

at::Tensor ShardedWeights::viewOf(const at::Tensor &flat, const Unit &unit,
                                  size_t i) const {
  const Parameter &parameter = model.parameters()[unit.parameters[i]];
  return flat.narrow(0, unit.offsets[i], parameter.count())
      .view(parameter.shape);
}

void ShardedWeights::place(Unit &unit, const FillParameter &fill) {
  const int64_t padded = divides() ? paddedLength(unit) : unit.length;
  at::Tensor flat = at::zeros({padded}, at::kFloat);
  for (size_t i = 0; i < unit.parameters.size(); ++i) {
    Parameter &parameter = model.parameters()[unit.parameters[i]];
    parameter.latent = viewOf(flat, unit, i);
    fill(parameter);
    parameter.latent.reset();
  }
  if (shardsAll()) {
    unit.latents = flat.narrow(0, unit.begin, unit.length).clone().to(home);
    unit.gradients = at::zeros({unit.length}, floats());
    return;
  }
  unit.latents = flat.to(home);
  for (size_t i = 0; i < unit.parameters.size(); ++i)
    model.parameters()[unit.parameters[i]].latent =
        viewOf(unit.latents, unit, i);
  unit.gradients = at::zeros({padded}, floats());
  if (divides())
    unit.part = at::zeros({unit.length}, floats());
}

std::vector<OwnPart> ShardedWeights::ownParts() {
  std::vector<OwnPart> parts;
  for (const Unit &unit : units)
    parts.push_back({unit.total, unit.begin,
                     shardsAll()
                         ? unit.latents
                         : unit.latents.narrow(0, unit.begin, unit.length)});
  return parts;
}

std::vector<Slice> ShardedWeights::slices() {
  std::vector<Slice> slices;
  const std::vector<OwnPart> parts = ownParts();
  const std::vector<at::Tensor> summed = gradientParts();
  for (size_t u = 0; u < units.size(); ++u) {
    const Unit &unit = units[u];
    const at::Tensor gradients = summed[u];
    for (size_t i = 0; i < unit.parameters.size(); ++i) {
      const Parameter &parameter = model.parameters()[unit.parameters[i]];
      const Overlap own = overlapOf(unit, i);
      if (own.begin >= own.end)
        continue;
      const int64_t offset = own.begin - unit.begin;
      const int64_t length = own.end - own.begin;
      slices.push_back({parts[u].latents.narrow(0, offset, length),
                        gradients.narrow(0, offset, length), parameter.shape,
                        own.begin - unit.offsets[i], u, offset});
    }
  }
  return slices;
}

std::vector<at::Tensor> ShardedWeights::gradientParts() const {
  std::vector<at::Tensor> parts;
  for (const Unit &unit : units)
    parts.push_back(sharding == Sharding::Moments ? unit.part : unit.gradients);
  return parts;
}

void ShardedWeights::clearGradients() {
  for (Unit &unit : units)
    unit.gradients.zero_();
}

at::Tensor ShardedWeights::gathered(size_t unit, const at::Tensor &part) {
  if (!divides())
    return part;
  at::Tensor flat = at::empty({paddedLength(units[unit])}, floats());
  ranks.startGather(part, flat)();
  return flat;
}

void ShardedWeights::quantize(const Numerics &numerics) {
  const at::NoGradGuard noGradients;
  // What was computed before makes room.
  current = {};
  if (!shardsAll()) {
    current = model.weights(numerics);
    for (const Unit &unit : units)
      for (size_t i = 0; i < unit.parameters.size(); ++i) {
        const size_t p = unit.parameters[i];
        const at::Tensor gradient = viewOf(unit.gradients, unit, i);
        current.tensors[p].mutable_grad() = gradient;
        if (p == model.headParameter())
          current.head.mutable_grad() = gradient;
      }
    return;
  }
  current.numerics = numerics;
  current.tensors.resize(model.parameters().size());
  current.rounded.resize(current.tensors.size());
  for (size_t u = 0; u < units.size(); ++u) {
    Unit &unit = units[u];
    if (!numerics.method) {
      unit.effective = unit.latents;
      continue;
    }
    if (!unit.effective.defined())
      unit.effective = at::zeros_like(unit.latents);
    const at::Tensor latents = gathered(u, unit.latents);
    for (size_t i = 0; i < unit.parameters.size(); ++i) {
      const Overlap own = overlapOf(unit, i);
      // Scales are of whole matrices, so each rank quantizes them whole.
      if (own.begin < own.end)
        unit.effective.narrow(0, own.begin - unit.begin, own.end - own.begin)
            .copy_(model
                       .effective(unit.parameters[i], viewOf(latents, unit, i),
                                  numerics)
                       .flatten()
                       .narrow(0, own.begin - unit.offsets[i],
                               own.end - own.begin));
    }
  }
}

void ShardedWeights::dampen(double share) {
  const at::NoGradGuard noGradients;
  std::vector<at::Tensor> latents, targets;
  for (const Unit &unit : units)
    for (size_t i = 0; i < unit.parameters.size(); ++i) {
      const size_t p = unit.parameters[i];
      const Overlap own = overlapOf(unit, i);
      if (own.begin >= own.end ||
          !model.isQuantized(model.parameters()[p], current.numerics.method))
        continue;
      const int64_t length = own.end - own.begin;
      const int64_t inPart = own.begin - unit.begin;
      latents.push_back(
          unit.latents.narrow(0, shardsAll() ? inPart : own.begin, length));
      targets.push_back(shardsAll()
                            ? unit.effective.narrow(0, inPart, length)
                            : current.tensors[p].detach().flatten().narrow(
                                  0, own.begin - unit.offsets[i], length));
    }
  if (!latents.empty())
    at::_foreach_lerp_(latents, targets, share);
}

ShardedWeights::Overlap ShardedWeights::overlapOf(const Unit &unit,
                                                  size_t i) const {
  const int64_t begin = unit.offsets[i];
  const int64_t count = model.parameters()[unit.parameters[i]].count();
  return {std::max(begin, unit.begin),
          std::min(begin + count, unit.begin + unit.length)};
}

void ShardedWeights::beginPass(bool training, bool last) {
  isTraining = training;
  isLast = last;
  if (shardsAll()) {
    acquire(0, training);
    model.setHead(current);
    if (training)
      for (size_t i = 0; i < units[0].parameters.size(); ++i)
        if (units[0].parameters[i] == model.headParameter())
          current.head.mutable_grad() = viewOf(units[0].adding, units[0], i);
  }
}

void ShardedWeights::endPass() {
  if (isTraining)
    gradientsDone(0);
  if (shardsAll()) {
    release(0);
    current.head.reset();
    finishReduction();
  }
  waitForAllBut(0, sums);
}

void ShardedWeights::startGathering(size_t index) {
  Unit &unit = units[index];
  if (unit.gathering || unit.gathered.defined())
    return;
  unit.gathered = at::empty({paddedLength(unit)}, floats());
  unit.gathering = ranks.startGather(unit.effective, unit.gathered);
}

void ShardedWeights::acquire(size_t index, bool forBackward) {
  if (!shardsAll())
    return;
  const at::NoGradGuard noGradients;
  startGathering(index);
  // The next layer's weights come while this one computes.
  const size_t next = forBackward ? index - 1 : index + 1;
  if (index > 0 && next > 0 && next < units.size())
    startGathering(next);
  Unit &unit = units[index];
  unit.gathering();
  unit.gathering = nullptr;
  if (forBackward)
    unit.adding = at::zeros({paddedLength(unit)}, floats());
  for (size_t i = 0; i < unit.parameters.size(); ++i) {
    at::Tensor &leaf = current.tensors[unit.parameters[i]];
    leaf = viewOf(unit.gathered, unit, i).detach().requires_grad_(true);
    if (forBackward)
      leaf.mutable_grad() = viewOf(unit.adding, unit, i);
  }
  model.round(current, unit.parameters);
}

void ShardedWeights::release(size_t index) {
  if (!shardsAll())
    return;
  Unit &unit = units[index];
  for (const size_t parameter : unit.parameters) {
    current.tensors[parameter].reset();
    current.rounded[parameter].reset();
  }
  unit.gathered.reset();
  unit.adding.reset();
}

void ShardedWeights::finishReduction() {
  if (!reduction.pending)
    return;
  reduction.pending();
  const at::NoGradGuard noGradients;
  units[reduction.unit].gradients.add_(reduction.part);
  reduction = {};
}

void ShardedWeights::gradientsDone(size_t index) {
  Unit &unit = units[index];
  if (shardsAll()) {
    // One sum at a time is under way, which bounds memory.
    finishReduction();
    reduction.unit = index;
    reduction.whole = unit.adding;
    reduction.part = at::empty({unit.length}, floats());
    reduction.pending = ranks.startScatterSum(reduction.whole, reduction.part);
  } else if (isLast) {
    sums.push_back(divides() ? ranks.startScatterSum(unit.gradients, unit.part)
                             : ranks.startSum(unit.gradients));
    waitForAllBut(kUnderWay, sums);
  }
}

void ShardedWeights::publish() {
  cached.reset();
  if (sharding != Sharding::Moments)
    return;
  const at::NoGradGuard noGradients;
  std::deque<Pending> gathers;
  for (Unit &unit : units) {
    // Input and output of a gather are apart.
    const at::Tensor own =
        unit.latents.narrow(0, unit.begin, unit.length).clone();
    gathers.push_back(
        [own, wait = ranks.startGather(own, unit.latents)] { wait(); });
    waitForAllBut(kUnderWay, gathers);
  }
  waitForAllBut(0, gathers);
}

at::Tensor ShardedWeights::latent(size_t parameter) {
  const size_t index = model.parameters()[parameter].unit();
  if (!shardsAll())
    return model.parameters()[parameter].latent;
  Unit &unit = units[index];
  if (!cached.defined() || cachedUnit != index) {
    cached = gathered(index, unit.latents);
    cachedUnit = index;
  }
  const auto place =
      std::find(unit.parameters.begin(), unit.parameters.end(), parameter);
  return viewOf(cached, unit, size_t(place - unit.parameters.begin()));
}

} // namespace fairy2::trainer
