// SPDX-License-Identifier: Apache-2.0
//
// The header's rules as a table of bad headers, and round trips with the
// writer.
#include "frontend/Safetensors.h"

#include "test/unit/frontend/TestFiles.h"

#include <random>

using namespace fairy2;

namespace {

/// One F32 tensor 'a' of 4 bytes with the given fields; data is 8 bytes.
std::string one(const std::string &fields) {
  return R"({"a": {)" + fields + R"(}, "b": {"dtype": "F32", "shape": [1],
    "data_offsets": [4, 8]}})";
}

struct BadHeader {
  const char *name;
  std::string header;
  std::string error;
};
std::ostream &operator<<(std::ostream &stream, const BadHeader &bad) {
  return stream << bad.name;
}

class BadSafetensorsTest : public testing::TestWithParam<BadHeader> {};

TEST_P(BadSafetensorsTest, IsRefusedWithOneSentence) {
  const TemporaryFolder folder;
  EXPECT_EQ(folder.errorOf(
                [&] { parseSafetensorsHeader(GetParam().header, 8, "m.s"); }),
            "m.s: " + GetParam().error);
}

const std::string kOffsets = R"("data_offsets": [0, 4])";
const std::string kRest = R"("shape": [1], )" + kOffsets;
const std::string kA = "tensor 'a': field ";

