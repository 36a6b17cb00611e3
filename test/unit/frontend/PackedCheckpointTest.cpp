// SPDX-License-Identifier: Apache-2.0
//
// Quantized checkpoints: what is written is read back, and nothing that a
// damaged file says is believed.
#include "frontend/PackedCheckpoint.h"

#include "test/unit/frontend/TestFiles.h"

#include <fstream>
#include <random>

using namespace fairy2;

namespace {

PhaseMatrix randomPhases(int64_t rows, int64_t columns, PhaseScheme scheme) {
  std::mt19937 random(uint32_t(rows * 1000 + columns));
  std::normal_distribution<float> normal;
  std::vector<float> a(size_t(rows * columns));
  for (float &v : a)
    v = normal(random);
  return quantizePhases(a.data(), rows, columns, scheme, "a");
}

class PackedCheckpointTest : public testing::Test {
protected:
  /// Two quantized matrices, the first with a tail in every direction, around
  /// a norm.
  void write(PhaseScheme scheme) {
    matrices = {randomPhases(150, 142, scheme), randomPhases(4, 10, scheme)};
    const std::vector<PackedItem> items = {
        {"a.weight", {150, 142}, true, DType::F32},
        {"norm.weight", {3}, false, DType::BF16},
        {"b.weight", {4, 10}, true, DType::F32}};
    writePackedCheckpoint(
        folder / "model.safetensors", scheme, items,
        [&](size_t i) { return matrices[i / 2]; },
        [](size_t) { return std::vector<uint8_t>{1, 2, 3, 4, 5, 6}; });
  }

  /// Replaces the file by one with the same data and a changed header. The new
  /// text must be as long as the old one.
  void replaceInFile(const std::string &from, const std::string &to) {
    ASSERT_EQ(from.size(), to.size());
    std::string bytes = content();
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos);
    folder.write("model.safetensors", bytes.replace(at, from.size(), to));
  }

