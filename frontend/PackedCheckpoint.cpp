// SPDX-License-Identifier: Apache-2.0
//
// Writer and reader of quantized checkpoints. The reader compares every number
// of the file with the shapes that follow from P.shape before it is used.
#include "frontend/PackedCheckpoint.h"

#include "dialect/phase/Packing.h"
#include "dialect/phase/ScaleGrid.h"
#include "frontend/Safetensors.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {
namespace {

constexpr char kFormat[] = "fairy2.format", kMethod[] = "fairy2.method",
               kStages[] = "fairy2.stages", kScales[] = "fairy2.scales",
               kStageScaleKey[] = "fairy2.stage_scales",
               kGridKey[] = "fairy2.scale_grid";
constexpr char kPhases[] = "complex_phase";
/// The first knows no stage scales but means, and no grid but float.
constexpr std::string_view kFormatVersions[] = {"1", "2"};
constexpr std::string_view kWeight = ".weight", kCodes = ".codes";
constexpr int64_t kCodesPerByte = 4;

/// A matrix of that shape without codes or scales.
PhaseMatrix emptyMatrix(PhaseScheme scheme, int64_t rows, int64_t columns) {
  PhaseMatrix q;
  q.rows = rows / 2;
  q.columns = columns / 2;
  q.scheme = scheme;
  return q;
}

int64_t rowBytes(const PhaseMatrix &q) {
  return roundUp((q.columns + kCodesPerByte - 1) / kCodesPerByte, 8);
}
std::vector<int64_t> codesShape(const PhaseMatrix &q) {
  return {q.sets(), q.rows, rowBytes(q)};
}
std::vector<int64_t> scalesShape(const PhaseMatrix &q) {
  return {q.tilesDown(), q.tilesAcross(), q.sets(), 2};
}

std::vector<int64_t> unitsShape(const PhaseMatrix &q) {
  return {q.tilesDown(), q.tilesAcross()};
}
bool hasUnits(const PhaseScheme &scheme) {
  return scheme.grid == ScaleGrid::Int8;
}
bool isOfFirstVersion(const PhaseScheme &scheme) {
  return scheme.stageScales == StageScales::Mean && !hasUnits(scheme);
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// Appends tensors to the list of a header, one after the other.
class HeaderBuilder {
public:
  void add(const std::string &name, const char *type,
           const std::vector<int64_t> &shape, int64_t elementBytes) {
    int64_t bytes = elementBytes;
    for (int64_t extent : shape)
      bytes *= extent;
    entries.push_back({name, type, shape, offset, offset + bytes});
    offset += bytes;
  }
  int64_t bytes() const { return offset; }
  std::vector<SafetensorsEntry> entries;

private:
  int64_t offset = 0;
};

std::string prefixOf(const PackedItem &item, const std::string &file) {
  if (!item.name.ends_with(kWeight) || item.shape.size() != 2)
    throw Error(file + ": tensor " + quoteName(item.name) +
                ": expected a matrix named '...weight' to store as phases");
  return item.name.substr(0, item.name.size() - kWeight.size());
}

std::vector<uint8_t> packedCodes(const PhaseMatrix &q) {
  const int64_t bytes = rowBytes(q), m = q.columns;
  std::vector<uint8_t> packed(size_t(q.sets() * q.rows * bytes), 0);
  for (int64_t i = 0; i < q.sets() * q.rows; ++i)
    for (int64_t j = 0; j < m; ++j)
      packed[i * bytes + j / kCodesPerByte] |=
          uint8_t(uint8_t(q.codes[i * m + j]) << 2 * (j % kCodesPerByte));
  return packed;
}

std::vector<int16_t> storedIntegers(const PhaseMatrix &q) {
  std::vector<int16_t> stored;
  for (const AxisIntegers &integers : q.integers)
    for (int16_t c : {integers.re, integers.im})
      stored.push_back(c);
  return stored;
}

/// That of an item in a checkpoint of that scheme.
PhaseScheme schemeOf(const PackedItem &item, PhaseScheme scheme) {
  if (item.stages)
    scheme.stages = item.stages;
  return scheme;
}

void appendPhases(OutputFile &out, const PhaseMatrix &q, const PackedItem &item,
                  PhaseScheme header, const std::string &file) {
  const PhaseScheme scheme = schemeOf(item, header);
  if (2 * q.rows != item.shape[0] || 2 * q.columns != item.shape[1] ||
      q.scheme != scheme)
    throw Error(file + ": tensor " + quoteName(item.name) +
                ": expected phases of its shape and the checkpoint's scheme");
  // Eight-byte values first, so that most lie at multiples of that.
  out.append(bytesOf(item.shape));
  if (scheme != header)
    out.append(bytesOf(std::vector<int64_t>{scheme.stages}));
  out.append(bytesOf(q.scales));
  out.append(bytesOf(q.rowFactors));
  if (hasUnits(scheme)) {
    out.append(bytesOf(q.units));
    out.append(bytesOf(storedIntegers(q)));
  }
  out.append(packedCodes(q));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// The scheme that the metadata tells.
PhaseScheme readScheme(const std::map<std::string, std::string> &metadata,
                       const std::string &folder) {
  auto text = [&](const char *key) {
    const auto found = metadata.find(key);
    if (found == metadata.end())
      throw Error(folder + ": field '__metadata__." + key + "': is missing");
    return found->second;
  };
  auto fail = [&](const char *key, const std::string &expected) {
    throw Error(folder + ": field '__metadata__." + key + "': expected " +
                expected + ", found " + quoteName(text(key)));
  };
  if (!std::ranges::count(kFormatVersions, text(kFormat)))
    fail(kFormat, "version 1 or 2, which this program reads");
  if (text(kMethod) != kPhases)
    fail(kMethod, std::string("'") + kPhases + "'");
  PhaseScheme scheme;
  const std::string stages = text(kStages);
  if (stages.size() != 1 || stages[0] < '1' || stages[0] > '0' + kMaxStages)
    fail(kStages, "1 to " + std::to_string(kMaxStages));
  scheme.stages = stages[0] - '0';
  const auto scales = granularityFromName(text(kScales));
  if (!scales)
    fail(kScales, "'tensor', 'row' or 'tile'");
  scheme.scales = *scales;
  if (text(kFormat) == kFormatVersions[0])
    return scheme;
  const auto stageScales = stageScalesFromName(text(kStageScaleKey));
  if (!stageScales)
    fail(kStageScaleKey, "'mean' or 'binary'");
  scheme.stageScales = *stageScales;
  const auto grid = scaleGridFromName(text(kGridKey));
  if (!grid)
    fail(kGridKey, "'float' or 'int8'");
  scheme.grid = *grid;
  if (const std::string fault = schemeFault(scheme); !fault.empty())
    throw Error(folder + ": field '__metadata__." + kStages + "': " + fault);
  return scheme;
}

/// Finds and checks the parts of one weight.
class WeightParts {
public:
  WeightParts(const Checkpoint &checkpoint, const std::string &prefix)
      : checkpoint(checkpoint), prefix(prefix) {}

  PackedWeight find(PhaseScheme scheme) const {
    PackedWeight weight;
    weight.codes = other(".codes", "U8");
    readShape(weight);
    readStages(scheme);
    weight.scheme = scheme;
    const PhaseMatrix q = emptyMatrix(scheme, weight.rows, weight.columns);
    requireShape(weight.codes, codesShape(q));
    weight.scales = floats(".scales", scalesShape(q));
    if (scheme.scales == ScaleGranularity::Row)
      weight.rowFactors = floats(".row_factors", {weight.rows});
    if (hasUnits(scheme)) {
      weight.units = floats(".units", unitsShape(q));
      weight.integers = other(".integers", "I16");
      requireShape(*weight.integers, scalesShape(q));
    }
    return weight;
  }

  [[noreturn]] void fail(const std::string &name,
                         const std::string &text) const {
    throw Error(checkpoint.directory().string() + ": tensor " +
                quoteName(name) + ": " + text);
  }

private:
  OtherTensor other(const char *part, const char *type) const {
    const auto found = checkpoint.otherTensors().find(prefix + part);
    if (found == checkpoint.otherTensors().end())
      fail(prefix + part, checkpoint.tensors().count(prefix + part)
                              ? std::string("expected type ") + type
                              : "is missing");
    if (found->second.typeName != type)
      fail(prefix + part, std::string("expected type ") + type + ", found " +
                              found->second.typeName);
    return found->second;
  }

  TensorInfo floats(const char *part, const std::vector<int64_t> &shape) const {
    const TensorInfo &tensor = checkpoint.tensor(prefix + part);
    if (tensor.type != DType::F32)
      fail(tensor.name,
           std::string("expected type F32, found ") + nameOf(tensor.type));
    requireShape(tensor, shape);
    return tensor;
  }

  void readShape(PackedWeight &weight) const {
    const OtherTensor shape = other(".shape", "I64");
    requireShape(shape, {2});
    int64_t extents[2];
    checkpoint.readBytes(shape, 0, sizeof(extents),
                         reinterpret_cast<uint8_t *>(extents));
    for (int64_t extent : extents)
      if (extent < 2 || extent % 2 || extent > kMaxExtent)
        fail(shape.name, "expected even extents from 2 on, found " +
                             std::to_string(extent));
    weight.rows = extents[0];
    weight.columns = extents[1];
  }

  void readStages(PhaseScheme &scheme) const {
    if (!checkpoint.otherTensors().contains(prefix + ".stages"))
      return;
    const OtherTensor stages = other(".stages", "I64");
    requireShape(stages, {1});
    int64_t count;
    checkpoint.readBytes(stages, 0, sizeof(count),
                         reinterpret_cast<uint8_t *>(&count));
    if (count < 1 || count > kMaxStages)
      fail(stages.name, "expected 1 to " + std::to_string(kMaxStages) +
                            ", found " + std::to_string(count));
    scheme.stages = int(count);
    if (const std::string fault = schemeFault(scheme); !fault.empty())
      fail(stages.name, fault);
  }

  void requireShape(const StoredTensor &tensor,
                    const std::vector<int64_t> &shape) const {
    if (tensor.shape != shape)
      fail(tensor.name, "expected shape " + shapeText(shape) + ", found " +
                            shapeText(tensor.shape));
  }

  static constexpr int64_t kMaxExtent = int64_t(1) << 32;
  const Checkpoint &checkpoint;
  std::string prefix;
};

/// Two bits per code to one byte per code; false when a padding bit is set.
bool unpackRow(const uint8_t *packed, int64_t bytes, int64_t columns,
               Phase *codes) {
  for (int64_t j = 0; j < columns; ++j)
    codes[j] = Phase(packed[j / kCodesPerByte] >> 2 * (j % kCodesPerByte) & 3);
  uint8_t padding = 0;
  const int64_t whole = columns / kCodesPerByte;
  if (columns % kCodesPerByte)
    padding = packed[whole] >> 2 * (columns % kCodesPerByte);
  for (int64_t j = (columns + kCodesPerByte - 1) / kCodesPerByte; j < bytes;
       ++j)
    padding |= packed[j];
  return padding == 0;
}

} // namespace

void writePackedCheckpoint(
    const std::filesystem::path &file, PhaseScheme scheme,
    const std::vector<PackedItem> &items,
    const std::function<PhaseMatrix(size_t)> &phasesOf,
    const std::function<std::vector<uint8_t>(size_t)> &bytesOfItem) {
  HeaderBuilder header;
  for (const PackedItem &item : items) {
    if (!item.isQuantized) {
      header.add(item.name, nameOf(item.type), item.shape,
                 byteWidth(item.type));
      continue;
    }
    const std::string prefix = prefixOf(item, file.string());
    const PhaseMatrix q =
        emptyMatrix(schemeOf(item, scheme), item.shape[0], item.shape[1]);
    header.add(prefix + ".shape", "I64", {2}, 8);
    if (q.scheme != scheme)
      header.add(prefix + ".stages", "I64", {1}, 8);
    header.add(prefix + ".scales", "F32", scalesShape(q), 4);
    if (scheme.scales == ScaleGranularity::Row)
      header.add(prefix + ".row_factors", "F32", {item.shape[0]}, 4);
    if (hasUnits(scheme)) {
      header.add(prefix + ".units", "F32", unitsShape(q), 4);
      header.add(prefix + ".integers", "I16", scalesShape(q), 2);
    }
    header.add(prefix + ".codes", "U8", codesShape(q), 1);
  }
  std::map<std::string, std::string> metadata = {
      {kFormat, std::string(kFormatVersions[isOfFirstVersion(scheme) ? 0 : 1])},
      {kMethod, kPhases},
      {kStages, std::to_string(scheme.stages)},
      {kScales, nameOf(scheme.scales)}};
  if (!isOfFirstVersion(scheme)) {
    metadata[kStageScaleKey] = nameOf(scheme.stageScales);
    metadata[kGridKey] = nameOf(scheme.grid);
  }

  OutputFile out(file);
  const std::string start = formatSafetensorsHeader(header.entries, metadata);
  out.append(bytesOf(start));
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].isQuantized)
      appendPhases(out, phasesOf(i), items[i], scheme, file.string());
    else
      out.append(bytesOfItem(i));
  }
  const int64_t found = int64_t(out.size() - start.size());
  if (found != header.bytes())
    throw Error(file.string() + ": expected " + std::to_string(header.bytes()) +
                " bytes of tensors, found " + std::to_string(found));
  out.commit();
}

