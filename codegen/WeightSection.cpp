// SPDX-License-Identifier: Apache-2.0
//
// A pack at a time: its sources are read and quantized on all threads, packed
// in the order of their layout, and measured against the originals.
#include "codegen/WeightSection.h"

#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "dialect/phase/Packing.h"
#include "runtime/support/Error.h"
#include "runtime/support/ForkJoin.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

using namespace mlir;

namespace fairy2 {
namespace {

/// Reads what a fairy2.weight names, or the value that it holds itself.
class Tensors {
public:
  /// As errors name it: with its file, if it has one.
  static std::string nameOf(WeightOp weight) {
    const std::string name = weight.getSymName().str();
    const auto file = weight.getFile();
    return file ? file->str() + ": " + name : name;
  }

  Tensors(Operation *from, const WeightStore &store)
      : from(from), store(store) {}

  WeightOp weight(Attribute symbol) const {
    return cast<WeightOp>(SymbolTable::lookupNearestSymbolFrom(
        from, cast<FlatSymbolRefAttr>(symbol)));
  }

  PhaseMatrix phases(PhaseQuantizeOp recipe, const ParallelFor &parallelFor,
                     WeightFacts &facts) const {
    WeightOp weight = this->weight(recipe.getWeightAttr());
    if (weight.getPhases())
      return store.readPhases(weight.getSymName().str(), parallelFor);
    RankedTensorType type = weight.getTensorType();
    const int64_t columns = type.getDimSize(1);
    return quantizePhases(
        [&](int64_t begin, int64_t end, float *out) {
          floats(weight, begin * columns, end * columns, out);
        },
        type.getDimSize(0), columns, phaseSchemeOf(recipe.getScheme()),
        nameOf(weight), parallelFor, {}, &facts.error.emplace());
  }

  SignMatrix signs(SignQuantizeOp recipe, const ParallelFor &parallelFor,
                   WeightFacts &facts) const {
    WeightOp weight = this->weight(recipe.getWeightAttr());
    RankedTensorType type = weight.getTensorType();
    const int64_t columns = type.getDimSize(1);
    return quantizeSigns(
        [&](int64_t begin, int64_t end, float *out) {
          floats(weight, begin * columns, end * columns, out);
        },
        type.getDimSize(0), columns, signSchemeOf(recipe.getScheme()),
        nameOf(weight), parallelFor, &facts.error.emplace());
  }

  void floats(WeightOp weight, int64_t begin, int64_t end, float *out) const {
    if (!weight.getValue())
      return store.readFloats(weight.getSymName().str(), begin, end, out);
    auto values = weight.getValue()->getValues<APFloat>();
    for (int64_t i = begin; i < end; ++i) {
      APFloat value = values[i];
      bool lossy;
      value.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven,
                    &lossy);
      *out++ = value.convertToFloat();
    }
  }

  void bytes(WeightOp weight, int64_t begin, int64_t end, uint8_t *out) const {
    if (!weight.getValue())
      return store.readBytes(weight.getSymName().str(), begin, end, out);
    const int64_t width = weight.getTensorType().getElementTypeBitWidth() / 8;
    auto values = weight.getValue()->getValues<APFloat>();
    for (int64_t i = begin / width; i < end / width; ++i) {
      const uint64_t bits = values[i].bitcastToAPInt().getZExtValue();
      std::memcpy(out, &bits, width);
      out += width;
    }
  }

  std::vector<float> allFloats(WeightOp weight) const {
    std::vector<float> values(weight.getTensorType().getNumElements());
    floats(weight, 0, int64_t(values.size()), values.data());
    return values;
  }

private:
  Operation *from;
  const WeightStore &store;
};

void requireFinite(const float *values, int64_t count, WeightOp weight) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i]))
      throw Error(Tensors::nameOf(weight) + ": expected finite values, found " +
                  (std::isnan(values[i]) ? "NaN" : "infinity"));
}

/// Values of real rows in the order of a pack: [tile][part][16].
void placeRows(ArrayRef<float> values, int64_t parts, float *to) {
  constexpr int64_t kRows = SignPlaneLayout::kTileRows;
  const int64_t n = int64_t(values.size()) / parts;
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t row = 0; row < n; ++row)
      to[(row / kRows * parts + part) * kRows + row % kRows] =
          values[part * n + row];
}