  std::string content() const {
    std::ifstream stream(folder / "model.safetensors", std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// Overwrites bytes of a tensor.
  void poke(const std::string &name, int64_t at, const std::string &data) {
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    const auto other = checkpoint.otherTensors().find(name);
    const int64_t offset = other != checkpoint.otherTensors().end()
                               ? other->second.offset
                               : checkpoint.tensor(name).offset;
    std::string bytes = content();
    folder.write("model.safetensors",
                 bytes.replace(size_t(offset + at), data.size(), data));
  }

  std::string findError() const {
    return folder.errorOf([&] {
      const Checkpoint checkpoint = Checkpoint::open(folder.path());
      PackedCheckpoint::find(checkpoint);
    });
  }
  std::string readError(const std::string &name) const {
    return folder.errorOf([&] {
      const Checkpoint checkpoint = Checkpoint::open(folder.path());
      const auto packed = PackedCheckpoint::find(checkpoint);
      if (!packed)
        throw Error("test: not packed");
      packed->read(name);
    });
  }

  const TemporaryFolder folder;
  std::vector<PhaseMatrix> matrices;
};

std::vector<PhaseScheme> schemesOfThreeStages() {
  std::vector<PhaseScheme> schemes;
  for (auto scales : {ScaleGranularity::Tensor, ScaleGranularity::Row,
                      ScaleGranularity::Tile})
    for (StageScales stageScales : kStageScales)
      for (ScaleGrid grid : kScaleGrids)
        schemes.push_back(
            {3, scales, QuantizeMode::Canonical, stageScales, grid});
  return schemes;
}

TEST_F(PackedCheckpointTest, ReadsWhatWasWritten) {
  for (const PhaseScheme &scheme : schemesOfThreeStages()) {
    write(scheme);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    // Programs that know no other schemes read those that they know.
    EXPECT_EQ(checkpoint.metadata().at("fairy2.format"),
              (scheme == PhaseScheme{3, scheme.scales} ? "1" : "2"));
    const auto packed = PackedCheckpoint::find(checkpoint);
    ASSERT_TRUE(packed);
    EXPECT_EQ(packed->scheme(), scheme);
    ASSERT_EQ(packed->weights().size(), 2u);
    int i = 0;
    for (const char *name : {"a.weight", "b.weight"}) {
      const PhaseMatrix &written = matrices[i++], read = packed->read(name);
      EXPECT_EQ(read.rows, written.rows);
      EXPECT_EQ(read.columns, written.columns);
      EXPECT_EQ(read.codes, written.codes);
      EXPECT_EQ(read.rowFactors, written.rowFactors);
      EXPECT_EQ(read.units, written.units);
      EXPECT_EQ(read.integers, written.integers);
      EXPECT_EQ(dequantizePhases(read), dequantizePhases(written));
    }
    const TensorInfo &norm = checkpoint.tensor("norm.weight");
    std::vector<uint8_t> bytes(6);
    ASSERT_EQ(norm.bytes, 6);
    checkpoint.readBytes(norm, 0, 6, bytes.data());
    EXPECT_EQ(bytes, (std::vector<uint8_t>{1, 2, 3, 4, 5, 6}));
  }
}

TEST_F(PackedCheckpointTest, AMatrixMayHaveStagesOfItsOwn) {
  const PhaseScheme scheme = {2, ScaleGranularity::Row, QuantizeMode::Canonical,
                              StageScales::Binary, ScaleGrid::Int8};
  PhaseScheme own = scheme;
  own.stages = 5;
  matrices = {randomPhases(8, 10, own), randomPhases(4, 10, scheme)};
  const auto write = [&] {
    writePackedCheckpoint(
        folder / "model.safetensors", scheme,
        {{"a.weight", {8, 10}, true, DType::F32, 5},
         {"b.weight", {4, 10}, true, DType::F32, 2}},
        [&](size_t i) { return matrices[i]; },
        [](size_t) { return std::vector<uint8_t>(); });
  };
  write();
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.otherTensors().contains("a.stages"));
  EXPECT_FALSE(checkpoint.otherTensors().contains("b.stages"));
  const auto packed = PackedCheckpoint::find(checkpoint);
  EXPECT_EQ(packed->scheme(), scheme);
  EXPECT_EQ(packed->weights().at("a.weight").scheme, own);
  for (const int i : {0, 1}) {
    const PhaseMatrix found = packed->read(i ? "b.weight" : "a.weight");
    EXPECT_EQ(found.scheme, matrices[i].scheme);
    EXPECT_EQ(found.codes, matrices[i].codes);
    EXPECT_EQ(found.integers, matrices[i].integers);
  }
  for (const auto &[stages, text] :
       {std::pair<int64_t, std::string>{0,
                                        "'a.stages': expected 1 to 8, found 0"},
        {9, "'a.stages': expected 1 to 8, found 9"},
        {4, "'a.codes': expected shape [8, 4, 8], found [10, 4, 8]"}}) {
    write();
    poke("a.stages", 0,
         std::string(reinterpret_cast<const char *>(&stages), 8));
    EXPECT_EQ(findError(), "DIR: tensor " + text);
  }
  write();
  const int64_t many = 7; // more than bytes hold on the grid
  poke("a.stages", 0, std::string(reinterpret_cast<const char *>(&many), 8));
  EXPECT_EQ(findError(), "DIR: tensor 'a.stages': " + schemeFault([&] {
                           own.stages = 7;
                           return own;
                         }()));
}

TEST_F(PackedCheckpointTest, OthersAreNotPacked) {
  folder.write("model.safetensors",
               safetensorsFile(R"({"x.codes": {"dtype": "U8", "shape": [1],
                                   "data_offsets": [0, 1]}})",
                               std::string(1, '\0')));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_FALSE(PackedCheckpoint::find(checkpoint));
}

TEST_F(PackedCheckpointTest, MetadataIsChecked) {
  write({2});
  const std::string field = "DIR: field '__metadata__.fairy2.";
  replaceInFile("\"fairy2.format\":\"1\"", "\"fairy2.format\":\"7\"");
  EXPECT_EQ(findError(), field + "format': expected version 1 or 2, which this "
                                 "program reads, found '7'");
  write({2});
  replaceInFile("complex_phase", "simple_phases");
  EXPECT_EQ(findError(),
            field + "method': expected 'complex_phase', found 'simple_phases'");
  write({2});
  replaceInFile("\"fairy2.stages\":\"2\"", "\"fairy2.stages\":\"9\"");
  EXPECT_EQ(findError(), field + "stages': expected 1 to 8, found '9'");
  write({2});
  replaceInFile("\"tensor\"", "\"sensor\"");
  EXPECT_EQ(findError(), field + "scales': expected 'tensor', 'row' or "
                                 "'tile', found 'sensor'");
  write({2});
  replaceInFile("fairy2.scales", "fairy2.scalez");
  EXPECT_EQ(findError(), field + "scales': is missing");
}