std::optional<PackedCheckpoint>
PackedCheckpoint::find(const Checkpoint &checkpoint) {
  if (!checkpoint.metadata().count(kFormat))
    return std::nullopt;
  PackedCheckpoint packed(checkpoint);
  packed.phaseScheme =
      readScheme(checkpoint.metadata(), checkpoint.directory().string());
  for (const auto &[name, tensor] : checkpoint.otherTensors()) {
    if (!name.ends_with(kCodes))
      continue;
    const std::string prefix = name.substr(0, name.size() - kCodes.size());
    const WeightParts parts(checkpoint, prefix);
    const std::string weight = prefix + std::string(kWeight);
    if (checkpoint.tensors().count(weight))
      parts.fail(weight, "stands beside its phases; expected one of the two");
    packed.packedWeights.emplace(weight, parts.find(packed.phaseScheme));
  }
  return packed;
}

void PackedCheckpoint::fail(const std::string &tensor,
                            const std::string &text) const {
  throw Error(checkpoint->directory().string() + ": tensor " +
              quoteName(tensor) + ": " + text);
}

void PackedCheckpoint::readGrid(const PackedWeight &weight,
                                PhaseMatrix &q) const {
  const size_t sets = size_t(q.sets());
  const std::vector<AxisScales> scales = q.scales;
  q.units.resize(scales.size() / sets);
  std::vector<int16_t> integers(2 * scales.size());
  checkpoint->readFloats(*weight.units, 0, int64_t(q.units.size()),
                         q.units.data());
  checkpoint->readBytes(*weight.integers, 0, int64_t(2 * integers.size()),
                        reinterpret_cast<uint8_t *>(integers.data()));
  for (size_t i = 0; i < scales.size(); ++i) {
    // What is no byte at all is as wrong as 0.
    auto byteOf = [](int16_t c) { return uint8_t(c < 0 || c > 255 ? 0 : c); };
    q.integers.push_back(
        {byteOf(integers[2 * i]), byteOf(integers[2 * i + 1])});
  }
  for (size_t tile = 0; tile < q.units.size(); ++tile)
    if (const std::string fault =
            gridFault(q.units[tile], {&q.integers[tile * sets], sets},
                      q.scheme.stageScales);
        !fault.empty())
      fail(weight.integers->name, fault);
  setGridScales(q);
  for (size_t i = 0; i < scales.size(); ++i)
    if (scales[i].re != q.scales[i].re || scales[i].im != q.scales[i].im)
      fail(weight.scales.name, "expected the unit times the integers of this "
                               "matrix, found others");
}

