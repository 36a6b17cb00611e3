// SPDX-License-Identifier: Apache-2.0
//
// The compiler's quantizers of real numbers, the controls that complex phases
// are compared with at equal bits (dialect/phase/Signs.h has the formulas).
#include "trainer/methods/MethodTable.h"

#include "dialect/phase/Signs.h"
#include "trainer/Parallel.h"

#include <cmath>

namespace fairy2::trainer {
namespace {

class Signs : public Method {
public:
  explicit Signs(SignScheme scheme) : scheme(scheme) {}

  void quantize(const float *a, int64_t rows, int64_t columns,
                const std::string &name, float *out) const override {
    const SignMatrix q = quantizeSigns(rowsOf(a, columns), rows, columns,
                                       scheme, name, parallelRows);
    parallelRows(rows, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t j = 0; j < columns; ++j)
          out[row * columns + j] = q.at(row, j);
    });
  }

  /// The compiler reads columns in two halves.
  bool accepts(int64_t rows, int64_t columns) const override {
    return rows > 0 && columns > 0 && columns % 2 == 0;
  }

  double storedBits(int64_t rows, int64_t columns) const override {
    const bool isTernary = scheme.method == SignMethod::Ternary;
    const double perWeight = isTernary ? std::log2(3.0) : scheme.planes();
    // The scales of ternary and int2 are multiples of one.
    const int scales = scheme.method == SignMethod::TwoSigns ? 2 : 1;
    const int64_t groups = scheme.scales == ScaleGranularity::Row ? rows : 1;
    return perWeight * double(rows * columns) + 32. * double(scales * groups);
  }

  std::string compilerOptions() const override {
    return std::string("--method=") + nameOf(scheme.method) +
           (scheme.scales == ScaleGranularity::Row ? " --scales=row" : "");
  }

  std::optional<SignScheme> signScheme() const override { return scheme; }

private:
  SignScheme scheme;
};

} // namespace

std::unique_ptr<Method> makeSigns(SignScheme scheme) {
  return std::make_unique<Signs>(scheme);
}

} // namespace fairy2::trainer
