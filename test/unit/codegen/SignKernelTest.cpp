// SPDX-License-Identifier: Apache-2.0
//
// The kernels of layers on sign planes, on every CPU level that this machine
// runs: exact sums, bit-equal to each other whatever the batch and the number
// of threads, and near the dense matrix that the signs stand for.
#include "test/unit/codegen/LayerInputs.h"

#include "dialect/phase/Packing.h"
#include "test/unit/codegen/KernelRuns.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace fairy2;

namespace {

struct Shape {
  std::string name;
  std::vector<int64_t> rows; ///< of every matrix of the group
  int64_t columns;
  SignMethod method;
  bool hasBias = false;
  ScaleGranularity scales = ScaleGranularity::Tensor;

  SignScheme scheme() const { return {method, scales}; }
};

void PrintTo(const Shape &shape, std::ostream *out) { *out << shape.name; }

struct Layer {
  Shape shape;
  std::vector<Floats> weights, biases;
  std::vector<SignMatrix> signs;
  std::vector<Floats> inputs; ///< [token][columns]

  explicit Layer(const Shape &shape) : shape(shape) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (int64_t rows : shape.rows) {
      Floats a(size_t(rows * shape.columns)), bias(static_cast<size_t>(rows));
      for (float &v : a)
        v = normal(random);
      for (float &v : bias)
        v = normal(random);
      signs.push_back(quantizeSigns(
          [&](int64_t begin, int64_t end, float *out) {
            std::copy(a.begin() + begin * shape.columns,
                      a.begin() + end * shape.columns, out);
          },
          rows, shape.columns, shape.scheme(), "w"));
      weights.push_back(a);
      biases.push_back(bias);
    }
    inputs = quantizedInputs(shape.columns, random);
  }

  int64_t tokens() const { return int64_t(inputs.size()); }

  /// @forward with the results of matrix `observed` as logits.
  std::string module(size_t observed, bool isFloat) const {
    const std::string w = std::to_string(shape.columns);
    Floats table;
    for (const Floats &x : inputs)
      table.insert(table.end(), x.begin(), x.end());
    std::string globals = weight("x", table, {tokens(), shape.columns});
    std::string recipes, biasList, types;
    for (size_t i = 0; i < shape.rows.size(); ++i) {
      const std::string name = "w" + std::to_string(i), comma = i ? ", " : "";
      globals += weight(name, weights[i], {shape.rows[i], shape.columns});
      globals += "fairy2.sign_quantize @" + name + "s of @" + name +
                 " #fairy2.sign_scheme<method = " + nameOf(shape.method) +
                 ", scales = " + nameOf(shape.scales) +
                 ", activations = " + (isFloat ? "float" : "int8") + ">\n";
      recipes += comma + "@" + name + "s";
      if (shape.hasBias) {
        globals += weight(name + "b", biases[i], {shape.rows[i]});
        biasList += comma + "@" + name + "b";
      }
      types += comma + "tensor<?x" + std::to_string(shape.rows[i]) + "xf32>";
    }
    std::string body = "%e = fairy2.embedding %tokens, @x : tensor<?xi32> -> "
                       "tensor<?x" +
                       w + "xf32>\n";
    if (!isFloat)
      body += "%v, %s = fairy2.quantize_activations %e : tensor<?x" + w +
              "xf32> -> tensor<?x" + w + "xi8>, tensor<?xf32>\n";
    const bool alone = shape.rows.size() == 1;
    body += (alone ? "%y" : "%g:" + std::to_string(shape.rows.size())) +
            " = fairy2.sign_linear " + (isFloat ? "%e" : "%v scales %s") +
            " [" + recipes + "]" +
            (shape.hasBias ? " biases [" + biasList + "]" : "") +
            " : tensor<?x" + w + (isFloat ? "xf32>" : "xi8>, tensor<?xf32>") +
            " -> " + types + "\n";
    if (alone)
      return moduleWithLogits(globals, body, shape.rows[observed], kSmallCache);
    return moduleWithIdentityHead(globals, body, shape.rows[observed],
                                  kSmallCache,
                                  "%g#" + std::to_string(observed));
  }

  /// Row `row` of the dense matrix times x, and the sizes of what is added.
  std::pair<double, double> expected(size_t matrix, int64_t row,
                                     const Floats &x) const {
    double sum = shape.hasBias ? biases[matrix][size_t(row)] : 0;
    double size = std::fabs(sum);
    for (int64_t j = 0; j < shape.columns; ++j) {
      const double term =
          double(signs[matrix].at(row, j)) * double(x[size_t(j)]);
      sum += term;
      size += std::fabs(term);
    }
    return {sum, size};
  }
};