INSTANTIATE_TEST_SUITE_P(
    Table, BadSafetensorsTest,
    testing::Values(
        BadHeader{"Empty", "",
                  "the header does not start with '{'; this is not a "
                  "safetensors file"},
        BadHeader{"LeadingSpace", " {}",
                  "the header does not start with '{'; this is not a "
                  "safetensors file"},
        BadHeader{"List", "[]",
                  "the header does not start with '{'; this is not a "
                  "safetensors file"},
        BadHeader{"InvalidUtf8", "{\"\xff\": 1}",
                  "line 1: byte 2 (0xFF) is not UTF-8"},
        BadHeader{"Deep", R"({"a": {"shape": [[1]]}})",
                  "JSON nested deeper than 3 levels"},
        BadHeader{"NotAnObject", R"({"a": 1})",
                  "tensor 'a': expected an object, found 1"},
        BadHeader{"EmptyName", R"({"": {}})", "a tensor has an empty name"},
        BadHeader{"ControlInName", R"({"a\u0000b": {}})",
                  "the tensor name 'a\\u0000b' has a control character"},
        BadHeader{"LongName", "{\"" + std::string(1025, 'n') + "\": {}}",
                  "the tensor name '" + std::string(80, 'n') +
                      "..' has 1025 bytes, expected at most 1024"},
        BadHeader{"DuplicateName", R"({"a": {}, "a": {}})",
                  "key 'a' occurs twice in one object"},
        BadHeader{"DuplicateField",
                  one(R"("dtype": "F32", "dtype": "F16", )" + kRest),
                  "key 'dtype' occurs twice in one object"},
        BadHeader{"NoType", one(kRest), kA + "'dtype': is missing"},
        BadHeader{"TypeIsNumber", one(R"("dtype": 3, )" + kRest),
                  kA + "'dtype': expected a string, found 3"},
        BadHeader{"SubByteType", one(R"("dtype": "F4", )" + kRest),
                  kA + "'dtype': unknown type 'F4'"},
        BadHeader{"SpaceInType", one(R"("dtype": "F32 ", )" + kRest),
                  kA + "'dtype': unknown type 'F32 '"},
        BadHeader{"UnknownField", one(R"("dtype": "F32", "x": 1, )" + kRest),
                  kA + "'x': expected only dtype, shape and data_offsets"},
        BadHeader{"NoShape", one(R"("dtype": "F32", )" + kOffsets),
                  kA + "'shape': is missing"},
        BadHeader{"ShapeIsNumber",
                  one(R"("dtype": "F32", "shape": 1, )" + kOffsets),
                  kA + "'shape': expected a list of at most 8 extents, found "
                       "1"},
        BadHeader{
            "RankNine",
            one(R"("dtype": "F32", "shape": [1,1,1,1,1,1,1,1,1], )" + kOffsets),
            kA + "'shape': expected a list of at most 8 extents, found "
                 "a list of 9 values"},
        BadHeader{"NegativeExtent",
                  one(R"("dtype": "F32", "shape": [-1], )" + kOffsets),
                  kA + "'shape': expected integers from 0 to 2^63 - 1, found "
                       "-1"},
        BadHeader{"FloatExtent",
                  one(R"("dtype": "F32", "shape": [1.0], )" + kOffsets),
                  kA + "'shape': expected integers from 0 to 2^63 - 1, found "
                       "1.0"},
        BadHeader{"ExtentBeyondInt64",
                  one(R"("dtype": "F32", "shape": [18446744073709551615], )" +
                      kOffsets),
                  kA + "'shape': expected integers from 0 to 2^63 - 1, found "
                       "18446744073709551615"},
        // 4 * (2^42 + 1) * 2^22 wraps to 2^24 in 64 bits.
        BadHeader{"ShapeWraps",
                  one(R"("dtype": "F32", "shape": [4398046511105, 4194304], )" +
                      kOffsets),
                  kA + "'shape': the tensor would have more than 2^63 bytes"},
        BadHeader{"ShapeWrapsBeforeZero",
                  one(R"("dtype": "F32",
                      "shape": [4398046511105, 4194304, 0], )" +
                      kOffsets),
                  kA + "'shape': the tensor would have more than 2^63 bytes"},
        BadHeader{"OneOffset",
                  one(R"("dtype": "F32", "shape": [1], "data_offsets": [0])"),
                  kA + "'data_offsets': expected a list of two offsets, found "
                       "a list of 1 values"},
        BadHeader{"NegativeOffset", one(R"("dtype": "F32", "shape": [1],
                      "data_offsets": [-4, 0])"),
                  kA + "'data_offsets': expected integers from 0 to 2^63 - 1, "
                       "found -4"},
        BadHeader{"EndBeforeBegin", one(R"("dtype": "F32", "shape": [1],
                      "data_offsets": [4, 0])"),
                  kA + "'data_offsets': expected a range inside the 8 bytes "
                       "of data, found [4, 0]"},
        BadHeader{"EndBeyondFile", one(R"("dtype": "F32", "shape": [3],
                      "data_offsets": [0, 12])"),
                  kA + "'data_offsets': expected a range inside the 8 bytes "
                       "of data, found [0, 12]"},
        BadHeader{"ShapeDisagrees",
                  one(R"("dtype": "F32", "shape": [2], )" + kOffsets),
                  kA + "'data_offsets': expected 8 bytes by shape and dtype, "
                       "found [0, 4]"},
        BadHeader{"Overlap", one(R"("dtype": "F32", "shape": [2],
                      "data_offsets": [0, 8])"),
                  "tensor 'b': field 'data_offsets': overlaps the tensor "
                  "before it: expected to begin at 8, found 4"},
        BadHeader{"Hole", one(R"("dtype": "F16", "shape": [1],
                      "data_offsets": [0, 2])"),
                  "tensor 'b': field 'data_offsets': leaves a hole before "
                  "it: expected to begin at 2, found 4"},
        BadHeader{"FirstNotAtZero",
                  R"({"b": {"dtype": "F32", "shape": [1],
                      "data_offsets": [4, 8]}})",
                  "tensor 'b': field 'data_offsets': leaves a hole before "
                  "it: expected to begin at 0, found 4"},
        BadHeader{"EmptyTensorInsideAnother",
                  R"({"a": {"dtype": "F32", "shape": [2],
                      "data_offsets": [0, 8]}, "z": {"dtype": "F32",
                      "shape": [0], "data_offsets": [4, 4]}})",
                  "tensor 'z': field 'data_offsets': overlaps the tensor "
                  "before it: expected to begin at 8, found 4"},
        BadHeader{"TrailingBytes",
                  R"({"a": {"dtype": "F32", "shape": [1],
                      "data_offsets": [0, 4]}})",
                  "4 bytes follow the last tensor, expected none"},
        BadHeader{"NoTensors", "{}",
                  "8 bytes follow the last tensor, expected none"},
        BadHeader{"PaddedWithZeros", std::string("{}    \0\0", 8),
                  "line 1: byte 6 is zero, expected plain UTF-8"},
        BadHeader{"MetadataIsList", R"({"__metadata__": []})",
                  "field '__metadata__': expected an object, found a list of "
                  "0 values"},
        BadHeader{"MetadataHasNumber", R"({"__metadata__": {"format": 1}})",
                  "field '__metadata__.format': expected a string, found 1"}),
    [](const auto &info) { return info.param.name; });