constexpr PhaseScheme kBinary = {2, ScaleGranularity::Row,
                                 QuantizeMode::Canonical, StageScales::Binary,
                                 ScaleGrid::Int8};

TEST_F(PackedCheckpointTest, MetadataOfTheSecondVersionIsChecked) {
  const std::string field = "DIR: field '__metadata__.fairy2.";
  write(kBinary);
  EXPECT_EQ(findError(), "no error");
  replaceInFile("\"binary\"", "\"finary\"");
  EXPECT_EQ(findError(), field + "stage_scales': expected 'mean' or 'binary', "
                                 "found 'finary'");
  write(kBinary);
  replaceInFile("\"int8\"", "\"int4\"");
  EXPECT_EQ(findError(), field + "scale_grid': expected 'float' or 'int8', "
                                 "found 'int4'");
  write(kBinary);
  replaceInFile("fairy2.scale_grid", "fairy2.scale_grit");
  EXPECT_EQ(findError(), field + "scale_grid': is missing");
  write(kBinary);
  replaceInFile("\"fairy2.stages\":\"2\"", "\"fairy2.stages\":\"7\"");
  EXPECT_EQ(findError(), field + "stages': expected at most 6 binary stages on "
                                 "the scale grid int8, or the grid float, "
                                 "found 7");
}

TEST_F(PackedCheckpointTest, UnitsAndIntegersAreChecked) {
  auto unit = [](float v) {
    return std::string(reinterpret_cast<const char *>(&v), 4);
  };
  const std::string tensor = "DIR: tensor ";
  write(kBinary);
  replaceInFile("a.units", "a.minus");
  EXPECT_EQ(findError(), tensor + "'a.units': is missing");
  write(kBinary);
  EXPECT_EQ(readError("a.weight"), "no error");
  for (const auto &[value, text] :
       {std::pair<float, std::string>{
            0, "'a.integers': expected a positive unit, found 0.000000"},
        {-0.5f, "'a.integers': expected a positive unit, found -0.500000"},
        {2, "'a.scales': expected the unit times the integers of this matrix, "
            "found others"}}) {
    write(kBinary);
    poke("a.units", 0, unit(value));
    EXPECT_EQ(readError("a.weight"), tensor + text);
  }
  for (const auto &[bytes, text] :
       {std::pair<std::string, std::string>{
            {"\0\0", 2}, "expected integers from 1 to 127, found 0"},
        {"\xff\xff", "expected integers from 1 to 127, found 0"},
        {{"\x80\0", 2}, "expected integers from 1 to 127, found 128"},
        {{"\x03\0", 2}, "expected 2 at stage 0 of binary stages, found 3"}}) {
    write(kBinary);
    poke("a.integers", 2, bytes);
    EXPECT_EQ(readError("a.weight"), tensor + "'a.integers': " + text);
  }
  // The float grid has neither, but its stages are binary all the same.
  PhaseScheme scheme = kBinary;
  scheme.grid = ScaleGrid::Float;
  write(scheme);
  EXPECT_EQ(readError("a.weight"), "no error");
  const float other = 3;
  poke("a.scales", 0, {reinterpret_cast<const char *>(&other), 4});
  EXPECT_EQ(readError("a.weight"),
            tensor + "'a.scales': expected scales of binary stages, each twice "
                     "that of the next stage, found others");
}

TEST_F(PackedCheckpointTest, PartsAreChecked) {
  const std::string tensor = "DIR: tensor ";
  write({2});
  replaceInFile("\"fairy2.stages\":\"2\"", "\"fairy2.stages\":\"3\"");
  EXPECT_EQ(findError(), tensor + "'a.codes': expected shape [6, 75, 24], "
                                  "found [4, 75, 24]");
  write({2});
  replaceInFile("\"tensor\"", "\"row\"   ");
  EXPECT_EQ(findError(), tensor + "'a.row_factors': is missing");
  write({2});
  replaceInFile("\"tensor\"", "\"tile\"  ");
  EXPECT_EQ(findError(), tensor + "'a.scales': expected shape [2, 2, 4, 2], "
                                  "found [1, 1, 4, 2]");
  write({2});
  replaceInFile("b.shape", "b.shepa");
  EXPECT_EQ(findError(), tensor + "'b.shape': is missing");
  write({2});
  replaceInFile("norm.weight", "a.weight\": ");
  EXPECT_NE(findError(), "no error");
}

