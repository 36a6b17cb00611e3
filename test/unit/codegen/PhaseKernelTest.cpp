// SPDX-License-Identifier: Apache-2.0
//
// The kernels of layers on phases, on every CPU level that this machine runs:
// bit-equal to each other and to the naive lowering, whatever the batch and
// the number of threads, and equal to sums over the codes in plain C++.
#include "dialect/phase/Packing.h"
#include "test/unit/codegen/KernelRuns.h"
#include "test/unit/codegen/LayerInputs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace fairy2;

namespace {

struct Shape {
  std::string name;
  std::vector<int64_t> rows; ///< n of every matrix of the group
  int64_t columns;           ///< m
  int stages;
  bool hasBias;
  ScaleGranularity scales = ScaleGranularity::Tensor;
  StageScales stageScales = StageScales::Mean;
  ScaleGrid grid = ScaleGrid::Float;

  PhaseScheme scheme() const {
    return {stages, scales, QuantizeMode::Canonical, stageScales, grid};
  }
};

void PrintTo(const Shape &shape, std::ostream *out) { *out << shape.name; }

/// One layer: weights, their codes, and inputs.
struct Layer {
  Shape shape;
  std::vector<Floats> weights, biases;
  std::vector<PhaseMatrix> phases;
  std::vector<Floats> inputs; ///< [token][2m]

  explicit Layer(const Shape &shape) : shape(shape) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (int64_t n : shape.rows) {
      Floats a(4 * n * shape.columns), bias(2 * n);
      for (float &v : a)
        v = normal(random);
      for (float &v : bias)
        v = normal(random);
      phases.push_back(quantizePhases(a.data(), 2 * n, 2 * shape.columns,
                                      shape.scheme(), "w"));
      weights.push_back(a);
      biases.push_back(bias);
    }
    inputs = quantizedInputs(2 * shape.columns, random);
  }

  int64_t tokens() const { return int64_t(inputs.size()); }

  /// @forward with the results of matrix `observed` as logits. A lone matrix
  /// writes the logits itself.
  std::string module(size_t observed, bool isFloat) const {
    const int64_t width = 2 * shape.columns;
    const std::string w = std::to_string(width);
    Floats table;
    for (const Floats &x : inputs)
      table.insert(table.end(), x.begin(), x.end());
    std::string globals = weight("x", table, {tokens(), width});
    std::string phaseList, biasList, types;
    const std::string scheme =
        " #fairy2.scheme<stages = " + std::to_string(shape.stages) +
        ", scales = " + nameOf(shape.scales) +
        ", stage_scales = " + nameOf(shape.stageScales) +
        ", scale_grid = " + nameOf(shape.grid) +
        ", activations = " + (isFloat ? "float" : "int8") + ">\n";
    for (size_t i = 0; i < shape.rows.size(); ++i) {
      const std::string name = "w" + std::to_string(i);
      const std::string comma = i ? ", " : "";
      globals += weight(name, weights[i], {2 * shape.rows[i], width});
      globals += "fairy2.phase_quantize @" + name + "p of @" + name + scheme;
      phaseList += comma + "@" + name + "p";
      // Of a group, the second matrix has no bias.
      if (shape.hasBias && i != 1) {
        globals += weight(name + "b", biases[i], {2 * shape.rows[i]});
        biasList += comma + "@" + name + "b";
      } else {
        biasList += comma + "unit";
      }
      types +=
          comma + "tensor<?x" + std::to_string(2 * shape.rows[i]) + "xf32>";
    }
    const std::string biasText =
        shape.hasBias ? " biases [" + biasList + "]" : "";
    std::string body = "%e = fairy2.embedding %tokens, @x : tensor<?xi32> -> "
                       "tensor<?x" +
                       w + "xf32>\n";
    if (!isFloat)
      body += "%v, %s = fairy2.quantize_activations %e : tensor<?x" + w +
              "xf32> -> tensor<?x" + w + "xi8>, tensor<?xf32>\n";
    const bool alone = shape.rows.size() == 1;
    body +=
        std::string(alone ? "%y" : "%g:" + std::to_string(shape.rows.size())) +
        " = fairy2.phase_linear " + (isFloat ? "%e" : "%v scales %s") + " [" +
        phaseList + "]" + biasText + " : tensor<?x" + w +
        (isFloat ? "xf32>" : "xi8>, tensor<?xf32>") + " -> " + types + "\n";
    const int64_t features = 2 * shape.rows[observed];
    if (alone)
      return moduleWithLogits(globals, body, features, kSmallCache);
    return moduleWithIdentityHead(globals, body, features, kSmallCache,
                                  "%g#" + std::to_string(observed));
  }
};

