// SPDX-License-Identifier: Apache-2.0
//
// The compiler's own quantizer, so that training and compiling agree by
// construction (Fairy2i, arXiv 2512.02901).
#include "dialect/Error.h"
#include "dialect/Phase.h"
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/methods/MethodTable.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>

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

  at::Tensor quantized(const at::Tensor &latent,
                       const std::string &name) const override {
    const DeviceKernels *device = deviceKernels(latent);
    return device ? quantizedOnDevice(*device, latent, name)
                  : Method::quantized(latent, name);
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

  std::unique_ptr<Method> softened(double temperature) const override {
    return makeSoftPhases(scheme, temperature);
  }

  PhaseMatrix phases(const float *a, int64_t rows, int64_t columns,
                     const std::string &name) const override {
    return quantizePhases(a, rows, columns, scheme, name, parallelRows);
  }

private:
  at::Tensor quantizedOnDevice(const DeviceKernels &device,
                               const at::Tensor &latent,
                               const std::string &name) const {
    PhaseMatrix shape; // without codes
    shape.rows = latent.size(0) / 2;
    shape.columns = latent.size(1) / 2;
    shape.scheme = scheme;
    const int64_t entries = shape.rows * shape.columns;
    const auto room = [&](int64_t count, size_t width) {
      return at::empty({count * int64_t(width)},
                       latent.options().dtype(at::kByte));
    };
    const bool dividesRows = scheme.scales == ScaleGranularity::Row;
    const at::Tensor factors =
                         room(dividesRows ? 2 * shape.rows : 0, sizeof(float)),
                     residual = room(entries, sizeof(WidelyLinear)),
                     sums = room(shape.rows * shape.tilesAcross(),
                                 sizeof(WidelyLinearSums)),
                     codes = room(entries, sizeof(uint32_t)),
                     scales = room(shape.tilesDown() * shape.tilesAcross() *
                                       shape.sets(),
                                   sizeof(AxisScales)),
                     out = at::empty_like(latent),
                     bad = at::full({1}, PhaseCall::kNoBadValue,
                                    latent.options().dtype(at::kLong));
    device.quantizePhases(
        {floatsOf(latent), shape.rows, shape.columns, scheme.stages,
         shape.tileRows(), shape.tileColumns(), dividesRows,
         static_cast<float *>(factors.data_ptr()),
         static_cast<WidelyLinear *>(residual.data_ptr()),
         static_cast<WidelyLinearSums *>(sums.data_ptr()),
         static_cast<uint32_t *>(codes.data_ptr()),
         static_cast<AxisScales *>(scales.data_ptr()),
         out.mutable_data_ptr<float>(), bad.mutable_data_ptr<int64_t>()});
    const auto place = bad.item<int64_t>();
    if (place != PhaseCall::kNoBadValue)
      throw Error(name + ": expected finite values, found " +
                  (std::isnan(latent.flatten()[place].item<float>())
                       ? "NaN"
                       : "infinity") +
                  " at row " + std::to_string(place / latent.size(1)) +
                  ", column " + std::to_string(place % latent.size(1)));
    return out;
  }

  PhaseScheme scheme;
};

} // namespace

std::unique_ptr<Method> makeComplexPhase(PhaseScheme scheme) {
  return std::make_unique<ComplexPhase>(scheme);
}

} // namespace fairy2