TEST_F(PackedCheckpointTest, ShapesAreChecked) {
  for (const auto &[value, text] :
       {std::pair<int64_t, std::string>{
            -2, "'a.shape': expected even extents from 2 on, found -2"},
        {151, "'a.shape': expected even extents from 2 on, found 151"},
        {int64_t(1) << 62, "'a.shape': expected even extents from 2 on, found "
                           "4611686018427387904"},
        {152, "'a.codes': expected shape [4, 76, 24], found [4, 75, 24]"}}) {
    write({2});
    poke("a.shape", 0, std::string(reinterpret_cast<const char *>(&value), 8));
    EXPECT_EQ(findError(), "DIR: tensor " + text);
  }
}

TEST_F(PackedCheckpointTest, ValuesAreChecked) {
  auto bits = [](float v) {
    return std::string(reinterpret_cast<const char *>(&v), 4);
  };
  write({2, ScaleGranularity::Row});
  EXPECT_EQ(readError("a.weight"), "no error");
  poke("a.scales", 4, bits(-1));
  EXPECT_EQ(readError("a.weight"), "DIR: tensor 'a.scales': expected positive "
                                   "scales, found -1.000000");
  write({2, ScaleGranularity::Row});
  poke("a.row_factors", 8, bits(std::numeric_limits<float>::infinity()));
  EXPECT_EQ(readError("a.weight"), "DIR: tensor 'a.row_factors': expected "
                                   "finite factors, found inf");
  // 71 columns: bits 6 and 7 of byte 17 and bytes 18 to 23 are padding.
  for (const auto &[at, byte] :
       {std::pair<int64_t, char>{17, '\x40'}, {18, '\x01'}, {23, '\x80'}}) {
    write({2});
    poke("a.codes", at, std::string(1, byte));
    EXPECT_EQ(readError("a.weight"), "DIR: tensor 'a.codes': expected zero "
                                     "bits behind the last column, found "
                                     "others");
  }
}

TEST_F(PackedCheckpointTest, OnlyMatricesNamedWeightBecomePhases) {
  auto errorWith = [&](const PackedItem &item, const PhaseMatrix &phases) {
    return folder.errorOf([&] {
      writePackedCheckpoint(
          folder / "out", {1}, {item}, [&](size_t) { return phases; },
          [](size_t) { return std::vector<uint8_t>(3); });
    });
  };
  const PhaseMatrix small = randomPhases(4, 6, {1});
  EXPECT_EQ(errorWith({"a.kernel", {4, 6}, true}, small),
            "DIR/out: tensor 'a.kernel': expected a matrix named '...weight' "
            "to store as phases");
  EXPECT_EQ(errorWith({"a.weight", {6, 4}, true}, small),
            "DIR/out: tensor 'a.weight': expected phases of its shape and the "
            "checkpoint's scheme");
  EXPECT_EQ(errorWith({"n", {1}, false, DType::F32}, small),
            "DIR/out: expected 4 bytes of tensors, found 3");
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

/// No change of one bit may do worse than an error or other values.
TEST_F(PackedCheckpointTest, SurvivesEveryFlippedBit) {
  PhaseScheme scheme = kBinary;
  scheme.stages = 1;
  matrices = {randomPhases(4, 6, scheme)};
  writePackedCheckpoint(
      folder / "model.safetensors", matrices[0].scheme,
      {{"a.weight", {4, 6}, true, DType::F32}},
      [&](size_t) { return matrices[0]; },
      [](size_t) { return std::vector<uint8_t>(); });
  const std::string good = content();
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = char(bad[i] ^ 1 << bit);
      folder.write("model.safetensors", bad);
      refused += readError("a.weight") != "no error";
    }
  EXPECT_GT(refused, 1000);
}

} // namespace
