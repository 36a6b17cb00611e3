// SPDX-License-Identifier: Apache-2.0
//
// The quantizer's scalar definition and the sign-plane packing.
#include "dialect/phase/Phase.h"

#include "dialect/phase/BinaryStages.h"
#include "dialect/phase/ScaleGrid.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace fairy2 {
namespace {

/// What follows each operation in canonical and in official mode.
struct NoRounding {
  float operator()(float value) const { return value; }
};
struct BFloat16Rounding {
  float operator()(float value) const { return roundToBFloat16(value); }
};

template <typename Rounding>
AxisScales scalesOf(const CodeSums &sums, Rounding round) {
  const float smallest = round(kSmallestScale);
  return {std::max(round(axisMean(sums.re, sums.reCount)), smallest),
          std::max(round(axisMean(sums.im, sums.imCount)), smallest)};
}

void divideRow(float *values, int64_t count, float factor) {
  for (int64_t j = 0; j < count; ++j)
    values[j] = overFactor(values[j], factor);
}

void multiplyRow(const PhaseMatrix &q, int64_t realRow, float *values) {
  if (!q.rowFactors.empty())
    for (int64_t j = 0; j < 2 * q.columns; ++j)
      values[j] *= q.rowFactors[size_t(realRow)];
}

/// body(first entry, one past the last, scales of all sets) for every part of
/// complex row i that shares its scales; entries count from the matrix's start.
template <typename Body>
void forEachTile(const PhaseMatrix &q, int64_t i, const Body &body) {
  const int64_t m = q.columns;
  for (int64_t j = 0; j < m; j += q.tileColumns())
    body(i * m + j, i * m + std::min(j + q.tileColumns(), m), q.scalesAt(i, j));
}

/// The stages of one matrix: codes and scales of the residuals of U and W,
/// which each stage makes smaller.
template <typename Rounding> class ResidualStages {
public:
  ResidualStages(PhaseMatrix &q, const ParallelFor &parallelFor,
                 bool measuresError)
      : q(q), parallelFor(parallelFor), residual(size_t(q.rows * q.columns)),
        rowSums(size_t(q.rows * q.tilesAcross())),
        rowNorms(measuresError ? size_t(2 * q.rows) : 0) {}

  /// Reads U and W; with row scales, of the matrix over its factors.
  void read(const RowReader &readRows, const std::string &name) {
    const bool dividesRows = q.scheme.scales == ScaleGranularity::Row;
    const bool derivesFactors = dividesRows && q.rowFactors.empty();
    const int64_t n = q.rows, m = q.columns;
    if (derivesFactors)
      q.rowFactors.resize(size_t(2 * n));
    auto prepare = [&](int64_t row, float *values) {
      requireFinite(name, row, 2 * m, values);
      roundRow(values, 2 * m);
      if (!rowNorms.empty())
        rowNorms[size_t(row)] = squaredNorm(values, 2 * m);
      if (derivesFactors)
        q.rowFactors[size_t(row)] =
            float(std::sqrt(squaredNorm(values, 2 * m) / double(2 * m)));
      if (dividesRows)
        divideRow(values, 2 * m, q.rowFactors[size_t(row)]);
    };
    parallelFor(n, [&](int64_t begin, int64_t end) {
      constexpr int64_t kRows = 16;
      std::vector<float> top(kRows * 2 * m), bottom(kRows * 2 * m);
      for (int64_t first = begin; first < end; first += kRows) {
        const int64_t count = std::min(kRows, end - first);
        readRows(first, first + count, top.data());
        readRows(n + first, n + first + count, bottom.data());
        for (int64_t i = 0; i < count; ++i) {
          float *a1 = top.data() + i * 2 * m, *a2 = bottom.data() + i * 2 * m;
          prepare(first + i, a1);
          prepare(n + first + i, a2);
          for (int64_t j = 0; j < m; ++j) {
            const WidelyLinear v =
                toWidelyLinear(a1[j], a1[m + j], a2[j], a2[m + j]);
            residual[(first + i) * m + j] = {round(v.uRe), round(v.uIm),
                                             round(v.wRe), round(v.wIm)};
          }
        }
      }
    });
  }

  void code(int stage) {
    const int64_t across = q.tilesAcross();
    Phase *uCodes = q.codes.data() + size_t(2 * stage) * q.rows * q.columns;
    Phase *wCodes = uCodes + size_t(q.rows) * q.columns;
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        WidelyLinearSums *to = rowSums.data() + i * across;
        forEachTile(q, i, [&](int64_t first, int64_t last, auto) {
          WidelyLinearSums sums;
          for (int64_t j = first; j < last; ++j) {
            const WidelyLinear &r = residual[j];
            uCodes[j] = nearestPhase(r.uRe, r.uIm);
            wCodes[j] = nearestPhase(r.wRe, r.wIm);
            sums.u.add(uCodes[j], r.uRe, r.uIm);
            sums.w.add(wCodes[j], r.wRe, r.wIm);
          }
          *to++ = sums;
        });
      }
    });
    std::vector<WidelyLinearSums> totals(size_t(q.tilesDown() * across));
    for (int64_t i = 0; i < q.rows; ++i)
      for (int64_t tile = 0; tile < across; ++tile)
        totals[i / q.tileRows() * across + tile].add(
            rowSums[i * across + tile]);
    for (size_t tile = 0; tile < totals.size(); ++tile) {
      AxisScales *scales = q.scales.data() + tile * q.sets() + 2 * stage;
      scales[0] = scalesOf(totals[tile].u, round);
      scales[1] = scalesOf(totals[tile].w, round);
    }
  }

  void subtract(int stage) {
    const Phase *uCodes = q.set(2 * stage), *wCodes = q.set(2 * stage + 1);
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        forEachTile(q, i,
                    [&](int64_t first, int64_t last, const AxisScales *scales) {
                      for (int64_t j = first; j < last; ++j) {
                        WidelyLinear &r = residual[j];
                        float re, im;
                        scaledPhase(uCodes[j], scales[2 * stage], re, im);
                        r.uRe = round(r.uRe - re);
                        r.uIm = round(r.uIm - im);
                        scaledPhase(wCodes[j], scales[2 * stage + 1], re, im);
                        r.wRe = round(r.wRe - re);
                        r.wIm = round(r.wIm - im);
                      }
                    });
    });
  }

  /// After the last stage is subtracted with scales `means`: as if all had been
  /// with the scales that the matrix has now.
  void replaceScales(const std::vector<AxisScales> &means) {
    std::vector<AxisScales> changes = q.scales;
    for (size_t i = 0; i < changes.size(); ++i)
      changes[i] = {q.scales[i].re - means[i].re, q.scales[i].im - means[i].im};
    std::swap(q.scales, changes);
    for (int stage = 0; stage < q.scheme.stages; ++stage)
      subtract(stage);
    std::swap(q.scales, changes);
  }

  /// After the last stage is subtracted: what is left, as a real matrix.
  QuantizationError error() const {
    const int64_t n = q.rows, m = q.columns;
    std::vector<double> rowErrors(size_t(2 * n));
    parallelFor(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double top = 0, bottom = 0;
        for (int64_t j = i * m; j < (i + 1) * m; ++j) {
          const WidelyLinear &r = residual[j];
          const double a11 = double(r.uRe) + r.wRe, a12 = double(r.wIm) - r.uIm;
          const double a21 = double(r.wIm) + r.uIm, a22 = double(r.uRe) - r.wRe;
          top += a11 * a11 + a12 * a12;
          bottom += a21 * a21 + a22 * a22;
        }
        rowErrors[i] = top;
        rowErrors[n + i] = bottom;
      }
    });
    QuantizationError sum;
    for (int64_t i = 0; i < 2 * n; ++i) {
      const double factor = q.rowFactors.empty() ? 1 : q.rowFactors[i];
      sum.norm += rowNorms[i];
      sum.error += rowErrors[i] * factor * factor;
    }
    return sum;
  }