/// Sets all scales of the pack to 0 but those of one set and axis, which
/// become 1, and all factors to 1: the result shows that set's integer sums.
void isolate(CompiledModule &compiled, const Layer &layer, int set, int axis) {
  const SignPlanePack layout =
      SignPlanePack::ofPhases(layer.shape.rows, layer.shape.columns,
                              layer.shape.scheme(), layer.shape.hasBias);
  const std::span<uint8_t> pack = compiled.pack("w0p.pack");
  ASSERT_EQ(int64_t(pack.size()), layout.bytes());
  auto *scales = reinterpret_cast<float *>(pack.data() + layout.scaleOffset());
  for (int64_t tile = 0; tile < layout.scaleRows() * layout.spans(); ++tile)
    for (int s = 0; s < layout.sets(); ++s)
      for (int a = 0; a < 2; ++a)
        *scales++ = s == set && a == axis ? 1.0f : 0.0f;
  if (layout.hasFactors())
    std::fill_n(reinterpret_cast<float *>(pack.data() + layout.factorOffset()),
                layout.tiles() * 2 * SignPlaneLayout::kTileRows, 1.0f);
}

/// What the layer yields with those scales, by complex arithmetic on codes:
/// codes on the other axis are left out, W sees the conjugate of x. Biases are
/// added in float, as the kernel does.
Floats isolatedSums(const Layer &layer, size_t matrix, int set, int axis,
                    const Floats &x) {
  const PhaseMatrix &phases = layer.phases[matrix];
  const int64_t n = phases.rows, m = phases.columns;
  const bool conjugated = set % 2 == 1;
  Floats y(2 * n);
  for (int64_t row = 0; row < n; ++row) {
    int64_t re = 0, im = 0;
    for (int64_t j = 0; j < m; ++j) {
      const Phase code = phases.set(set)[row * m + j];
      const int a = axis == 0 ? realPart(code) : 0;
      const int b = axis == 1 ? imagPart(code) : 0;
      const int xRe = int(x[j]);
      const int xIm = conjugated ? -int(x[m + j]) : int(x[m + j]);
      re += a * xRe - b * xIm;
      im += a * xIm + b * xRe;
    }
    y[row] = float(re);
    y[n + row] = float(im);
  }
  if (layer.shape.hasBias && matrix != 1)
    for (int64_t i = 0; i < 2 * n; ++i)
      y[i] += layer.biases[matrix][i];
  return y;
}

/// Layer outputs by the dequantized matrix in double precision.
std::vector<double> reference(const Layer &layer, size_t matrix,
                              const Floats &x) {
  const Floats a = dequantizePhases(layer.phases[matrix]);
  std::vector<double> y(2 * layer.shape.rows[matrix]);
  for (size_t row = 0; row < y.size(); ++row) {
    for (size_t j = 0; j < x.size(); ++j)
      y[row] += double(a[row * x.size() + j]) * double(x[j]);
    if (layer.shape.hasBias && matrix != 1)
      y[row] += layer.biases[matrix][row];
  }
  return y;
}

