// SPDX-License-Identifier: Apache-2.0
//
// Effective weights and gradients of every method, against its formulas.
#include "trainer/methods/Methods.h"

#include "dialect/phase/Phase.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/TensorData.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>
#include <set>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

at::Tensor randomMatrix(int64_t rows, int64_t columns) {
  at::manual_seed(1);
  return at::randn({rows, columns}) * 0.05;
}

/// The effective weights hold exactly the codes and scales of dialect/phase:
/// they are its dense form bit for bit, and quantizing in any of 1 to 3
/// threads gives the same.
TEST(MethodsTest, ComplexPhaseIsTheCompilersQuantizer) {
  const at::Tensor a = randomMatrix(130, 34);
  for (int stages = 1; stages <= 4; ++stages) {
    const auto method = makeMethod("complex_phase_v" + std::to_string(stages));
    const PhaseMatrix phases =
        quantizePhases(floatsOf(a), 130, 34, {stages}, "a");
    const std::vector<float> expected = dequantizePhases(phases);
    const int before = at::get_num_threads();
    for (int threads = 1; threads <= 3; ++threads) {
      at::set_num_threads(threads);
      const at::Tensor q = quantizedWeight(a, *method, "a");
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), floatsOf(q)));
    }
    at::set_num_threads(before);
    EXPECT_EQ(method->compilerOptions(),
              "--method=complex_phase_v" + std::to_string(stages));
  }
}

/// With scales per row, phases are dialect/phase's, and each row of a real
/// method is what the row by itself would be.
TEST(MethodsTest, ScalesAreSharedByRowsAndTiles) {
  const at::Tensor a = randomMatrix(130, 134);
  for (const auto &[name, scales] :
       {std::pair{"row", ScaleGranularity::Row},
        std::pair{"tile", ScaleGranularity::Tile}}) {
    const std::vector<float> expected = dequantizePhases(
        quantizePhases(floatsOf(a), 130, 134, {2, scales}, "a"));
    const auto method = makeMethod("complex_phase_v2", {name});
    const at::Tensor q = quantizedWeight(a, *method, "a");
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), floatsOf(q)));
    EXPECT_EQ(method->compilerOptions(),
              std::string("--method=complex_phase_v2 --scales=") + name);
  }
  for (const char *name : {"bitnet", "ternary", "sign2", "int2"}) {
    const at::Tensor q = quantizedWeight(a, *makeMethod(name, {"row"}), "a");
    const at::Tensor row =
        quantizedWeight(a.narrow(0, 7, 1).contiguous(), *makeMethod(name), "a");
    EXPECT_TRUE(q.narrow(0, 7, 1).equal(row)) << name;
    EXPECT_EQ(errorOf([&] { makeMethod(name, {"tile"}); }),
              std::string("scales: expected tensor or row with method ") +
                  name + ", found tile");
  }
}

/// With stages of every kind, on either grid, in any number of threads.
TEST(MethodsTest, StageScalesAndGridsAreTheCompilers) {
  const at::Tensor a = randomMatrix(130, 134);
  const int before = at::get_num_threads();
  for (const auto scales : {ScaleGranularity::Tensor, ScaleGranularity::Row,
                            ScaleGranularity::Tile})
    for (const StageScales stageScales : kStageScales)
      for (const ScaleGrid grid : kScaleGrids)
        for (int stages = 1; stages <= 4; ++stages) {
          const PhaseScheme scheme = {stages, scales, QuantizeMode::Canonical,
                                      stageScales, grid};
          const std::vector<float> expected = dequantizePhases(
              quantizePhases(floatsOf(a), 130, 134, scheme, "a"));
          const auto method =
              makeMethod("complex_phase_v" + std::to_string(stages),
                         {nameOf(scales), nameOf(stageScales), nameOf(grid)});
          EXPECT_EQ(method->phaseScheme(), scheme);
          at::set_num_threads(1 + stages % 3);
          const at::Tensor q = quantizedWeight(a, *method, "a");
          EXPECT_TRUE(std::equal(expected.begin(), expected.end(), floatsOf(q)))
              << method->compilerOptions();
        }
  at::set_num_threads(before);
}

/// The four reals of an entry in the rotated basis are -3, -1, 1 or 3 times one
/// number at two binary stages, whoever wrote the quantizer.
TEST(MethodsTest, BinaryStagesAreOddMultiplesOfOneNumber) {
  constexpr int64_t kRows = 66, kColumns = 34, kN = kRows / 2,
                    kM = kColumns / 2;
  const at::Tensor q = quantizedWeight(
      randomMatrix(kRows, kColumns),
      *makeMethod("complex_phase_v2", {"tensor", "binary"}), "a");
  std::vector<float> found;
  for (int64_t i = 0; i < kN; ++i)
    for (int64_t j = 0; j < kM; ++j) {
      const auto at = [&](int64_t row, int64_t column) {
        return floatsOf(q)[row * kColumns + column];
      };
      const float re = at(i, j) + at(kN + i, kM + j),
                  im = at(kN + i, j) - at(i, kM + j);
      found.insert(found.end(), {(re - im) / 2, (re + im) / 2});
    }
  float unit = INFINITY;
  for (const float r : found)
    unit = std::min(unit, std::abs(r));
  EXPECT_GT(unit, 0.01);
  std::set<int> multiples;
  for (const float r : found) {
    multiples.insert(int(std::lround(r / unit)));
    EXPECT_NEAR(r / unit, std::lround(r / unit), 1e-4);
  }
  EXPECT_EQ(multiples, (std::set<int>{-3, -1, 1, 3}));
}

