// SPDX-License-Identifier: Apache-2.0
//
// One class codes a group of values that share scales; what a group is depends
// on the granularity.
#include "dialect/phase/Signs.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {
namespace {

/// The best step of four even levels for a normal distribution of variance 1.
constexpr float kBestStep = 0.9957f;

/// As transformers, BitDistill and bitnet.cpp, whose checkpoints have to come
/// out alike: the mean is clamped, for the levels and for their size.
constexpr float kSmallestTernaryScale = 1e-5f;

/// Values and results of one matrix; a group is what shares its scales.
class SignCoder {
public:
  SignCoder(SignMatrix &q, const ParallelFor &parallelFor)
      : q(q), parallelFor(parallelFor), values(size_t(q.rows * q.columns)) {}

  void read(const RowReader &readRows, const std::string &name) {
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      float *first = values.data() + begin * q.columns;
      readRows(begin, end, first);
      for (int64_t row = begin; row < end; ++row)
        requireFinite(name, row, q.columns, valuesOf(row));
    });
  }

  void code() {
    if (q.scheme.scales == ScaleGranularity::Tensor)
      return codeGroup(0, q.rows, parallelFor);
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        codeGroup(row, 1, serialFor);
    });
  }

  QuantizationError error() const {
    std::vector<QuantizationError> ofRows(size_t(q.rows));
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        QuantizationError sum;
        sum.norm = squaredNorm(valuesOf(row), q.columns);
        for (int64_t j = 0; j < q.columns; ++j) {
          const double rest = double(valuesOf(row)[j]) - q.at(row, j);
          sum.error += rest * rest;
        }
        ofRows[row] = sum;
      }
    });
    QuantizationError total;
    for (const QuantizationError &row : ofRows) {
      total.norm += row.norm;
      total.error += row.error;
    }
    return total;
  }

private:
  const float *valuesOf(int64_t row) const {
    return values.data() + row * q.columns;
  }

  /// The mean of f(value) over a group.
  template <typename Function>
  float mean(int64_t first, int64_t count, const ParallelFor &parallel,
             const Function &f) const {
    std::vector<double> sums(size_t(count), 0.0);
    parallel(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < q.columns; ++j)
          sums[i] += double(f(valuesOf(first + i)[j]));
    });
    double total = 0;
    for (double sum : sums)
      total += sum;
    return float(total / double(count * q.columns));
  }

  /// Bits of every value of a group.
  template <typename Function>
  void setSigns(int64_t first, int64_t count, const ParallelFor &parallel,
                const Function &signsOf) {
    parallel(count, [&](int64_t begin, int64_t end) {
      for (int64_t at = (first + begin) * q.columns;
           at < (first + end) * q.columns; ++at)
        q.signs[at] = signsOf(values[at]);
    });
  }

  void codeGroup(int64_t first, int64_t count, const ParallelFor &parallel) {
    auto meanOf = [&](auto f) { return mean(first, count, parallel, f); };
    auto set = [&](auto f) { setSigns(first, count, parallel, f); };
    float *scales = const_cast<float *>(q.scalesOf(first));
    const auto magnitude = [](float x) { return std::fabs(x); };
    switch (q.scheme.method) {
    case SignMethod::BitNet: {
      const float center = meanOf([](float x) { return x; });
      scales[0] = std::max(meanOf(magnitude), kSmallestScale);
      set([&](float x) { return uint8_t(x - center > 0); });
      return;
    }
    case SignMethod::Ternary: {
      const float scale = std::max(meanOf(magnitude), kSmallestTernaryScale);
      const float inverse = 1 / scale;
      scales[0] = scales[1] = scale / 2;
      set([&](float x) {
        const float level = std::nearbyint(x * inverse);
        return uint8_t(level > 0 ? 3 : level < 0 ? 0 : 1);
      });
      return;
    }
    case SignMethod::TwoSigns: {
      const float outer = std::max(meanOf(magnitude), kSmallestScale);
      const auto rest = [&](float x) { return x - (x >= 0 ? outer : -outer); };
      scales[0] = outer;
      scales[1] = std::max(meanOf([&](float x) { return std::fabs(rest(x)); }),
                           kSmallestScale);
      set([&](float x) {
        return uint8_t((x >= 0 ? 1 : 0) | (rest(x) >= 0 ? 2 : 0));
      });
      return;
    }
    case SignMethod::FourLevels: {
      const float square = meanOf([](float x) { return x * x; });
      const float step =
          std::max(kBestStep * std::sqrt(square), kSmallestScale);
      scales[0] = step;
      scales[1] = step / 2;
      set([&](float x) {
        const float level = std::floor(x / step);
        return uint8_t((level >= 0 ? 1 : 0) |
                       (level == -1 || level >= 1 ? 2 : 0));
      });
      return;
    }
    }
  }

  SignMatrix &q;
  const ParallelFor &parallelFor;
  std::vector<float> values; ///< [row][column]
};

} // namespace

const char *nameOf(SignMethod method) {
  switch (method) {
  case SignMethod::BitNet:
    return "bitnet";
  case SignMethod::Ternary:
    return "ternary";
  case SignMethod::TwoSigns:
    return "sign2";
  case SignMethod::FourLevels:
    return "int2";
  }
  return "";
}

std::optional<SignMethod> signMethodFromName(std::string_view name) {
  for (SignMethod method : kSignMethods)
    if (name == nameOf(method))
      return method;
  return std::nullopt;
}

SignMatrix quantizeSigns(const RowReader &readRows, int64_t rows,
                         int64_t columns, SignScheme scheme,
                         const std::string &name,
                         const ParallelFor &parallelFor,
                         QuantizationError *error) {
  if (scheme.scales == ScaleGranularity::Tile)
    throw Error(name + ": expected scales per tensor or row for " +
                nameOf(scheme.method) + ", found scales per tile");
  SignMatrix q{rows, columns, scheme, {}, {}};
  q.signs.resize(size_t(rows * columns));
  q.scales.resize(size_t(scheme.scales == ScaleGranularity::Row ? rows : 1) *
                  scheme.planes());
  SignCoder coder(q, parallelFor);
  coder.read(readRows, name);
  coder.code();
  if (error)
    *error = coder.error();
  return q;
}

void packSigns(const SignMatrix &q, uint8_t *out) {
  using L = SignPlaneLayout;
  const int64_t half = q.columns / 2;
  const L layout{q.rows, half, q.scheme.planes()};
  std::fill(out, out + layout.bytes(), uint8_t(0xff));
  for (int64_t row = 0; row < q.rows; ++row) {
    const uint8_t *signs = q.signs.data() + row * q.columns;
    for (int p = 0; p < layout.sets; ++p)
      for (int64_t j = 0; j < half; ++j) {
        uint8_t &byte = out[layout.byteOf(p, row, j)];
        const int bit = int(j % L::kGroupColumns);
        if (!(signs[j] >> p & 1))
          byte &= uint8_t(~(1 << bit));
        if (!(signs[half + j] >> p & 1))
          byte &= uint8_t(~(16 << bit));
      }
  }
}

bool unpackSign(const SignPlaneLayout &layout, const uint8_t *packed, int plane,
                int64_t row, int64_t column) {
  using L = SignPlaneLayout;
  const bool isRight = column >= layout.columns;
  const int64_t j = isRight ? column - layout.columns : column;
  const uint8_t byte = packed[layout.byteOf(plane, row, j)];
  return byte >> (j % L::kGroupColumns + (isRight ? 4 : 0)) & 1;
}

} // namespace fairy2
