// SPDX-License-Identifier: Apache-2.0
//
// What an error in each output of a linear map costs: moments of the loss's
// gradients there, with labels that the model draws itself (its Fisher
// information, in the factors of K-FAC, Martens and Grosse, arXiv 1503.05671).
#pragma once

#include "dialect/phase/PhaseCoder.h"
#include "trainer/model/Model.h"
#include "trainer/quantize/CalibrationText.h"

#include <functional>
#include <map>
#include <vector>

namespace fairy2::trainer {

/// Of the layers' matrices, by the parameter's index; not damped.
using GradientMoments = std::map<size_t, OutputMetric>;

/// Zeros for the parameters.
GradientMoments noMoments(const Model &model,
                          const std::vector<size_t> &parameters);

/// The mean of g g^T over all tokens, for the parameters. `progress` is told
/// how many batches are done.
GradientMoments
gradientMoments(const Model &model, const std::vector<size_t> &parameters,
                const std::vector<Batch> &batches, uint64_t seed, int threads,
                const std::function<void(size_t done)> &progress);

} // namespace fairy2::trainer