/// Layer outputs on the int8 grid, in integers up to one conversion per span of
/// scales: they are exact but for the order that the kernels have too.
Floats onGrid(const Layer &layer, size_t matrix, const Floats &x) {
  PhaseMatrix bytes = layer.phases[matrix];
  for (size_t i = 0; i < bytes.scales.size(); ++i)
    bytes.scales[i] = {float(bytes.integers[i].re),
                       float(bytes.integers[i].im)};
  bytes.rowFactors.clear();
  const Floats a = dequantizePhases(bytes);
  const PhaseMatrix &phases = layer.phases[matrix];
  const int64_t n = phases.rows, m = phases.columns;
  float largest = 0;
  for (float v : x)
    largest = std::max(largest, std::fabs(v));
  const float tokenScale = largest / 127;
  Floats y(2 * n);
  for (int64_t row = 0; row < 2 * n; ++row) {
    float sum = 0;
    for (int64_t tile = 0; tile < phases.tilesAcross(); ++tile) {
      const int64_t begin = tile * phases.tileColumns();
      int64_t exact = 0;
      for (int64_t j = begin; j < std::min(begin + phases.tileColumns(), m);
           ++j)
        for (int64_t column : {j, m + j})
          exact += int64_t(a[row * 2 * m + column]) * int64_t(x[column]);
      const float unit =
          phases
              .units[row % n / phases.tileRows() * phases.tilesAcross() + tile];
      if (phases.isTiled()) {
        const volatile float term = float(exact) * unit; // never fused
        sum += term;
      } else {
        sum = float(exact);
      }
    }
    if (phases.scheme.scales == ScaleGranularity::Row) {
      const float factor = phases.rowFactors[row] * phases.units[0];
      sum = sum * tokenScale;
      sum = sum * factor;
    } else {
      sum *= phases.isTiled() ? tokenScale : tokenScale * phases.units[0];
    }
    const volatile float product = sum;
    y[row] =
        product +
        (layer.shape.hasBias && matrix != 1 ? layer.biases[matrix][row] : 0.0f);
  }
  return y;
}

class PhaseKernelTest : public testing::TestWithParam<Shape> {};
class GridKernelTest : public testing::TestWithParam<Shape> {};

TEST_P(PhaseKernelTest, IntegerSumsAreThoseOfTheCodes) {
  const Layer layer(GetParam());
  for (size_t matrix = 0; matrix < layer.shape.rows.size(); ++matrix) {
    const int64_t features = 2 * layer.shape.rows[matrix];
    for (const CpuTarget *target : runnableTargets()) {
      CompiledModule compiled(layer.module(matrix, false), *target);
      for (int set = 0; set < 2 * layer.shape.stages; ++set)
        for (int axis = 0; axis < 2; ++axis) {
          ASSERT_NO_FATAL_FAILURE(isolate(compiled, layer, set, axis));
          const Floats y = compiled.run(Step::range(0, layer.tokens()));
          for (int64_t token = 0; token < layer.tokens(); ++token)
            ASSERT_EQ(
                rowOf(y, token, features),
                isolatedSums(layer, matrix, set, axis, layer.inputs[token]))
                << target->name.str() << ", matrix " << matrix << ", set "
                << set << ", axis " << axis << ", token " << token;
        }
    }
  }
}

void expectEqualBitsEverywhere(const Layer &layer) {
  for (bool isFloat : {false, true}) {
    const size_t matrix = layer.shape.rows.size() - 1;
    const int64_t features = 2 * layer.shape.rows[matrix];
    SCOPED_TRACE(isFloat ? "float" : "int8");
    const Floats oracle =
        runEverywhere(layer.module(matrix, isFloat), layer.tokens());
    for (int64_t token = 0; token < layer.tokens(); ++token) {
      const std::vector<double> expected =
          reference(layer, matrix, layer.inputs[token]);
      double size = 1e-6;
      for (double v : expected)
        size = std::max(size, std::fabs(v));
      for (int64_t i = 0; i < features; ++i)
        ASSERT_NEAR(oracle[token * features + i], expected[i], 2e-5 * size)
            << (isFloat ? "float" : "int8") << ", token " << token;
    }
  }
}

TEST_P(PhaseKernelTest, AllLevelsBatchesAndThreadsGiveTheSameBits) {
  expectEqualBitsEverywhere(Layer(GetParam()));
}

TEST_P(GridKernelTest, AllLevelsBatchesAndThreadsGiveTheSameBits) {
  expectEqualBitsEverywhere(Layer(GetParam()));
}

