// SPDX-License-Identifier: Apache-2.0
//
// Channels of values and units, scaled on both of their sides.
#include "trainer/quantize/FoldColumns.h"

#include "trainer/TensorData.h"

#include <cmath>

namespace fairy2::trainer {

namespace {

float *values(Parameter &parameter) {
  return parameter.latent.mutable_data_ptr<float>();
}

/// Channel c of `count` is row `rows` - count + c of `from`, and columns
/// columnsOf(c) of `to`.
template <typename ColumnsOf>
void fold(Model &model, const PlannedLinear &from, const PlannedLinear &to,
          int64_t count, const ColumnsOf &columnsOf) {
  Parameter &into = model.parameters()[to.weight];
  Parameter &out = model.parameters()[from.weight];
  const int64_t rows = into.shape[0], columns = into.shape[1];
  std::vector<double> sizes;
  double mean = 0;
  for (int64_t c = 0; c < count; ++c) {
    double sum = 0;
    for (const int64_t j : columnsOf(c))
      for (int64_t r = 0; r < rows; ++r) {
        const double value = values(into)[r * columns + j];
        sum += value * value;
      }
    sizes.push_back(std::sqrt(sum));
    mean += sizes.back() / double(count);
  }
  for (int64_t c = 0; c < count; ++c) {
    const double factor = sizes[size_t(c)] / mean;
    if (!(factor > 0) || !std::isfinite(factor))
      continue; // a channel that nobody reads
    for (const int64_t j : columnsOf(c))
      for (int64_t r = 0; r < rows; ++r)
        values(into)[r * columns + j] =
            float(values(into)[r * columns + j] / factor);
    const int64_t row = out.shape[0] - count + c;
    for (int64_t j = 0; j < out.shape[1]; ++j)
      values(out)[row * out.shape[1] + j] *= float(factor);
    if (from.bias)
      values(model.parameters()[*from.bias])[row] *= float(factor);
  }
}

} // namespace

void foldColumns(Model &model, size_t index, const std::vector<bool> &isCoded) {
  const HFConfig &config = model.config();
  const int64_t shared = config.heads / config.kvHeads;
  const PlannedLayer &layer = model.decoderPlan().layers[index];
  const PlannedLinear &v = layer.attentionInputs.back();
  const PlannedLinear &up = layer.mlpInputs.back();
  if (isCoded[v.weight] && isCoded[layer.attentionOutput.weight])
    fold(model, v, layer.attentionOutput, extentOf(Axis::Keys, config),
         [&](int64_t c) {
           std::vector<int64_t> columns; // of the heads that read it
           for (int64_t h = 0; h < shared; ++h)
             columns.push_back((c / config.headDim * shared + h) *
                                   config.headDim +
                               c % config.headDim);
           return columns;
         });
  if (isCoded[up.weight] && isCoded[layer.mlpOutput.weight])
    fold(model, up, layer.mlpOutput, config.intermediateSize,
         [](int64_t c) { return std::vector<int64_t>{c}; });
}

} // namespace fairy2::trainer