private:
  void roundRow(float *values, int64_t count) const {
    for (int64_t j = 0; j < count; ++j)
      values[j] = round(values[j]);
  }

  PhaseMatrix &q;
  const ParallelFor &parallelFor;
  const Rounding round = {};
  std::vector<WidelyLinear> residual;    ///< [n][m]
  std::vector<WidelyLinearSums> rowSums; ///< [n][column of tiles]
  std::vector<double> rowNorms;          ///< [2n], or empty
};

template <typename Rounding>
void quantize(PhaseMatrix &q, const RowReader &readRows,
              const std::string &name, const ParallelFor &parallelFor,
              QuantizationError *error) {
  ResidualStages<Rounding> stages(q, parallelFor, error != nullptr);
  stages.read(readRows, name);
  for (int stage = 0; stage < q.scheme.stages; ++stage) {
    stages.code(stage);
    if (error || stage + 1 < q.scheme.stages)
      stages.subtract(stage);
  }
  if (q.scheme.grid == ScaleGrid::Int8) {
    const std::vector<AxisScales> means = q.scales;
    roundScalesToGrid(q);
    if (error)
      stages.replaceScales(means);
  }
  if (error)
    *error = stages.error();
}

/// U and W of entry `at` of all sets: the sums of all stages.
template <typename Rounding>
WidelyLinear dequantizedEntry(const PhaseMatrix &q, int64_t at,
                              const AxisScales *scales, Rounding round) {
  WidelyLinear sum{};
  for (int t = 0; t < q.scheme.stages; ++t) {
    float re, im;
    scaledPhase(q.set(2 * t)[at], scales[2 * t], re, im);
    sum.uRe = round(sum.uRe + re);
    sum.uIm = round(sum.uIm + im);
    scaledPhase(q.set(2 * t + 1)[at], scales[2 * t + 1], re, im);
    sum.wRe = round(sum.wRe + re);
    sum.wIm = round(sum.wIm + im);
  }
  return sum;
}