TEST(MethodsTest, TheCompilerIsToldOfStagesAndGrid) {
  const auto options = [](const ScaleOptions &scales) {
    return makeMethod("complex_phase_v2", scales)->compilerOptions();
  };
  EXPECT_EQ(options({"tensor", "mean", "float"}), "--method=complex_phase_v2");
  EXPECT_EQ(options({"row", "binary"}),
            "--method=complex_phase_v2 --scales=row --stage-scales=binary "
            "--scale-grid=int8");
  EXPECT_EQ(options({"tile", "binary", "float"}),
            "--method=complex_phase_v2 --scales=tile --stage-scales=binary "
            "--scale-grid=float");
  EXPECT_EQ(options({"tensor", "mean", "int8"}),
            "--method=complex_phase_v2 --stage-scales=mean --scale-grid=int8");
}

/// Phases alone have stages.
TEST(MethodsTest, OtherMethodsHaveNoStageScalesAndNoGrid) {
  for (const char *name : {"none", "bitnet", "ternary", "sign2", "int2"}) {
    const std::string end = std::string(" with method ") + name + ", found ";
    EXPECT_EQ(errorOf([&] { makeMethod(name, {"row", "binary"}); }),
              "stage_scales: expected mean" + end + "binary");
    EXPECT_EQ(errorOf([&] { makeMethod(name, {"row", "mean", "int8"}); }),
              "scale_grid: expected auto" + end + "int8");
  }
}

/// Scales are float32: 8 of a matrix at two stages, or of each of its 2 tiles,
/// and one more per row; one of binary stages, and of the grid that with two
/// bytes per set; one or two of the real methods.
TEST(MethodsTest, BitsCountCodesAndScales) {
  struct Case {
    const char *method;
    ScaleOptions options;
    double bits;
  };
  constexpr double kScale = 32. / (160 * 64);
  for (const Case &c :
       {Case{"complex_phase_v1", {"tensor"}, 1 + 4 * kScale},
        Case{"complex_phase_v2", {"tensor"}, 2 + 8 * kScale},
        Case{"complex_phase_v2", {"row"}, 2 + 168 * kScale},
        Case{"complex_phase_v2", {"tile"}, 2 + 16 * kScale},
        Case{"complex_phase_v2", {"row", "binary"}, 2 + 161 * kScale},
        Case{"complex_phase_v2", {"tile", "binary"}, 2 + 2 * kScale},
        Case{"complex_phase_v2", {"tile", "mean", "int8"}, 2 + 6 * kScale},
        Case{"bitnet", {"tensor"}, 1 + kScale},
        Case{"ternary", {"row"}, 1.58496 + 160 * kScale},
        Case{"sign2", {"row"}, 2 + 320 * kScale},
        Case{"int2", {"tensor"}, 2 + kScale}})
    EXPECT_NEAR(makeMethod(c.method, c.options)->storedBits(160, 64) /
                    (160 * 64),
                c.bits, 1e-5)
        << c.method << " " << c.options.scales << " " << c.options.stageScales;
}

TEST(MethodsTest, LambdaMixesLatentAndQuantized) {
  const at::Tensor a = randomMatrix(8, 6);
  const auto method = makeMethod("complex_phase_v2");
  const at::Tensor q = quantizedWeight(a, *method, "a");
  const at::Tensor half = quantizedWeight(a, *method, "a", 0.25);
  EXPECT_LE((half - (a * 0.75 + q * 0.25)).abs().max().item<float>(), 1e-7);
}

/// The mean of the four scaled phases, as the definition has it, in double.
std::complex<double> mixtureOf(std::complex<double> value, AxisScales scales,
                               double temperature) {
  std::complex<double> sum;
  double weights = 0;
  for (int k = 0; k < 4; ++k) {
    const std::complex<double> phase(realPart(Phase(k)), imagPart(Phase(k)));
    const double distance = std::arg(value * std::conj(phase));
    const double weight = std::exp(-distance * distance / temperature);
    sum += weight *
           std::complex(phase.real() * scales.re, phase.imag() * scales.im);
    weights += weight;
  }
  return sum / weights;
}