TEST_P(GridKernelTest, ResultsAreIntegersOfTheBytesTimesOneFactor) {
  const Layer layer(GetParam());
  for (size_t matrix = 0; matrix < layer.shape.rows.size(); ++matrix) {
    const int64_t features = 2 * layer.shape.rows[matrix];
    const Floats y = runEverywhere(layer.module(matrix, false), layer.tokens());
    for (int64_t token = 0; token < layer.tokens(); ++token)
      ASSERT_EQ(rowOf(y, token, features),
                onGrid(layer, matrix, layer.inputs[token]))
          << "matrix " << matrix << ", token " << token;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, PhaseKernelTest,
    testing::Values(
        Shape{"OneTile", {16}, 16, 1, false},
        Shape{"WholeTiles", {48}, 64, 2, false},
        Shape{"RowTail", {21}, 32, 2, true},
        Shape{"ColumnTail", {32}, 37, 2, false},
        Shape{"ColumnsNotInFours", {16}, 6, 3, true},
        Shape{"Single", {1}, 1, 1, false},
        Shape{"Group", {32, 5, 17}, 50, 2, false},
        Shape{"GroupWithBiases", {16, 20}, 24, 1, true},
        Shape{"EightStages", {18}, 40, 8, false},
        // More blocks than a 16-bit lane sums before its flush.
        Shape{"Long", {16}, 2100, 1, false},
        Shape{"ByRow", {21, 16}, 37, 2, true, ScaleGranularity::Row},
        Shape{"ByRowAlone", {33}, 16, 1, false, ScaleGranularity::Row},
        Shape{"OneTileOfScales", {64}, 64, 2, false, ScaleGranularity::Tile},
        Shape{
            "LessThanATileOfScales", {5}, 37, 3, true, ScaleGranularity::Tile},
        Shape{"TilesOfScales", {70, 130}, 150, 2, true, ScaleGranularity::Tile},
        // More spans than a panel of tables has.
        Shape{"LongTiles", {16}, 2100, 1, false, ScaleGranularity::Tile}),
    [](const auto &info) { return info.param.name; });

Shape gridShape(const std::string &name, std::vector<int64_t> rows,
                int64_t columns, int stages, bool hasBias,
                ScaleGranularity scales, StageScales stageScales) {
  return {name,    std::move(rows), columns,     stages,
          hasBias, scales,          stageScales, ScaleGrid::Int8};
}

constexpr auto kTensor = ScaleGranularity::Tensor, kRow = ScaleGranularity::Row,
               kTile = ScaleGranularity::Tile;
constexpr auto kMean = StageScales::Mean, kBinary = StageScales::Binary;

/// More tokens than have their sums in scratch at once.
TEST(GridProductsTest, ManyTokensAreMultipliedInParts) {
  const Layer layer(gridShape("", {16}, 16, 2, true, kRow, kBinary));
  std::vector<int32_t> tokens(300);
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = int32_t(i * i % size_t(layer.tokens()));
  for (const CpuTarget *target : runnableTargets()) {
    if (!target->productsFrom)
      continue;
    CompiledModule compiled(layer.module(0, false), *target, 300);
    compiled.resetCache(1, 304);
    const Floats expected = compiled.run(Step::of(tokens));
    EXPECT_EQ(compiled.run(Step::of(tokens), 2, 1), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, GridKernelTest,
    testing::Values(
        gridShape("OneStage", {16}, 16, 1, false, kTensor, kBinary),
        gridShape("Tensor", {32, 5, 17}, 50, 4, true, kTensor, kBinary),
        gridShape("Row", {21, 16}, 37, 4, true, kRow, kBinary),
        gridShape("SixStages", {33}, 40, 6, false, kRow, kBinary),
        // More columns than a panel of bytes has.
        gridShape("Long", {20}, 1050, 2, false, kRow, kBinary),
        gridShape("Tile", {70, 130}, 150, 3, true, kTile, kBinary),
        // More spans than a panel of tables has.
        gridShape("LongTiles", {16}, 2100, 2, false, kTile, kBinary),
        gridShape("MeanTensor", {32, 5, 17}, 50, 2, true, kTensor, kMean),
        gridShape("MeanRow", {21, 16}, 37, 3, true, kRow, kMean),
        gridShape("MeanEightStages", {18}, 40, 8, false, kRow, kMean),
        gridShape("MeanTile", {70, 130}, 150, 2, true, kTile, kMean),
        gridShape("MeanLongTiles", {16}, 2100, 1, false, kTile, kMean)),
    [](const auto &info) { return info.param.name; });

} // namespace
