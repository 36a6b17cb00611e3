// SPDX-License-Identifier: Apache-2.0
//
// Names of granularities, plain row readers, and the error's bookkeeping.
#include "dialect/phase/Quantization.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {

const char *nameOf(ScaleGranularity scales) {
  switch (scales) {
  case ScaleGranularity::Tensor:
    return "tensor";
  case ScaleGranularity::Row:
    return "row";
  case ScaleGranularity::Tile:
    return "tile";
  }
  return "";
}

std::optional<ScaleGranularity> granularityFromName(std::string_view name) {
  for (auto scales : {ScaleGranularity::Tensor, ScaleGranularity::Row,
                      ScaleGranularity::Tile})
    if (name == nameOf(scales))
      return scales;
  return std::nullopt;
}

void serialFor(int64_t count,
               const std::function<void(int64_t, int64_t)> &body) {
  body(0, count);
}

RowReader rowsOf(const float *a, int64_t columns) {
  return [a, columns](int64_t begin, int64_t end, float *out) {
    std::copy(a + begin * columns, a + end * columns, out);
  };
}

double QuantizationError::relative() const {
  return norm > 0 ? std::sqrt(error / norm) : 0;
}

void requireFinite(const std::string &name, int64_t row, int64_t columns,
                   const float *values) {
  for (int64_t j = 0; j < columns; ++j)
    if (!std::isfinite(values[j]))
      throw Error(name + ": expected finite values, found " +
                  (std::isnan(values[j]) ? "NaN" : "infinity") + " at row " +
                  std::to_string(row) + ", column " + std::to_string(j));
}

double squaredNorm(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t j = 0; j < count; ++j)
    sum += double(values[j]) * double(values[j]);
  return sum;
}

} // namespace fairy2
