// SPDX-License-Identifier: Apache-2.0
//
// Annealed assignment, after Hestia (arXiv 2601.20745): while it is warm, an
// entry is the mean of all four phases with weights softmax(-d^2 /
// temperature), d being the angle between entry and phase, so that it crosses
// from one code to the next without a jump. As the temperature falls this
// becomes the nearest phase. The gradient passes as through hard codes;
// Hestia's goes through the softmax.
#include "trainer/Parallel.h"
#include "trainer/kernels/Formulas.h"
#include "trainer/methods/MethodTable.h"

#include <cmath>
#include <numbers>

namespace fairy2::trainer {
namespace {

struct ComplexValue {
  float re, im;
};

/// The mean of the phases with their scales.
ComplexValue softPhase(float re, float im, AxisScales scales,
                       float temperature) {
  constexpr auto kPi = float(std::numbers::pi);
  const bool isReal = realPart(nearestPhase(re, im)) != 0;
  const float near = magnitude(isReal ? re : im);
  const float far = magnitude(isReal ? im : re);
  // From 0 to pi / 4, the angle to the nearest phase. The others are at
  // pi / 2 - angle, pi / 2 + angle and, opposite, at pi - angle.
  const float angle = near == 0 ? 0 : std::atan(far / near);
  const auto weight = [&](float squareMoreThanNearest) {
    return exponential(-squareMoreThanNearest / temperature);
  };
  const float beside = weight(kPi * (kPi / 4 - angle)),
              beyond = weight(kPi * (kPi / 4 + angle)),
              opposite = weight(kPi * (kPi - 2 * angle));
  const float sum = 1 + beside + beyond + opposite;
  const float main = (1 - opposite) / sum, side = (beside - beyond) / sum;
  return {scales.re * std::copysign(isReal ? main : side, re),
          scales.im * std::copysign(isReal ? side : main, im)};
}

class SoftPhases : public Method {
public:
  SoftPhases(PhaseScheme scheme, double temperature)
      : scheme(scheme), hard(makeComplexPhase(scheme)),
        temperature(float(temperature)) {}

  /// Stage by stage, with the scales that hard codes have: what the mixtures of
  /// the stages before leave is quantized next.
  void quantize(const float *a, int64_t rows, int64_t columns,
                const std::string &name, float *out) const override {
    PhaseScheme stage = scheme;
    stage.stages = 1;
    std::vector<float> rest(a, a + rows * columns), factors;
    std::fill(out, out + rows * columns, 0.f);
    for (int t = 0; t < scheme.stages; ++t) {
      const PhaseMatrix q =
          quantizePhases(rest.data(), rows, columns, stage, name, parallelRows);
      if (stage.scales == ScaleGranularity::Row) {
        // What is left is in units of the rows' factors from here on.
        factors = q.rowFactors;
        forEachRow(rows, columns, rest.data(), [&](int64_t row, float &value) {
          value = overFactor(value, factors[size_t(row)]);
        });
        stage.scales = ScaleGranularity::Tensor;
      }
      moveMixture(q, rest.data(), out);
    }
    if (!factors.empty())
      forEachRow(rows, columns, out, [&](int64_t row, float &value) {
        value *= factors[size_t(row)];
      });
  }

  bool accepts(int64_t rows, int64_t columns) const override {
    return hard->accepts(rows, columns);
  }
  double storedBits(int64_t rows, int64_t columns) const override {
    return hard->storedBits(rows, columns);
  }
  std::string compilerOptions() const override {
    return hard->compilerOptions();
  }

private:
  template <typename Body>
  static void forEachRow(int64_t rows, int64_t columns, float *values,
                         const Body &body) {
    parallelRows(rows, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t j = 0; j < columns; ++j)
          body(row, values[row * columns + j]);
    });
  }

  /// Adds the mixture of one stage to `to` and takes it off `from`, both dense.
  void moveMixture(const PhaseMatrix &q, float *from, float *to) const {
    const int64_t n = q.rows, m = q.columns;
    parallelRows(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < m; ++j) {
          const int64_t top = 2 * i * m + j, bottom = 2 * (n + i) * m + j;
          const WidelyLinear v = toWidelyLinear(from[top], from[top + m],
                                                from[bottom], from[bottom + m]);
          const AxisScales *scales = q.scalesAt(i, j);
          const ComplexValue u = softPhase(v.uRe, v.uIm, scales[0],
                                           temperature),
                             w = softPhase(v.wRe, v.wIm, scales[1],
                                           temperature);
          const RealBlock block = toRealBlock({u.re, u.im, w.re, w.im});
          const auto move = [&](int64_t at, float value) {
            to[at] += value;
            from[at] -= value;
          };
          move(top, block.a11);
          move(top + m, block.a12);
          move(bottom, block.a21);
          move(bottom + m, block.a22);
        }
    });
  }

  PhaseScheme scheme;
  std::unique_ptr<Method> hard;
  float temperature;
};

} // namespace

std::unique_ptr<Method> makeSoftPhases(PhaseScheme scheme, double temperature) {
  return std::make_unique<SoftPhases>(scheme, temperature);
}

} // namespace fairy2::trainer