void PackedCheckpoint::requireBinary(const PackedWeight &weight,
                                     const PhaseMatrix &q) const {
  const size_t sets = size_t(q.sets());
  for (size_t i = 0; i < q.scales.size(); ++i) {
    const float unit = q.scales[i / sets * sets + sets - 1].im;
    const float scale = unit * float(1 << (q.scheme.stages - 1 - i % sets / 2));
    if (q.scales[i].re != scale || q.scales[i].im != scale)
      fail(weight.scales.name, "expected scales of binary stages, each twice "
                               "that of the next stage, found others");
  }
}

PhaseMatrix PackedCheckpoint::read(const std::string &name,
                                   const ParallelFor &parallelFor) const {
  const auto place = packedWeights.find(name);
  if (place == packedWeights.end())
    fail(name, "is not stored as phases");
  const PackedWeight &weight = place->second;
  PhaseMatrix q = emptyMatrix(weight.scheme, weight.rows, weight.columns);
  q.scales.resize(size_t(q.tilesDown() * q.tilesAcross()) * q.sets());
  checkpoint->readFloats(weight.scales, 0, int64_t(q.scales.size()) * 2,
                         &q.scales[0].re);
  for (AxisScales scale : q.scales)
    for (float s : {scale.re, scale.im})
      if (!(s > 0 && std::isfinite(s)))
        fail(weight.scales.name,
             "expected positive scales, found " + std::to_string(s));
  if (weight.units)
    readGrid(weight, q);
  else if (q.scheme.stageScales == StageScales::Binary)
    requireBinary(weight, q);
  if (weight.rowFactors) {
    q.rowFactors.resize(size_t(weight.rows));
    checkpoint->readFloats(*weight.rowFactors, 0, weight.rows,
                           q.rowFactors.data());
    for (float factor : q.rowFactors)
      if (!std::isfinite(factor))
        fail(weight.rowFactors->name,
             "expected finite factors, found " + std::to_string(factor));
  }
  q.codes.resize(size_t(q.sets() * q.rows * q.columns));
  const int64_t bytes = rowBytes(q);
  parallelFor(q.sets() * q.rows, [&](int64_t begin, int64_t end) {
    constexpr int64_t kRows = 64;
    std::vector<uint8_t> packed(size_t(kRows * bytes));
    for (int64_t row = begin; row < end; row += kRows) {
      const int64_t last = std::min(row + kRows, end);
      checkpoint->readBytes(weight.codes, row * bytes, last * bytes,
                            packed.data());
      for (int64_t i = row; i < last; ++i)
        if (!unpackRow(packed.data() + (i - row) * bytes, bytes, q.columns,
                       q.codes.data() + i * q.columns))
          fail(weight.codes.name,
               "expected zero bits behind the last column, found others");
    }
  });
  return q;
}

} // namespace fairy2
