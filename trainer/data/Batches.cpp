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

BatchMaker::BatchMaker(const HFConfig &config, const Recipe::Data &data,
                       SpecialTokens special, at::Device device)
    : special(special), documentMask(data.documentMask),
      separatesByBos(data.separator == "bos" || data.separator == "both"),
      separatesByEos(data.separator == "eos"), window(config.slidingWindow),
      headDim(config.headDim) {
  if (data.sequenceLength > config.maxPositions)
    throw Error("data.sequence_length: expected at most the model's " +
                std::to_string(config.maxPositions) + " positions, found " +
                std::to_string(data.sequenceLength));
  const RopeConfig &rope = config.rope;
  const bool isLong = rope.scaling == RopeConfig::Scaling::LongRope &&
                      data.sequenceLength > rope.originalMaxPositions;
  const std::vector<float> frequencies =
      isLong ? rope.longInverseFrequencies(headDim)
             : rope.inverseFrequencies(headDim);
  angles = at::empty({data.sequenceLength, headDim}, at::kFloat);
  for (int64_t p = 0; p < data.sequenceLength; ++p)
    for (int64_t j = 0; j < headDim / 2; ++j) {
      const double angle = double(p) * double(frequencies[size_t(j)]);
      float *row = angles.mutable_data_ptr<float>() + p * headDim;
      row[j] = float(rope.magnitude * std::cos(angle));
      row[headDim / 2 + j] = float(rope.magnitude * std::sin(angle));
    }
  if (deviceKernels(device.type()))
    deviceAngles = angles.to(device);
}

bool BatchMaker::startsDocument(const int64_t *tokens, int64_t position) const {
  if (position == 0)
    return true;
  return documentMask &&
         ((separatesByBos && tokens[position] == *special.bos) ||
          (separatesByEos && tokens[position - 1] == *special.eos));
}

AttentionPlan BatchMaker::slidingPlan(AttentionPlan plan) const {
  for (size_t token = 0; token < plan.first.size(); ++token) {
    const int64_t position = int64_t(token) % plan.positions;
    plan.first[token] =
        std::max(plan.first[token], int32_t(position - *window + 1));
  }
  plan.window = *window;
  return plan;
}

Batch BatchMaker::make(const std::vector<std::span<const int32_t>> &rows,
                       int64_t positions) const {
  const auto sequences = int64_t(rows.size());
  Batch batch;
  batch.tokens = at::full({sequences * positions}, 0, at::kLong);
  batch.targets = at::full({sequences * positions}, kIgnored, at::kLong);
  batch.plan.sequences = sequences;
  batch.plan.positions = positions;
  batch.plan.first.resize(size_t(sequences * positions));
  batch.plan.places.resize(size_t(sequences * positions));
  batch.plan.angles = angles;
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
        batch.plan.starts.push_back(int32_t(s * positions + p));
      }
      const size_t token = size_t(s * positions + p);
      batch.plan.first[token] = int32_t(document);
      batch.plan.places[token] = int32_t(p - document);
    }
  }
  batch.plan.starts.push_back(int32_t(sequences * positions));
  if (window)
    batch.sliding = slidingPlan(batch.plan);
  if (deviceAngles.defined()) {
    batch.tokens = batch.tokens.to(deviceAngles.device());
    batch.targets = batch.targets.to(deviceAngles.device());
    batch.plan.moveTo(deviceAngles);
    batch.sliding.moveTo(deviceAngles);
  }
  return batch;
}

} // namespace fairy2::trainer
