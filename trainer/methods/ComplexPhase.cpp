// SPDX-License-Identifier: Apache-2.0
//
// The compiler's own quantizer, so that training and compiling agree by
// construction (Fairy2i, arXiv 2512.02901).
#include "dialect/Phase.h"
#include "trainer/Parallel.h"
#include "trainer/methods/MethodTable.h"

#include <algorithm>

namespace fairy2 {
namespace {

class ComplexPhase : public Method {
public:
  explicit ComplexPhase(PhaseScheme scheme) : scheme(scheme) {}

  void quantize(const float *a, int64_t rows, int64_t columns,
                const std::string &name, float *out) const override {
    const std::vector<float> dense =
        dequantizePhases(phases(a, rows, columns, name));
    std::copy(dense.begin(), dense.end(), out);
  }

  bool accepts(int64_t rows, int64_t columns) const override {
    return rows > 0 && columns > 0 && rows % 2 == 0 && columns % 2 == 0;
  }

  double storedBits(int64_t rows, int64_t columns) const override {
    PhaseMatrix q;
    q.rows = rows / 2;
    q.columns = columns / 2;
    q.scheme = scheme;
    const int64_t pairs = q.tilesDown() * q.tilesAcross() * q.sets();
    const int64_t factors = scheme.scales == ScaleGranularity::Row ? rows : 0;
    return double(scheme.stages * rows * columns + 32 * (2 * pairs + factors));
  }

  std::string compilerOptions() const override {
    const std::string scales =
        scheme.scales == ScaleGranularity::Tensor
            ? ""
            : std::string(" --scales=") + nameOf(scheme.scales);
    return "--method=complex_phase_v" + std::to_string(scheme.stages) + scales;
  }

  std::optional<PhaseScheme> phaseScheme() const override { return scheme; }

  PhaseMatrix phases(const float *a, int64_t rows, int64_t columns,
                     const std::string &name) const override {
    return quantizePhases(
        a, rows, columns, scheme, name,
        [](int64_t count, const std::function<void(int64_t, int64_t)> &body) {
          parallelFor(count, 64, body);
        });
  }

private:
  PhaseScheme scheme;
};

} // namespace

std::unique_ptr<Method> makeComplexPhase(PhaseScheme scheme) {
  return std::make_unique<ComplexPhase>(scheme);
}

} // namespace fairy2
