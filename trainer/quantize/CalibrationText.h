// SPDX-License-Identifier: Apache-2.0
//
// The text that a model is quantized on, as batches, and work on all of them
// whose result is the same on any number of threads.
#pragma once

#include "frontend/ModelFolder.h"
#include "trainer/data/Batches.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fairy2::trainer {

/// Targets of sequences, `length` tokens each.
using Sequences = std::vector<std::vector<int32_t>>;

struct CalibrationText {
  int64_t length = 0;  ///< of a sequence
  Sequences inputs;    ///< what moments of inputs are taken of
  Sequences gradients; ///< and those of gradients
  Sequences tuning;    ///< what factors and norms are tuned on
  /// What there is less of than was asked for, a sentence; or "".
  std::string remark;
};

/// Cuts `files`, as fairy2-train reads them, into sequences, in an order that
/// the seed decides. All kinds take other sequences where there are enough;
/// tuning takes some again where there are not.
/// Throws Error when a file has no text, or all of them less than a sequence.
CalibrationText readCalibration(const ModelFolder &folder,
                                const HFConfig &config,
                                const std::vector<std::string> &files,
                                int64_t tokens, int64_t gradientTokens,
                                int64_t tuningTokens, uint64_t seed,
                                const std::string &scratch);

/// Batches of about 1,024 tokens. Sums over tokens are made of theirs, in their
/// order.
std::vector<Batch> batchesOf(const HFConfig &config,
                             const Sequences &sequences);

/// Calls compute(k) for k in [0, count), on so many threads, each of which
/// ATen uses alone, without gradients; then take(k) in order, as soon as all
/// before are taken. At most `threads` results wait.
void inOrder(int threads, size_t count,
             const std::function<void(size_t k, size_t slot)> &compute,
             const std::function<void(size_t k, size_t slot)> &take);

} // namespace fairy2::trainer