/// Sets all scales of the pack to 0 but those of one plane, which become 1: the
/// result shows that plane's integer sums.
void isolate(CompiledModule &compiled, const Layer &layer, int plane) {
  const SignPlanePack layout =
      SignPlanePack::ofSigns(layer.shape.rows, layer.shape.columns / 2,
                             layer.shape.scheme(), layer.shape.hasBias);
  const std::span<uint8_t> pack = compiled.pack("w0s.pack");
  ASSERT_EQ(int64_t(pack.size()), layout.bytes());
  auto *scales = reinterpret_cast<float *>(pack.data() + layout.scaleOffset());
  for (int64_t i = 0; i < layout.scaleCount(); ++i)
    scales[i] = i / layout.scalesPerSet() % layout.sets() == plane ? 1.f : 0.f;
}

class SignKernelTest : public testing::TestWithParam<Shape> {};

TEST_P(SignKernelTest, IntegerSumsAreThoseOfTheSigns) {
  const Layer layer(GetParam());
  for (size_t matrix = 0; matrix < layer.shape.rows.size(); ++matrix) {
    const SignMatrix &signs = layer.signs[matrix];
    for (const CpuTarget *target : runnableTargets()) {
      CompiledModule compiled(layer.module(matrix, false), *target);
      for (int plane = 0; plane < signs.scheme.planes(); ++plane) {
        ASSERT_NO_FATAL_FAILURE(isolate(compiled, layer, plane));
        const Floats y = compiled.run(Step::range(0, layer.tokens()));
        for (int64_t token = 0; token < layer.tokens(); ++token)
          for (int64_t row = 0; row < signs.rows; ++row) {
            int64_t sum = 0;
            for (int64_t j = 0; j < signs.columns; ++j) {
              const int x = int(layer.inputs[size_t(token)][size_t(j)]);
              sum += signs.signs[size_t(row * signs.columns + j)] >> plane & 1
                         ? x
                         : -x;
            }
            float expected = float(sum);
            if (layer.shape.hasBias)
              expected += layer.biases[matrix][size_t(row)];
            ASSERT_EQ(y[size_t(token * signs.rows + row)], expected)
                << target->name.str() << ", matrix " << matrix << ", plane "
                << plane << ", token " << token << ", row " << row;
          }
      }
    }
  }
}

TEST_P(SignKernelTest, AllLevelsBatchesAndThreadsGiveTheSameBits) {
  const Layer layer(GetParam());
  const size_t matrix = layer.shape.rows.size() - 1;
  const int64_t rows = layer.shape.rows[matrix];
  for (bool isFloat : {false, true}) {
    SCOPED_TRACE(isFloat ? "float" : "int8");
    const Floats oracle =
        runEverywhere(layer.module(matrix, isFloat), layer.tokens());
    for (int64_t token = 0; token < layer.tokens(); ++token)
      for (int64_t row = 0; row < rows; ++row) {
        const auto [sum, size] =
            layer.expected(matrix, row, layer.inputs[size_t(token)]);
        ASSERT_NEAR(oracle[size_t(token * rows + row)], sum, 1e-6 * size + 1e-6)
            << (isFloat ? "float" : "int8") << ", token " << token;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, SignKernelTest,
    testing::Values(
        Shape{"OneTile", {16}, 32, SignMethod::BitNet},
        Shape{"Ternary", {48}, 128, SignMethod::Ternary},
        Shape{"RowTail", {21}, 64, SignMethod::TwoSigns, true},
        Shape{"ColumnTail", {32}, 74, SignMethod::FourLevels},
        Shape{"ColumnsNotInFours", {17}, 6, SignMethod::Ternary, true},
        Shape{"Single", {1}, 2, SignMethod::BitNet},
        Shape{"Group", {32, 5, 17}, 100, SignMethod::BitNet},
        Shape{"GroupWithBiases", {16, 20}, 48, SignMethod::FourLevels, true},
        // More blocks than a 16-bit lane sums before its flush.
        Shape{"Long", {16}, 4200, SignMethod::TwoSigns},
        Shape{"ByRow",
              {21, 16},
              74,
              SignMethod::Ternary,
              true,
              ScaleGranularity::Row},
        Shape{"ByRowAlone",
              {33},
              32,
              SignMethod::BitNet,
              false,
              ScaleGranularity::Row}),
    [](const auto &info) { return info.param.name; });

} // namespace