/// Real rows i and n + i.
template <typename Rounding>
void dequantizePair(const PhaseMatrix &q, int64_t i, float *top,
                    float *bottom) {
  const Rounding round;
  const int64_t m = q.columns;
  forEachTile(q, i, [&](int64_t first, int64_t last, const AxisScales *scales) {
    for (int64_t at = first, j = first - i * m; at < last; ++at, ++j) {
      const WidelyLinear sum = dequantizedEntry(q, at, scales, round);
      const RealBlock block = toRealBlock(sum);
      top[j] = round(block.a11);
      top[m + j] = round(block.a12);
      bottom[j] = round(block.a21);
      bottom[m + j] = round(block.a22);
    }
  });
  multiplyRow(q, i, top);
  multiplyRow(q, q.rows + i, bottom);
}

void dequantizePair(const PhaseMatrix &q, int64_t i, float *top,
                    float *bottom) {
  if (q.scheme.mode == QuantizeMode::OfficialBF16)
    dequantizePair<BFloat16Rounding>(q, i, top, bottom);
  else
    dequantizePair<NoRounding>(q, i, top, bottom);
}

} // namespace

const char *nameOf(QuantizeMode mode) {
  return mode == QuantizeMode::Canonical ? "canonical" : "official_bf16";
}

std::optional<QuantizeMode> quantizeModeFromName(std::string_view name) {
  for (auto mode : {QuantizeMode::Canonical, QuantizeMode::OfficialBF16})
    if (name == nameOf(mode))
      return mode;
  return std::nullopt;
}

const char *nameOf(StageScales stageScales) {
  return stageScales == StageScales::Mean ? "mean" : "binary";
}

std::optional<StageScales> stageScalesFromName(std::string_view name) {
  for (auto stageScales : kStageScales)
    if (name == nameOf(stageScales))
      return stageScales;
  return std::nullopt;
}

const char *nameOf(ScaleGrid grid) {
  return grid == ScaleGrid::Float ? "float" : "int8";
}

std::optional<ScaleGrid> scaleGridFromName(std::string_view name) {
  for (auto grid : kScaleGrids)
    if (name == nameOf(grid))
      return grid;
  return std::nullopt;
}

ScaleGrid gridThatSuits(StageScales stageScales, int64_t stages) {
  return stageScales == StageScales::Binary && stages <= kMaxBinaryGridStages
             ? ScaleGrid::Int8
             : ScaleGrid::Float;
}

std::string schemeFault(const PhaseScheme &scheme) {
  if (scheme.stages < 1 || scheme.stages > kMaxStages)
    return "expected 1 to " + std::to_string(kMaxStages) + " stages, found " +
           std::to_string(scheme.stages);
  if (scheme.mode == QuantizeMode::OfficialBF16) {
    if (scheme.scales != ScaleGranularity::Tensor)
      return std::string("expected scales per tensor in official mode, found "
                         "scales per ") +
             nameOf(scheme.scales);
    if (scheme.stageScales != StageScales::Mean ||
        scheme.grid != ScaleGrid::Float)
      return std::string("expected stage scales mean on the grid float in "
                         "official mode, found ") +
             nameOf(scheme.stageScales) + " on the grid " + nameOf(scheme.grid);
  }
  if (scheme.stageScales == StageScales::Binary &&
      scheme.grid == ScaleGrid::Int8 && scheme.stages > kMaxBinaryGridStages)
    return "expected at most " + std::to_string(kMaxBinaryGridStages) +
           " binary stages on the scale grid int8, or the grid float, found " +
           std::to_string(scheme.stages);
  return "";
}