/// Soft codes begin as the softmax's mean, in one stage and with the scales of
/// the hard ones.
TEST(MethodsTest, SoftPhasesAreTheirDefinition) {
  constexpr int64_t kRows = 66, kColumns = 34, kN = kRows / 2,
                    kM = kColumns / 2;
  const at::Tensor a = randomMatrix(kRows, kColumns);
  const float *values = floatsOf(a);
  const PhaseMatrix hard = quantizePhases(values, kRows, kColumns, {1}, "a");
  for (const double temperature : {0.01, 0.3, 5.}) {
    const at::Tensor q = quantizedWeight(
        a, *makeMethod("complex_phase_v1")->softened(temperature), "a");
    const auto entry = [&](const float *from, int64_t i, int64_t j) {
      return toWidelyLinear(from[i * kColumns + j], from[i * kColumns + kM + j],
                            from[(kN + i) * kColumns + j],
                            from[(kN + i) * kColumns + kM + j]);
    };
    double largest = 0;
    for (int64_t i = 0; i < kN; ++i)
      for (int64_t j = 0; j < kM; ++j) {
        const WidelyLinear v = entry(values, i, j),
                           found = entry(floatsOf(q), i, j);
        const auto u = mixtureOf({v.uRe, v.uIm}, hard.scales[0], temperature);
        const auto w = mixtureOf({v.wRe, v.wIm}, hard.scales[1], temperature);
        largest = std::max(
            {largest, std::abs(u - std::complex<double>(found.uRe, found.uIm)),
             std::abs(w - std::complex<double>(found.wRe, found.wIm))});
      }
    EXPECT_LT(largest, 1e-6) << temperature;
  }
}

/// As the temperature falls soft codes come to the hard ones, with scales of
/// every kind and any number of stages, and zeros count as hard zeros do.
TEST(MethodsTest, SoftPhasesHarden) {
  at::Tensor a = randomMatrix(130, 134);
  a.narrow(0, 3, 1).zero_();
  a.narrow(0, 68, 1).zero_();
  for (const char *scales : {"tensor", "row", "tile"})
    for (int stages = 1; stages <= 4; ++stages) {
      const auto method =
          makeMethod("complex_phase_v" + std::to_string(stages), {scales});
      const at::Tensor hard = quantizedWeight(a, *method, "a");
      const auto distance = [&](double temperature) {
        const auto soft = method->softened(temperature);
        EXPECT_EQ(soft->compilerOptions(), method->compilerOptions());
        EXPECT_EQ(soft->storedBits(130, 134), method->storedBits(130, 134));
        EXPECT_FALSE(soft->accepts(130, 33));
        return ((quantizedWeight(a, *soft, "a") - hard).norm() / hard.norm())
            .item<double>();
      };
      const double warm = distance(0.3), cool = distance(0.03),
                   cold = distance(1e-9);
      EXPECT_GT(warm, 0.1) << scales << stages;
      EXPECT_LT(cool, 0.7 * warm) << scales << stages;
      EXPECT_LT(cold, 0.01 * warm) << scales << stages;
    }
  EXPECT_EQ(makeMethod("ternary")->softened(0.3), nullptr);
  for (const ScaleOptions &options :
       {ScaleOptions{"row", "binary"}, {"row", "mean", "int8"}})
    EXPECT_EQ(makeMethod("complex_phase_v2", options)->softened(0.3), nullptr);
}

TEST(MethodsTest, OddExtentsAreLeftDense) {
  const auto method = makeMethod("complex_phase_v2");
  EXPECT_FALSE(method->accepts(9, 4));
  EXPECT_FALSE(method->accepts(4, 9));
  EXPECT_TRUE(method->accepts(4, 6));
}

/// Squared error of a Gaussian matrix, relative to its norm, as theory and
/// notes have it; and that many distinct values.
TEST(MethodsTest, SignsHaveTheirLevelsAndErrors) {
  at::manual_seed(5);
  const at::Tensor a = at::randn({256, 256}) * 0.03;
  struct Case {
    const char *name;
    double error;
    size_t levels;
  };
  for (const Case &c : {Case{"bitnet", 0.363, 2}, Case{"ternary", 0.263, 3},
                        Case{"sign2", 0.131, 4}, Case{"int2", 0.119, 4}}) {
    const auto method = makeMethod(c.name);
    const at::Tensor q = quantizedWeight(a, *method, "a");
    const double error =
        ((q - a).square().sum() / a.square().sum()).item<double>();
    EXPECT_NEAR(error, c.error, 0.006) << c.name;
    EXPECT_EQ(std::set<float>(floatsOf(q), floatsOf(q) + q.numel()).size(),
              c.levels)
        << c.name;
    EXPECT_EQ(method->compilerOptions(), std::string("--method=") + c.name);
    EXPECT_FALSE(method->accepts(4, 7));
    at::Tensor bad = a.clone();
    bad.index_put_({at::tensor(3), at::tensor(4)},
                   std::numeric_limits<float>::infinity());
    EXPECT_EQ(errorOf([&] { quantizedWeight(bad, *method, "w"); }),
              "w: expected finite values, found infinity at row 3, column 4");
  }
}

TEST(MethodsTest, UnknownNamesGetTheNearest) {
  const std::string message = errorOf([] { makeMethod("complex_phase_2"); });
  EXPECT_NE(message.find("found 'complex_phase_2'; did you mean "
                         "'complex_phase_v2'?"),
            std::string::npos)
      << message;
  EXPECT_EQ(makeMethod("none"), nullptr);
}

} // namespace
