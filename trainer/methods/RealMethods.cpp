// SPDX-License-Identifier: Apache-2.0
//
// Quantizers of real numbers, the controls that complex phases are compared
// with at equal bits. Scales are per matrix, or per row; sums are in double, row by
// row. A value of 0 counts as positive.
#include "dialect/Error.h"
#include "trainer/methods/MethodTable.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace fairy2 {
namespace {

/// Mean of f(a[i]), and a check that all values are finite.
template <typename Function>
float meanOf(const float *a, int64_t rows, int64_t columns,
             const std::string &name, const Function &f) {
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) {
    double row = 0;
    for (int64_t j = 0; j < columns; ++j)
      row += double(f(a[i * columns + j]));
    total += row;
  }
  if (!std::isfinite(total))
    throw Error(name + ": expected finite values, found NaN or infinity");
  return float(total / double(rows * columns));
}

float signOf(float x) { return x >= 0 ? 1.f : -1.f; }

/// A method whose scales are per matrix or per row.
class RealMethod : public Method {
public:
  explicit RealMethod(bool perRow) : perRow(perRow) {}

  void quantize(const float *a, int64_t rows, int64_t columns,
                const std::string &name, float *out) const final {
    const int64_t group = perRow ? 1 : rows;
    for (int64_t row = 0; row < rows; row += group)
      quantizeGroup(a + row * columns, group, columns, name,
                    out + row * columns);
  }

  double storedBits(int64_t rows, int64_t columns) const final {
    const int64_t scales = scaleCount() * (perRow ? rows : 1);
    return codeBits() * double(rows * columns) + 32 * double(scales);
  }

private:
  /// Of one weight.
  virtual double codeBits() const = 0;
  /// Of a matrix or row.
  virtual int scaleCount() const { return 1; }
  /// The same for rows that share their scales.
  virtual void quantizeGroup(const float *a, int64_t rows, int64_t columns,
                             const std::string &name, float *out) const = 0;

  bool perRow;
};

/// BitNet's one bit: sign(a - mean) times mean |a| (Wang et al., arXiv
/// 2310.11453, as Fairy2i's baseline has it).
class BitNet : public RealMethod {
  using RealMethod::RealMethod;

  double codeBits() const override { return 1; }

  void quantizeGroup(const float *a, int64_t rows, int64_t columns,
                     const std::string &name, float *out) const override {
    const float center =
        meanOf(a, rows, columns, name, [](float x) { return x; });
    const float scale = std::max(
        meanOf(a, rows, columns, name, [](float x) { return std::fabs(x); }),
        kSmallestScale);
    for (int64_t i = 0; i < rows * columns; ++i)
      out[i] = a[i] - center > 0 ? scale : -scale;
  }
};

/// BitNet b1.58: round(a / mean |a|) clamped to -1, 0, 1 (Ma et al., arXiv
/// 2402.17764).
class Ternary : public RealMethod {
  using RealMethod::RealMethod;

  double codeBits() const override { return std::log2(3.0); }

  void quantizeGroup(const float *a, int64_t rows, int64_t columns,
                     const std::string &name, float *out) const override {
    const float scale =
        meanOf(a, rows, columns, name, [](float x) { return std::fabs(x); });
    const float inverse = 1 / (scale + 1e-5f);
    for (int64_t i = 0; i < rows * columns; ++i)
      out[i] = std::clamp(std::nearbyint(a[i] * inverse), -1.f, 1.f) * scale;
  }
};

/// Signs of the weights, then signs of what is left: 2 bits on the same
/// residual idea as complex phases, without the complex numbers.
class TwoSigns : public RealMethod {
  using RealMethod::RealMethod;

  double codeBits() const override { return 2; }
  int scaleCount() const override { return 2; }

  void quantizeGroup(const float *a, int64_t rows, int64_t columns,
                     const std::string &name, float *out) const override {
    const int64_t count = rows * columns;
    std::vector<float> rest(a, a + count);
    std::fill(out, out + count, 0.f);
    for (int stage = 0; stage < 2; ++stage) {
      const float scale = std::max(meanOf(rest.data(), rows, columns, name,
                                          [](float x) { return std::fabs(x); }),
                                   kSmallestScale);
      for (int64_t i = 0; i < count; ++i) {
        const float q = scale * signOf(rest[size_t(i)]);
        out[i] += q;
        rest[size_t(i)] -= q;
      }
    }
  }
};

/// Four even levels, -1.5, -0.5, 0.5 and 1.5 steps. The step is the one that is
/// best for a normal distribution of the matrix's deviation.
class FourLevels : public RealMethod {
  using RealMethod::RealMethod;

  double codeBits() const override { return 2; }

  void quantizeGroup(const float *a, int64_t rows, int64_t columns,
                     const std::string &name, float *out) const override {
    constexpr float kBestStep = 0.9957f;
    const float square =
        meanOf(a, rows, columns, name, [](float x) { return x * x; });
    const float step = std::max(kBestStep * std::sqrt(square), kSmallestScale);
    for (int64_t i = 0; i < rows * columns; ++i)
      out[i] = (std::clamp(std::floor(a[i] / step), -2.f, 1.f) + 0.5f) * step;
  }
};

} // namespace

std::unique_ptr<Method> makeBitNet(bool perRow) {
  return std::make_unique<BitNet>(perRow);
}
std::unique_ptr<Method> makeTernary(bool perRow) {
  return std::make_unique<Ternary>(perRow);
}
std::unique_ptr<Method> makeTwoSigns(bool perRow) {
  return std::make_unique<TwoSigns>(perRow);
}
std::unique_ptr<Method> makeFourLevels(bool perRow) {
  return std::make_unique<FourLevels>(perRow);
}

} // namespace fairy2