/// Where the parts of a pack of sign planes are written, matrix after matrix.
class PlaneWriter {
public:
  PlaneWriter(const SignPlanePack &layout, std::vector<uint8_t> &out)
      : layout(layout), scales(at<float>(out, layout.scaleOffset())),
        biases(at<float>(out, layout.biasOffset())),
        factors(at<float>(out, layout.factorOffset())),
        units(at<float>(out, layout.unitOffset())),
        planes(at<uint8_t>(out, layout.planeOffset())) {}

  void add(size_t i, const PhaseMatrix &matrix) {
    packSignPlanes(matrix, planes);
    planes += layout.matrix(i).bytes();
    // A tile's scales lie side by side; all tiles of a matrix may share them.
    for (int64_t row = 0; row < layout.scaleRows(i); ++row) {
      const int64_t of = layout.isTiled() ? row : 0;
      if (layout.hasScales())
        addScales(matrix, of);
      if (layout.hasUnits())
        units = std::copy_n(matrix.units.begin() + of * layout.spans(),
                            layout.spans(), units);
    }
    if (layout.hasFactors()) {
      std::vector<float> values = matrix.rowFactors;
      if (layout.isOnGrid())
        for (float &value : values)
          value *= matrix.units[0];
      placeRows(values, layout.parts(), factors);
      factors += rowValues(i);
    }
  }

  void add(size_t i, const SignMatrix &matrix) {
    packSigns(matrix, planes);
    planes += layout.matrix(i).bytes();
    const int64_t perSet = layout.scalesPerSet();
    for (int64_t tile = 0; tile < layout.matrix(i).tiles(); ++tile)
      for (int p = 0; p < layout.sets(); ++p)
        for (int64_t row = 0; row < perSet; ++row) {
          const int64_t of = tile * SignPlaneLayout::kTileRows + row;
          *scales++ = of < matrix.rows ? matrix.scalesOf(of)[p] : 0;
        }
  }

  /// To be called once per matrix, in order, where the pack has biases.
  void addBias(size_t i, ArrayRef<float> bias) {
    placeRows(bias, layout.parts(), biases);
    biases += rowValues(i);
  }

private:
  template <typename T>
  static T *at(std::vector<uint8_t> &out, int64_t offset) {
    return reinterpret_cast<T *>(out.data() + offset);
  }
  /// Of a row of tiles.
  void addScales(const PhaseMatrix &matrix, int64_t row) {
    const size_t count = size_t(layout.spans() * layout.sets());
    for (size_t s = size_t(row) * count; s < size_t(row + 1) * count; ++s) {
      if (layout.isOnGrid()) {
        *scales++ = std::bit_cast<float>(int32_t(matrix.integers[s].re));
        *scales++ = std::bit_cast<float>(int32_t(matrix.integers[s].im));
      } else {
        *scales++ = matrix.scales[s].re;
        *scales++ = matrix.scales[s].im;
      }
    }
  }
  int64_t rowValues(size_t i) const {
    return layout.matrix(i).tiles() * layout.tileRowValues();
  }

  const SignPlanePack &layout;
  float *scales, *biases, *factors, *units;
  uint8_t *planes;
};

std::optional<WeightGrid> gridOf(const PhaseMatrix &matrix) {
  if (matrix.units.empty())
    return std::nullopt;
  const auto [smallest, largest] = std::ranges::minmax(matrix.units);
  const size_t sets = size_t(matrix.sets());
  const std::span<const AxisIntegers> all(matrix.integers);
  WeightGrid grid{smallest, largest, {}};
  bool isShared = true;
  for (size_t tile = 0; tile < all.size(); tile += sets)
    isShared &= std::ranges::equal(all.subspan(tile, sets), all.first(sets));
  if (isShared)
    grid.integers.assign(all.begin(), all.begin() + sets);
  return grid;
}

