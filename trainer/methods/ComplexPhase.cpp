// SPDX-License-Identifier: Apache-2.0
//
// The compiler's own quantizer, so that training and compiling agree by
// construction (Fairy2i, arXiv 2512.02901).
#include "dialect/phase/Phase.h"
#include "runtime/support/Error.h"
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/methods/MethodTable.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace fairy2::trainer {
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

  std::vector<at::Tensor>
  quantized(const std::vector<NamedLatent> &latents) const override {
    const DeviceKernels *device = latents.empty() || !hasFloatMeans()
                                      ? nullptr
                                      : deviceKernels(latents[0].latent);
    if (!device)
      return Method::quantized(latents);
    std::vector<at::Tensor> results;
    for (size_t begin = 0; begin < latents.size();) {
      size_t end = begin;
      int64_t values = 0;
      do
        values += latents[end++].latent.numel();
      while (end < latents.size() && values < kBatchValues);
      quantizeOnDevice(*device, {&latents[begin], &latents[end]}, results);
      begin = end;
    }
    return results;
  }

  bool accepts(int64_t rows, int64_t columns) const override {
    return rows > 0 && columns > 0 && rows % 2 == 0 && columns % 2 == 0;
  }

  double storedBits(int64_t rows, int64_t columns) const override {
    PhaseMatrix q;
    q.rows = rows / 2;
    q.columns = columns / 2;
    q.scheme = scheme;
    const int64_t factors = scheme.scales == ScaleGranularity::Row ? rows : 0;
    return double(scheme.stages * rows * columns + 32 * factors +
                  q.tilesDown() * q.tilesAcross() * scaleBits(q.sets()));
  }

  std::string compilerOptions() const override {
    const std::string scales =
        scheme.scales == ScaleGranularity::Tensor
            ? ""
            : std::string(" --scales=") + nameOf(scheme.scales);
    const std::string stages = hasFloatMeans()
                                   ? ""
                                   : std::string(" --stage-scales=") +
                                         nameOf(scheme.stageScales) +
                                         " --scale-grid=" + nameOf(scheme.grid);
    return "--method=complex_phase_v" + std::to_string(scheme.stages) + scales +
           stages;
  }

  std::optional<PhaseScheme> phaseScheme() const override { return scheme; }

  std::unique_ptr<Method> softened(double temperature) const override {
    return hasFloatMeans() ? makeSoftPhases(scheme, temperature) : nullptr;
  }

  PhaseMatrix phases(const float *a, int64_t rows, int64_t columns,
                     const std::string &name) const override {
    return quantizePhases(a, rows, columns, scheme, name, parallelRows);
  }

private:
  /// A device quantizes matrices of about so many values at once, and needs 5
  /// bytes for each while it does.
  static constexpr int64_t kBatchValues = int64_t(1) << 28;

  /// The method's own stage scales: devices have kernels for these, and soft
  /// codes have no others.
  bool hasFloatMeans() const {
    return scheme.stageScales == StageScales::Mean &&
           scheme.grid == ScaleGrid::Float;
  }

  /// Of the scales of a matrix or tile: two per set, integers of one byte on
  /// the grid; binary stages are multiples of one.
  int64_t scaleBits(int64_t sets) const {
    if (scheme.stageScales == StageScales::Binary)
      return 32;
    return scheme.grid == ScaleGrid::Int8 ? 32 + 8 * 2 * sets : 32 * 2 * sets;
  }

  /// Cuts a block of a device's memory into pieces.
  class Room {
  public:
    explicit Room(char *memory) : memory(memory) {}
    template <typename T> T *take(int64_t count) {
      char *piece = memory ? memory + used : nullptr;
      constexpr int64_t kAlignment = 256;
      used += (count * int64_t(sizeof(T)) + kAlignment - 1) / kAlignment *
              kAlignment;
      return reinterpret_cast<T *>(piece);
    }
    int64_t used = 0;

  private:
    char *memory;
  };

  PhaseCall callFor(const at::Tensor &latent, float *out, int64_t *bad,
                    Room &room) const {
    PhaseMatrix shape; // without codes
    shape.rows = latent.size(0) / 2;
    shape.columns = latent.size(1) / 2;
    shape.scheme = scheme;
    const int64_t entries = shape.rows * shape.columns;
    const bool dividesRows = scheme.scales == ScaleGranularity::Row;
    return {floatsOf(latent),
            shape.rows,
            shape.columns,
            scheme.stages,
            shape.tileRows(),
            shape.tileColumns(),
            dividesRows,
            room.take<float>(dividesRows ? 2 * shape.rows : 0),
            room.take<WidelyLinear>(entries),
            room.take<WidelyLinearSums>(shape.rows * shape.tilesAcross()),
            room.take<uint32_t>(entries),
            room.take<AxisScales>(shape.tilesDown() * shape.tilesAcross() *
                                  shape.sets()),
            out,
            bad};
  }

  /// Appends the quantized matrices to `results`.
  void quantizeOnDevice(const DeviceKernels &device,
                        std::span<const NamedLatent> latents,
                        std::vector<at::Tensor> &results) const {
    const at::TensorOptions options = latents[0].latent.options();
    const at::Tensor bad =
        at::full({int64_t(latents.size())}, PhaseCall::kNoBadValue,
                 options.dtype(at::kLong));
    Room measure(nullptr);
    for (const NamedLatent &item : latents)
      callFor(item.latent, nullptr, nullptr, measure);
    const at::Tensor memory =
        at::empty({measure.used}, options.dtype(at::kByte));
    Room room(static_cast<char *>(memory.mutable_data_ptr()));
    std::vector<PhaseCall> calls;
    for (size_t i = 0; i < latents.size(); ++i) {
      results.push_back(at::empty_like(latents[i].latent));
      calls.push_back(callFor(latents[i].latent,
                              results.back().mutable_data_ptr<float>(),
                              bad.mutable_data_ptr<int64_t>() + i, room));
    }
    const at::Tensor callsOnDevice =
        at::from_blob(calls.data(), {int64_t(calls.size() * sizeof(PhaseCall))},
                      at::kByte)
            .to(options.device());
    device.start(PhaseBatchCall{
        calls.data(),
        static_cast<const PhaseCall *>(callsOnDevice.const_data_ptr()),
        int64_t(calls.size())});
    const at::Tensor places = bad.cpu();
    for (size_t i = 0; i < latents.size(); ++i)
      refuseBadValue(latents[i], integersOf(places)[i]);
  }

  static void refuseBadValue(const NamedLatent &item, int64_t place) {
    if (place == PhaseCall::kNoBadValue)
      return;
    const int64_t columns = item.latent.size(1);
    throw Error(item.name + ": expected finite values, found " +
                (std::isnan(item.latent.flatten()[place].item<float>())
                     ? "NaN"
                     : "infinity") +
                " at row " + std::to_string(place / columns) + ", column " +
                std::to_string(place % columns));
  }

  PhaseScheme scheme;
};

} // namespace

std::unique_ptr<Method> makeComplexPhase(PhaseScheme scheme) {
  return std::make_unique<ComplexPhase>(scheme);
}

} // namespace fairy2::trainer
