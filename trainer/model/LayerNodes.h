// SPDX-License-Identifier: Apache-2.0
//
// The two ways in which a layer takes part in a graph whose weights come and
// go.
#pragma once

#include "trainer/model/Model.h"

namespace fairy2::trainer {

/// x, the input of layer `index`, through a node whose backward tells `source`
/// that the layer's gradients are complete. Autograd's engine runs ready nodes
/// from the latest to the earliest, and those that add to leaves first, so by
/// then all of the layer has run.
at::Tensor beginLayer(WeightSource &source, size_t index, const at::Tensor &x);

/// Layer `index` as one node that keeps its input alone: backward acquires the
/// weights again, computes the layer anew and goes back through it (Chen et
/// al., arXiv 1604.06174). All references must live until then.
at::Tensor recomputedLayer(const Model &model, WeightSource &source,
                           const Batch &batch, size_t index,
                           const at::Tensor &x);

} // namespace fairy2::trainer