void signPlanes(PackOp pack, const Tensors &tensors,
                const ParallelFor &parallelFor, WeightFactsMap &facts,
                std::vector<uint8_t> &out) {
  const SignPlanePack layout = signPlanePackOf(pack);
  out.assign(layout.bytes(), 0);
  PlaneWriter writer(layout, out);
  for (size_t i = 0; i < layout.rows.size(); ++i) {
    Operation *recipe = SymbolTable::lookupNearestSymbolFrom(
        pack, cast<FlatSymbolRefAttr>(pack.getSources()[i]));
    WeightFacts &found = facts[weightBehind(recipe).getSymName().str()];
    if (auto signs = dyn_cast<SignQuantizeOp>(recipe)) {
      writer.add(i, tensors.signs(signs, parallelFor, found));
    } else {
      const PhaseMatrix matrix =
          tensors.phases(cast<PhaseQuantizeOp>(recipe), parallelFor, found);
      found.grid = gridOf(matrix);
      writer.add(i, matrix);
    }
    if (!layout.hasBias)
      continue;
    std::vector<float> bias;
    if (auto symbol = dyn_cast<FlatSymbolRefAttr>((*pack.getBiases())[i])) {
      WeightOp weight = tensors.weight(symbol);
      bias = tensors.allFloats(weight);
      requireFinite(bias.data(), int64_t(bias.size()), weight);
    }
    writer.addBias(i, bias);
  }
}

void denseRows(PackOp pack, const Tensors &tensors,
               const ParallelFor &parallelFor, std::vector<uint8_t> &out) {
  WeightOp weight = tensors.weight(pack.getSources()[0]);
  RankedTensorType type = weight.getTensorType();
  const int64_t columns = type.getShape().back();
  const DensePack layout{type.getNumElements() / columns, columns,
                         type.getElementTypeBitWidth() / 8,
                         bool(pack.getBiases())};
  out.assign(layout.bytes(), 0);
  parallelFor(layout.rows, [&](int64_t begin, int64_t end) {
    std::vector<float> row(columns);
    const int64_t bytes = columns * layout.elementBytes;
    for (int64_t i = begin; i < end; ++i) {
      tensors.floats(weight, i * columns, (i + 1) * columns, row.data());
      requireFinite(row.data(), columns, weight);
      tensors.bytes(weight, i * bytes, (i + 1) * bytes,
                    out.data() + i * layout.rowBytes());
    }
  });
  if (layout.hasBias) {
    WeightOp bias = tensors.weight((*pack.getBiases())[0]);
    auto *to = reinterpret_cast<float *>(out.data() + layout.biasOffset());
    tensors.floats(bias, 0, layout.rows, to);
    requireFinite(to, layout.rows, bias);
  }
}

/// Calls place(row, its codes, their scale) for every row of a matrix, in any
/// order: scale = max |v| / limit, and codes are rounded ties to even.
template <typename Place>
QuantizationError quantizeRows(WeightOp weight, int limit,
                               const Tensors &tensors,
                               const ParallelFor &parallelFor, Place place) {
  const int64_t rows = weight.getTensorType().getDimSize(0);
  const int64_t columns = weight.getTensorType().getDimSize(1);
  std::vector<QuantizationError> ofRow(rows);
  parallelFor(rows, [&](int64_t begin, int64_t end) {
    std::vector<float> row(columns);
    std::vector<int8_t> codes(columns);
    for (int64_t i = begin; i < end; ++i) {
      tensors.floats(weight, i * columns, (i + 1) * columns, row.data());
      fairy2::requireFinite(Tensors::nameOf(weight), i, columns, row.data());
      float largest = 0;
      for (float v : row)
        largest = std::max(largest, std::fabs(v));
      // Infinite for zeros, and for what a float cannot divide by.
      float inverse = float(limit) / largest;
      if (!std::isfinite(inverse))
        inverse = 0;
      const float scale = largest / float(limit);
      for (int64_t j = 0; j < columns; ++j) {
        const int code = int(std::nearbyint(row[j] * inverse));
        codes[j] = int8_t(std::clamp(code, -limit, limit));
        const double left = double(row[j]) - double(codes[j]) * double(scale);
        ofRow[i].error += left * left;
      }
      ofRow[i].norm = squaredNorm(row.data(), columns);
      place(i, ArrayRef<int8_t>(codes), scale);
    }
  });
  QuantizationError sum; // Whatever the partition, in one order.
  for (const QuantizationError &row : ofRow) {
    sum.norm += row.norm;
    sum.error += row.error;
  }
  return sum;
}