TEST(SafetensorsTest, ReadsInTheOrderOfTheData) {
  const SafetensorsHeader header = parseSafetensorsHeader(
      R"({"__metadata__": {"format": "pt"},
          "a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [8, 16]},
          "e": {"dtype": "F32", "shape": [3, 0], "data_offsets": [8, 8]},
          "b": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}   )",
      16, "m.s");
  EXPECT_EQ(header.metadata,
            (std::map<std::string, std::string>{{"format", "pt"}}));
  const auto &entries = header.tensors;
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "b");
  EXPECT_EQ(entries[0].dtype, "I64");
  EXPECT_TRUE(entries[0].shape.empty());
  EXPECT_EQ(entries[1].name, "e");
  EXPECT_EQ(entries[2].name, "a");
  EXPECT_EQ(entries[2].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(entries[2].begin, 8);
  EXPECT_EQ(entries[2].end, 16);
}

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  std::mt19937 random(7);
  for (int count : {0, 1, 2, 17}) {
    std::vector<SafetensorsEntry> tensors;
    int64_t end = 0;
    for (int i = 0; i < count; ++i) {
      SafetensorsEntry tensor;
      tensor.name = "t\"\\" + std::string(random() % 30, 'x') + "\u00e9" +
                    std::to_string(i);
      tensor.dtype = "F16";
      int64_t elements = 1;
      for (uint32_t rank = random() % 4; rank > 0; --rank) {
        tensor.shape.push_back(1 + random() % 5);
        elements *= tensor.shape.back();
      }
      tensor.begin = end;
      tensor.end = end += 2 * elements;
      tensors.push_back(tensor);
    }
    const std::string text =
        formatSafetensorsHeader(tensors, {{"fairy2.stages", "2"}});
    EXPECT_EQ(text.size() % 8, 0u);
    uint64_t length;
    std::memcpy(&length, text.data(), 8);
    ASSERT_EQ(length, text.size() - 8);
    const SafetensorsHeader header =
        parseSafetensorsHeader(text.substr(8), end, "m.s");
    EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{
                                   {"fairy2.stages", "2"}, {"format", "pt"}}));
    const auto &read = header.tensors;
    ASSERT_EQ(read.size(), tensors.size());
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(read[i].name, tensors[i].name);
      EXPECT_EQ(read[i].shape, tensors[i].shape);
      EXPECT_EQ(read[i].begin, tensors[i].begin);
      EXPECT_EQ(read[i].end, tensors[i].end);
    }
  }
}

/// No change of one byte of a header may do worse than an error.
TEST(SafetensorsTest, SurvivesEveryFlippedByte) {
  const std::string good =
      R"({"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i)
    for (int flip = 1; flip < 256; ++flip) {
      std::string bad = good;
      bad[i] = char(bad[i] ^ flip);
      try {
        parseSafetensorsHeader(bad, 8, "m.s");
      } catch (const Error &) {
        ++refused;
      }
    }
  EXPECT_GT(refused, 10'000);
}

} // namespace
