// SPDX-License-Identifier: Apache-2.0
//
// Shifts targets to inputs, pads rows, and finds where documents begin.
#include "trainer/data/Batches.h"

#include "runtime/support/Error.h"
#include "trainer/Device.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>

namespace fairy2::trainer {

namespace {

/// AttentionPlan's angles of a sequence's places.
at::Tensor anglesOf(const AttentionKind &kind, int64_t places) {
  // Angles of 0, where places are not told, turn nothing.
  std::vector<float> frequencies(size_t(kind.headDim / 2), 0);
  double magnitude = 1;
  if (kind.rope) {
    const bool isLong = kind.rope->scaling == RopeConfig::Scaling::LongRope &&
                        places > kind.rope->originalMaxPositions;
    frequencies = isLong ? kind.rope->longInverseFrequencies(kind.headDim)
                         : kind.rope->inverseFrequencies(kind.headDim);
    magnitude = kind.rope->magnitude;
  }
  const auto half = int64_t(frequencies.size());
  at::Tensor angles = at::empty({places, 2 * half}, at::kFloat);
  for (int64_t p = 0; p < places; ++p)
    for (int64_t j = 0; j < half; ++j) {
      const double angle = double(p) * double(frequencies[size_t(j)]);
      float *row = angles.mutable_data_ptr<float>() + p * 2 * half;
      row[j] = float(magnitude * std::cos(angle));
      row[half + j] = float(magnitude * std::sin(angle));
    }
  return angles;
}

/// The plan of layers that see `window` tokens, from that of those that see
/// their whole document.
AttentionPlan slidingPlan(AttentionPlan plan, int64_t window) {
  for (size_t token = 0; token < plan.first.size(); ++token) {
    const int64_t position = int64_t(token) % plan.positions;
    plan.first[token] =
        std::max(plan.first[token], int32_t(position - window + 1));
  }
  plan.window = window;
  return plan;
}

} // namespace

AttentionKind AttentionKind::of(const HFConfig &config, int64_t layer) {
  const RopeConfig *rope = config.ropeOf(layer);
  return {config.headDim, config.windowOf(layer),
          rope ? std::optional(*rope) : std::nullopt};
}

const AttentionPlan &Batch::planOf(const HFConfig &config,
                                   int64_t layer) const {
  const auto place =
      std::find(kinds.begin(), kinds.end(), AttentionKind::of(config, layer));
  TORCH_INTERNAL_ASSERT(place != kinds.end());
  return plans[size_t(place - kinds.begin())];
}

BatchMaker::BatchMaker(const HFConfig &config, const Recipe::Data &data,
                       SpecialTokens special, at::Device device,
                       const HFConfig *teacher)
    : special(special), documentMask(data.documentMask),
      separatesByBos(data.separator == "bos" || data.separator == "both"),
      separatesByEos(data.separator == "eos"), device(device) {
  const auto addModel = [&](const HFConfig &model, const char *whose) {
    if (data.sequenceLength > model.maxPositions)
      throw Error("data.sequence_length: expected at most the " +
                  std::string(whose) + " " +
                  std::to_string(model.maxPositions) + " positions, found " +
                  std::to_string(data.sequenceLength));
    addKinds(model, data.sequenceLength);
  };
  addModel(config, "model's");
  if (teacher)
    addModel(*teacher, "teacher's");
}

void BatchMaker::addKinds(const HFConfig &config, int64_t places) {
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const AttentionKind kind = AttentionKind::of(config, layer);
    if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
      continue;
    kinds.push_back(kind);
    angles.push_back(anglesOf(kind, places));
    if (deviceKernels(device.type()))
      deviceAngles.push_back(angles.back().to(device));
  }
}

bool BatchMaker::startsDocument(const int64_t *tokens, int64_t position) const {
  if (position == 0)
    return true;
  return documentMask &&
         ((separatesByBos && tokens[position] == *special.bos) ||
          (separatesByEos && tokens[position - 1] == *special.eos));
}

Batch BatchMaker::make(const std::vector<std::span<const int32_t>> &rows,
                       int64_t positions) const {
  const auto sequences = int64_t(rows.size());
  Batch batch;
  batch.tokens = at::full({sequences * positions}, 0, at::kLong);
  batch.targets = at::full({sequences * positions}, kIgnored, at::kLong);
  AttentionPlan whole; // of layers that see their whole document
  whole.sequences = sequences;
  whole.positions = positions;
  whole.first.resize(size_t(sequences * positions));
  whole.places.resize(size_t(sequences * positions));
  for (int64_t s = 0; s < sequences; ++s) {
    const std::span<const int32_t> row = rows[size_t(s)];
    int64_t *inputs = batch.tokens.mutable_data_ptr<int64_t>() + s * positions;
    int64_t *targets =
        batch.targets.mutable_data_ptr<int64_t>() + s * positions;
    const auto length = int64_t(row.size());
    if (special.bos) {
      inputs[0] = *special.bos;
      std::copy(row.begin(), row.end() - 1, inputs + 1);
      std::copy(row.begin(), row.end(), targets);
      batch.predictions += length;
    } else {
      std::copy(row.begin(), row.end(), inputs);
      std::copy(row.begin() + 1, row.end(), targets);
      batch.predictions += length - 1;
    }
    int64_t document = 0;
    for (int64_t p = 0; p < positions; ++p) {
      if (p < length && startsDocument(inputs, p)) {
        document = p;
        whole.starts.push_back(int32_t(s * positions + p));
      }
      const size_t token = size_t(s * positions + p);
      whole.first[token] = int32_t(document);
      whole.places[token] = int32_t(p - document);
    }
  }
  whole.starts.push_back(int32_t(sequences * positions));
  batch.kinds = kinds;
  for (size_t i = 0; i < kinds.size(); ++i) {
    batch.plans.push_back(kinds[i].window ? slidingPlan(whole, *kinds[i].window)
                                          : whole);
    batch.plans[i].angles = angles[i];
    if (!deviceAngles.empty())
      batch.plans[i].moveTo(deviceAngles[i]);
  }
  if (!deviceAngles.empty()) {
    batch.tokens = batch.tokens.to(device);
    batch.targets = batch.targets.to(device);
  }
  return batch;
}

} // namespace fairy2::trainer
