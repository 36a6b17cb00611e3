// SPDX-License-Identifier: Apache-2.0
//
// What an error in each output of a linear map costs: moments of the loss's
// gradients there, with labels that the model draws itself (its Fisher
// information, in the factors of K-FAC, Martens and Grosse, arXiv 1503.05671).
#pragma once

#include "dialect/phase/PhaseCoder.h"
#include "trainer/quantize/CalibrationText.h"
#include "trainer/quantize/LayeredModel.h"

#include <functional>
#include <map>
#include <vector>

namespace fairy2::trainer {

/// Of matrices, by the parameter's index; not damped.
using GradientMoments = std::map<size_t, OutputMetric>;

/// Zeros for a layer's coded matrices.
GradientMoments noMoments(const LayeredModel &source, size_t layer);

/// Where the inputs of layers lie between the way forward and the way back.
struct LayerInputs {
  std::function<void(size_t layer, const std::vector<at::Tensor> &inputs)> save;
  /// Those that were saved, of the shapes of `like`.
  std::function<std::vector<at::Tensor>(size_t layer,
                                        const std::vector<at::Tensor> &like)>
      take;
};

/// Of a layer's coded matrices.
using TakeMoments = std::function<void(size_t layer, GradientMoments moments)>;

/// Calls take() with the mean of g g^T over all tokens, from the last layer to
/// the first. One layer is in memory at a time.
void gradientMoments(LayeredModel &source, const std::vector<Batch> &batches,
                     uint64_t seed, int threads, const LayerInputs &inputs,
                     const TakeMoments &take);

} // namespace fairy2::trainer