QuantizationError int8Rows(PackOp pack, const Tensors &tensors,
                           const ParallelFor &parallelFor,
                           std::vector<uint8_t> &out) {
  WeightOp weight = tensors.weight(pack.getSources()[0]);
  RankedTensorType type = weight.getTensorType();
  const Int8Pack layout{type.getDimSize(0), type.getDimSize(1)};
  out.assign(layout.bytes(), 0);
  auto *scales = reinterpret_cast<float *>(out.data() + layout.scaleOffset());
  auto *sums = reinterpret_cast<int32_t *>(out.data() + layout.sumOffset());
  return quantizeRows(weight, 127, tensors, parallelFor,
                      [&](int64_t i, ArrayRef<int8_t> codes, float scale) {
                        scales[i] = scale;
                        uint8_t *tile =
                            out.data() + layout.valueOffset() +
                            i / Int8Pack::kTileRows * layout.tileBytes() +
                            i % Int8Pack::kTileRows * Int8Pack::kGroupColumns;
                        for (int64_t j = 0; j < layout.columns; ++j) {
                          sums[i] += codes[j];
                          tile[j / 4 * (Int8Pack::kTileRows * 4) + j % 4] =
                              uint8_t(codes[j]);
                        }
                      });
}

QuantizationError int4Rows(PackOp pack, const Tensors &tensors,
                           const ParallelFor &parallelFor,
                           std::vector<uint8_t> &out) {
  constexpr int64_t kHalf = Int4Pack::kGroupColumns / 2;
  WeightOp weight = tensors.weight(pack.getSources()[0]);
  RankedTensorType type = weight.getTensorType();
  const Int4Pack layout{type.getDimSize(0), type.getDimSize(1)};
  out.assign(layout.bytes(), 0);
  auto *scales = reinterpret_cast<float *>(out.data() + layout.scaleOffset());
  return quantizeRows(
      weight, 7, tensors, parallelFor,
      [&](int64_t i, ArrayRef<int8_t> codes, float scale) {
        scales[i] = scale;
        uint8_t *row =
            out.data() + layout.valueOffset() + i * layout.rowBytes();
        for (int64_t j = 0; j < layout.columns; ++j)
          row[j / Int4Pack::kGroupColumns * Int4Pack::kGroupBytes +
              j % kHalf] |= (codes[j] & 15) << (j / kHalf % 2 * 4);
      });
}

} // namespace

std::vector<uint8_t> packBytes(PackOp pack, const WeightStore &weights,
                               const ParallelFor &parallelFor,
                               WeightFactsMap &facts) {
  const Tensors tensors(pack, weights);
  std::vector<uint8_t> bytes;
  switch (pack.getKind()) {
  case PackingKind::SignPlanes:
  case PackingKind::RealSignPlanes:
    signPlanes(pack, tensors, parallelFor, facts, bytes);
    break;
  case PackingKind::Dense:
    denseRows(pack, tensors, parallelFor, bytes);
    break;
  case PackingKind::Int8:
    facts[pack.getSymName().str()].error =
        int8Rows(pack, tensors, parallelFor, bytes);
    break;
  case PackingKind::Int4:
    facts[pack.getSymName().str()].error =
        int4Rows(pack, tensors, parallelFor, bytes);
    break;
  }
  return bytes;
}

WeightFactsMap writeWeightSection(ModuleOp packed, const WeightStore &weights,
                                  int threads, ArtifactWriter &writer,
                                  const Progress &progress) {
  WeightFactsMap facts;
  int64_t total = 0;
  for (auto pack : packed.getOps<PackOp>())
    total += int64_t(pack.getBytes());
  const ParallelFor parallelFor =
      [threads](int64_t count,
                const std::function<void(int64_t, int64_t)> &body) {
        forkJoinRanges(threads, count, body);
      };
  int64_t done = 0;
  for (auto pack : packed.getOps<PackOp>()) {
    if (progress)
      progress(done, total);
    writer.align(kPackAlignment);
    if (writer.weightBytes() != int64_t(pack.getOffset()))
      throw Error(pack.getSymName().str() +
                  ": expected packs in the order of their offsets");
    writer.append(packBytes(pack, weights, parallelFor, facts));
    done += int64_t(pack.getBytes());
  }
  writer.align(kPackAlignment);
  if (progress)
    progress(total, total);
  return facts;
}

} // namespace fairy2
