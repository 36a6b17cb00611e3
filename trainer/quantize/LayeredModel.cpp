// SPDX-License-Identifier: Apache-2.0
//
// Norms and biases stay: they are small, and folding changes biases.
#include "trainer/quantize/LayeredModel.h"

#include "trainer/quantize/FoldColumns.h"

#include <algorithm>

namespace fairy2::trainer {

Weights LayeredModel::load(size_t unit) {
  for (Parameter &parameter : own.parameters())
    if (parameter.unit() == unit)
      Model::fill(parameter, fill);
  if (unit > 0)
    foldColumns(own, unit - 1, codedFlags);
  return own.latents();
}

void LayeredModel::release(size_t unit) {
  for (Parameter &parameter : own.parameters())
    if (parameter.unit() == unit && parameter.shape.size() == 2)
      parameter.latent = at::Tensor();
}

Weights LayeredModel::loadAll() {
  for (size_t unit = 0; unit < own.units(); ++unit)
    load(unit);
  return own.latents();
}

at::Tensor LayeredModel::latent(size_t index) const {
  Parameter parameter = own.parameters()[index];
  if (!parameter.latent.defined())
    Model::fill(parameter, fill);
  return parameter.latent;
}

void LayeredModel::set(size_t index, std::span<const float> values) {
  std::copy(values.begin(), values.end(),
            own.parameters()[index].latent.mutable_data_ptr<float>());
}

} // namespace fairy2::trainer