PhaseMatrix quantizePhases(const float *a, int64_t realRows,
                           int64_t realColumns, PhaseScheme scheme,
                           const std::string &name,
                           const ParallelFor &parallelFor,
                           std::span<const float> rowFactors,
                           QuantizationError *error) {
  return quantizePhases(rowsOf(a, realColumns), realRows, realColumns, scheme,
                        name, parallelFor, rowFactors, error);
}

PhaseMatrix quantizePhases(const RowReader &readRows, int64_t realRows,
                           int64_t realColumns, PhaseScheme scheme,
                           const std::string &name,
                           const ParallelFor &parallelFor,
                           std::span<const float> rowFactors,
                           QuantizationError *error) {
  if (realRows % 2 || realColumns % 2)
    throw Error(name +
                ": expected even extents to pair rows and columns as "
                "complex numbers, found " +
                std::to_string(realRows) + " x " + std::to_string(realColumns));
  if (const std::string fault = schemeFault(scheme); !fault.empty())
    throw Error(name + ": " + fault);
  if (!rowFactors.empty() && (scheme.scales != ScaleGranularity::Row ||
                              int64_t(rowFactors.size()) != realRows))
    throw Error(name + ": expected a factor for each of " +
                std::to_string(realRows) + " rows and row scales, found " +
                std::to_string(rowFactors.size()) + " factors");
  for (float factor : rowFactors)
    if (!std::isfinite(factor))
      throw Error(name + ": expected finite row factors");
  PhaseMatrix q;
  q.rows = realRows / 2;
  q.columns = realColumns / 2;
  q.scheme = scheme;
  q.codes.resize(size_t(q.sets()) * q.rows * q.columns);
  q.scales.resize(size_t(q.tilesDown() * q.tilesAcross()) * q.sets());
  q.rowFactors.assign(rowFactors.begin(), rowFactors.end());

  if (scheme.stageScales == StageScales::Binary)
    quantizeBinaryStages(
        q, readRows, name, parallelFor,
        scheme.scales == ScaleGranularity::Row && rowFactors.empty(), error);
  else if (scheme.mode == QuantizeMode::OfficialBF16)
    quantize<BFloat16Rounding>(q, readRows, name, parallelFor, error);
  else
    quantize<NoRounding>(q, readRows, name, parallelFor, error);
  return q;
}

std::vector<float> dequantizePhases(const PhaseMatrix &q) {
  const int64_t n = q.rows, width = 2 * q.columns;
  std::vector<float> a(size_t(2 * n * width));
  for (int64_t i = 0; i < n; ++i)
    dequantizePair(q, i, a.data() + i * width, a.data() + (n + i) * width);
  return a;
}

void packSignPlanes(const PhaseMatrix &q, uint8_t *out) {
  using L = SignPlaneLayout;
  const L layout{q.rows, q.columns, q.sets()};
  // Bits p (low) and q (high) of each code, at bit 0 and 4.
  constexpr std::array<uint8_t, 4> kBits = {0x11, 0x01, 0x00, 0x10};
  const int64_t n = q.rows, m = q.columns;
  std::fill(out, out + layout.bytes(), uint8_t(0xff));
  for (int64_t row = 0; row < n; ++row)
    for (int s = 0; s < layout.sets; ++s) {
      const Phase *codes = q.set(s) + row * m;
      for (int64_t group = 0; group * L::kGroupColumns < m; ++group) {
        uint8_t byte = 0;
        for (int64_t b = 0; b < L::kGroupColumns; ++b) {
          const int64_t column = group * L::kGroupColumns + b;
          byte |= kBits[uint8_t(column < m ? codes[column] : Phase::One)] << b;
        }
        out[layout.byteOf(s, row, group * L::kGroupColumns)] = byte;
      }
    }
}

Phase unpackSignPlanes(const SignPlaneLayout &layout, const uint8_t *packed,
                       int set, int64_t row, int64_t column) {
  const uint8_t byte = packed[layout.byteOf(set, row, column)];
  const int bit = int(column % SignPlaneLayout::kGroupColumns);
  const bool p = byte >> bit & 1, q = byte >> (4 + bit) & 1;
  if (p)
    return q ? Phase::One : Phase::I;
  return q ? Phase::MinusI : Phase::MinusOne;
}

} // namespace fairy2
