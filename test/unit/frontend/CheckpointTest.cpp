// SPDX-License-Identifier: Apache-2.0
//
// Whole checkpoints: one file, shards, links, what is no safetensors at all,
// and files that change under our feet.
#include "frontend/Checkpoint.h"

#include "frontend/HFConfig.h"
#include "test/unit/frontend/TestFiles.h"

#include <cmath>
#include <thread>

#include <sys/stat.h>

using namespace fairy2;
namespace fs = std::filesystem;

namespace {

std::string floatBytes(const std::vector<float> &values) {
  std::string bytes(values.size() * 4, '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A file with one F32 tensor [2] of the given name.
std::string smallFile(const std::string &name, float first) {
  return safetensorsFile(
      R"({")" + name +
          R"(": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})",
      floatBytes({first, first + 1}));
}

class CheckpointTest : public testing::Test {
protected:
  std::string openError() const {
    return folder.errorOf([&] { Checkpoint::open(folder.path()); });
  }
  void writeIndex(const std::string &weightMap,
                  const std::string &rest = "") const {
    folder.write("model.safetensors.index.json",
                 R"({"weight_map": {)" + weightMap + "}" + rest + "}");
  }
  const TemporaryFolder folder;
};

/// Keys of other programs may differ from shard to shard, ours may not.
TEST_F(CheckpointTest, MergesTheMetadataOfAllFiles) {
  auto write = [&](const char *file, const char *tensor, const char *note,
                   const char *stages) {
    folder.write(file,
                 safetensorsFile(std::string(R"({"__metadata__": {"note": ")") +
                                     note + R"(", "fairy2.stages": ")" +
                                     stages + R"("}, ")" + tensor +
                                     R"(": {"dtype": "F32", "shape": [1],
                                    "data_offsets": [0, 4]}})",
                                 floatBytes({1})));
  };
  writeIndex(R"("x": "a.safetensors", "y": "b.safetensors")");
  write("a.safetensors", "x", "one", "2");
  write("b.safetensors", "y", "two", "2");
  EXPECT_EQ(Checkpoint::open(folder.path()).metadata(),
            (std::map<std::string, std::string>{{"fairy2.stages", "2"},
                                                {"note", "one"}}));
  write("b.safetensors", "y", "two", "3");
  EXPECT_EQ(openError(),
            "DIR/b.safetensors: field '__metadata__.fairy2.stages': expected "
            "'2' as in another file of the checkpoint, found '3'");
}

TEST_F(CheckpointTest, ReadsTensorsOfAllTypes) {
  const std::string halves("\x00\x3c\x01\x00\x00\xc0", 6); // 1, 2^-24, -2
  const std::string bfloats("\x80\x3f\x20\xc0", 4);        // 1, -2.5
  folder.write("model.safetensors",
               safetensorsFile(R"({
    "f": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
    "h": {"dtype": "F16", "shape": [3], "data_offsets": [8, 14]},
    "b": {"dtype": "BF16", "shape": [2], "data_offsets": [14, 18]},
    "d": {"dtype": "I64", "shape": [1], "data_offsets": [18, 26]},
    "e": {"dtype": "F32", "shape": [0], "data_offsets": [26, 26]}})",
                               floatBytes({0.5f, -3.f}) + halves + bfloats +
                                   std::string(8, '\0')));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.directory(), folder.path());
  EXPECT_EQ(checkpoint.tensors().size(), 4u);
  ASSERT_EQ(checkpoint.otherTensors().size(), 1u);
  const OtherTensor &d = checkpoint.otherTensors().at("d");
  EXPECT_EQ(d.typeName, "I64");
  std::vector<uint8_t> eight(8, 1);
  checkpoint.readBytes(d, 0, 8, eight.data());
  EXPECT_EQ(eight, std::vector<uint8_t>(8, 0));
  EXPECT_TRUE(checkpoint.metadata().empty());
  EXPECT_EQ(floatsOf(checkpoint, "f"), (std::vector<float>{0.5f, -3.f}));
  EXPECT_EQ(floatsOf(checkpoint, "h"),
            (std::vector<float>{1.f, std::ldexp(1.f, -24), -2.f}));
  EXPECT_EQ(floatsOf(checkpoint, "b"), (std::vector<float>{1.f, -2.5f}));
  EXPECT_TRUE(floatsOf(checkpoint, "e").empty());

  const TensorInfo &h = checkpoint.tensor("h");
  EXPECT_EQ(h.type, DType::F16);
  EXPECT_EQ(h.file, "model.safetensors");
  std::vector<uint8_t> copy(4);
  checkpoint.readBytes(h, 2, 6, copy.data());
  EXPECT_EQ(std::string(copy.begin(), copy.end()), halves.substr(2));

  EXPECT_EQ(folder.errorOf([&] { checkpoint.tensor("d"); }),
            "DIR: tensor 'd': expected type F32, F16, BF16 or F64, found I64");
  EXPECT_EQ(folder.errorOf([&] { checkpoint.tensor("no\x1b"); }),
            "DIR: tensor 'no\\u001b': is missing");
}

TEST_F(CheckpointTest, RefusesRangesOutsideTheTensor) {
  folder.write("model.safetensors", smallFile("a", 1));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const TensorInfo &a = checkpoint.tensor("a");
  float values[4];
  for (auto [begin, end] : {std::pair(0, 3), {-1, 1}, {2, 1}})
    EXPECT_EQ(
        folder.errorOf([&] { checkpoint.readFloats(a, begin, end, values); }),
        "DIR/model.safetensors: tensor 'a': has no elements [" +
            std::to_string(begin) + ", " + std::to_string(end) + ")");
  EXPECT_EQ(folder.errorOf([&] {
    checkpoint.readBytes(a, 0, 9, reinterpret_cast<uint8_t *>(values));
  }),
            "DIR/model.safetensors: tensor 'a': has no bytes [0, 9)");
  TensorInfo foreign = a;
  foreign.file = "other.safetensors";
  EXPECT_EQ(
      folder.errorOf([&] { checkpoint.readFloats(foreign, 0, 2, values); }),
      "DIR: tensor 'a': is not of this checkpoint");
}

/// Long enough for several chunks, at an odd offset, read in uneven pieces by
/// several threads.
TEST_F(CheckpointTest, ReadsLongTensorsInPieces) {
  constexpr int64_t kCount = 30'000;
  std::string data = "x";
  for (int64_t i = 0; i < kCount; ++i)
    data += {char(i & 0xff), char((i >> 8) & 0x3f)};
  folder.write("model.safetensors", safetensorsFile(R"({
    "odd": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    "h": {"dtype": "F16", "shape": [300, 100], "data_offsets": [1, 60001]}})",
                                                    data));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const TensorInfo &tensor = checkpoint.tensor("h");
  std::vector<float> expected(kCount);
  toFloats(DType::F16, reinterpret_cast<const uint8_t *>(data.data() + 1),
           kCount, expected.data());
  std::vector<float> values(kCount, NAN);
  std::vector<std::thread> threads;
  for (auto [begin, end] :
       {std::pair(0, 1), {1, 8193}, {8193, 29'999}, {29'999, 30'000}})
    threads.emplace_back([&, begin = begin, end = end] {
      checkpoint.readFloats(tensor, begin, end, values.data() + begin);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(values, expected);
}

TEST_F(CheckpointTest, FileTruncatedAfterOpeningIsAnError) {
  for (DType type : {DType::F32, DType::BF16}) {
    const int64_t bytes = 100'000 * byteWidth(type);
    folder.write("model.safetensors",
                 safetensorsFile(R"({"a": {"dtype": ")" +
                                     std::string(nameOf(type)) +
                                     R"(", "shape": [100000],
                                     "data_offsets": [0, )" +
                                     std::to_string(bytes) + "]}}",
                                 std::string(bytes, '\0')));
    const fs::path file = folder / "model.safetensors";
    const int64_t size = int64_t(fs::file_size(file));
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    fs::resize_file(file, 1000);
    std::vector<float> values(100'000);
    EXPECT_EQ(folder.errorOf([&] {
      checkpoint.readFloats(checkpoint.tensor("a"), 0, 100'000, values.data());
    }),
              "DIR/model.safetensors: tensor 'a': the file now ends at byte "
              "1000, it had " +
                  std::to_string(size) + " bytes when it was opened");
  }
}

TEST_F(CheckpointTest, ReadsShards) {
  folder.write("model-00001-of-00002.safetensors", smallFile("a", 1));
  folder.write("model-00002-of-00002.safetensors", smallFile("b", 3));
  writeIndex(R"("a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors")",
             R"(, "metadata": {"total_size": 16, "total_parameters": 4})");
  Checkpoint checkpoint = Checkpoint::open(folder.path());
  Checkpoint moved = std::move(checkpoint);
  EXPECT_EQ(floatsOf(moved, "a"), (std::vector<float>{1, 2}));
  EXPECT_EQ(floatsOf(moved, "b"), (std::vector<float>{3, 4}));
  EXPECT_EQ(moved.tensor("b").file, "model-00002-of-00002.safetensors");
}

/// Nobody needs it: each tensor's bytes are checked in its file.
TEST_F(CheckpointTest, TheTotalOfAnIndexIsARemark) {
  folder.write("s1", smallFile("a", 1));
  folder.write("s2", smallFile("b", 3));
  for (const char *total : {"0", "16.0", "17", "\"16\"", "null", "[]"}) {
    writeIndex(R"("a": "s1", "b": "s2")",
               std::string(R"(, "metadata": {"total_size": )") + total + "}");
    EXPECT_EQ(openError(), "no error") << total;
  }
  writeIndex(R"("a": "s1", "b": "s2")", R"(, "metadata": {})");
  EXPECT_EQ(openError(), "no error");
}

/// An index may list both of a tied pair.
TEST_F(CheckpointTest, OneOfATiedPairMayBeListedAndNotStored) {
  folder.write("s1", smallFile("model.embed_tokens.weight", 1));
  writeIndex(R"("model.embed_tokens.weight": "s1", "lm_head.weight": "s1")");
  EXPECT_EQ(openError(), "no error");
}

struct BadIndex {
  const char *name;
  const char *weightMap;
  const char *rest;
  const char *error;
};
std::ostream &operator<<(std::ostream &stream, const BadIndex &bad) {
  return stream << bad.name;
}

class BadIndexTest : public CheckpointTest,
                     public testing::WithParamInterface<BadIndex> {};

/// The folder holds s1 with tensor a and s2 with tensor b.
TEST_P(BadIndexTest, IsRefusedWithOneSentence) {
  folder.write("s1", smallFile("a", 1));
  folder.write("s2", smallFile("b", 3));
  writeIndex(GetParam().weightMap, GetParam().rest);
  EXPECT_EQ(openError(), "DIR/" + std::string(GetParam().error));
}

#define INDEX "model.safetensors.index.json: "
#define NAME_RULE "expected the name of a file in the same folder, found "
INSTANTIATE_TEST_SUITE_P(
    Table, BadIndexTest,
    testing::Values(
        BadIndex{"PathUpwards", R"("a": "../../etc/passwd")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "'../../etc/passwd'"},
        BadIndex{"AbsolutePath", R"("a": "/etc/passwd")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "'/etc/passwd'"},
        BadIndex{"Subfolder", R"("a": "x/s1")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "'x/s1'"},
        BadIndex{"Backslash", R"("a": "..\\s1")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "'..\\\\s1'"},
        BadIndex{"Dots", R"("a": "..")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "'..'"},
        BadIndex{"EmptyName", R"("a": "")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "''"},
        BadIndex{"ZeroByte", R"("a": "s1\u0000.x")", "",
                 INDEX "field 'weight_map.a': " NAME_RULE "'s1\\u0000.x'"},
        BadIndex{"NotAString", R"("a": 1)", "",
                 INDEX "field 'weight_map.a': expected a string, found 1"},
        BadIndex{"NoSuchShard", R"("a": "s3")", "",
                 "s3: cannot open: No such file or directory"},
        BadIndex{"TensorElsewhere", R"("a": "s1", "b": "s1")", "",
                 INDEX "tensor 'b': is not in 's1'"},
        BadIndex{"TensorSwapped", R"("a": "s2", "b": "s1")", "",
                 "s1: tensor 'a': expected in 's2' by "
                 "model.safetensors.index.json"},
        BadIndex{"TensorUnlisted", R"("x": "s1")", "",
                 "s1: tensor 'a': expected a tensor that "
                 "model.safetensors.index.json lists"},
        BadIndex{"DuplicateTensor", R"("a": "s1", "a": "s2")", "",
                 INDEX "key 'a' occurs twice in one object"}),
    [](const auto &info) { return info.param.name; });
#undef INDEX
#undef NAME_RULE

TEST_F(CheckpointTest, IndexNeedsAWeightMap) {
  folder.write("model.safetensors.index.json", "{}");
  EXPECT_EQ(openError(), "DIR/model.safetensors.index.json: field "
                         "'weight_map': is missing");
}

/// Where links may lead is ModelFolderTest's.
TEST_F(CheckpointTest, ALinkToItselfIsNamed) {
  fs::create_symlink("model.safetensors", folder / "model.safetensors");
  EXPECT_EQ(openError(),
            "DIR/model.safetensors: cannot open: Too many levels of symbolic "
            "links");
}

#define CONVERT                                                                \
  "; convert it to safetensors first, e.g. with transformers' "                \
  "save_pretrained(DIR, safe_serialization=True)"
#define PICKLE                                                                 \
  "is a PyTorch pickle file, which can run code when loaded and is never "     \
  "read" CONVERT

struct BadFile {
  const char *name;
  std::string bytes;
  std::string error;
};
std::ostream &operator<<(std::ostream &stream, const BadFile &bad) {
  return stream << bad.name;
}

class BadFileTest : public CheckpointTest,
                    public testing::WithParamInterface<BadFile> {};

TEST_P(BadFileTest, IsRefusedWithOneSentence) {
  folder.write("model.safetensors", GetParam().bytes);
  EXPECT_EQ(openError(), "DIR/model.safetensors: " + GetParam().error);
}

std::string withLength(uint64_t length, const std::string &rest) {
  std::string bytes = safetensorsFile("", rest);
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadFileTest,
    testing::Values(
        BadFile{"Empty", "",
                "has 0 bytes, expected at least the 8 of a safetensors "
                "header"},
        BadFile{"SevenBytes", std::string(7, '\0'),
                "has 7 bytes, expected at least the 8 of a safetensors "
                "header"},
        BadFile{"NoHeader", withLength(0, ""),
                "the header does not start with '{'; this is not a "
                "safetensors file"},
        BadFile{"LengthTwoTo63", withLength(uint64_t(1) << 63, "{}"),
                "the header claims 9223372036854775808 bytes, expected at "
                "most 100000000; this is not a safetensors file"},
        BadFile{"LengthOverCap", withLength(100'000'001, "{}"),
                "the header claims 100000001 bytes, expected at most "
                "100000000; this is not a safetensors file"},
        BadFile{"LengthOverFile", withLength(3, "{}"),
                "the header claims 3 bytes, the file has 2 after the length"},
        BadFile{"BadHeader", safetensorsFile("{]", ""),
                "not valid JSON: at line 1, column 2: syntax error while "
                "parsing object key - unexpected ']'; expected string "
                "literal"},
        BadFile{"ZipPickle", "PK\x03\x04 and the rest of an archive", PICKLE},
        BadFile{"Pickle2", "\x80\x02}q\x01(X\x03 and so on", PICKLE},
        BadFile{"Pickle4", std::string("\x80\x04\x95\0\0\0\0\0\0\0\0", 11),
                PICKLE},
        BadFile{"ShortPickle", "\x80\x02.", PICKLE},
        BadFile{"Gguf", "GGUF\x03 and so on",
                "is a GGUF file, expected safetensors"},
        BadFile{"LfsPointer", "version https://git-lfs.github.com/spec/v1\n",
                "is a Git LFS pointer and not the file itself; run 'git lfs "
                "pull' in its folder"}),
    [](const auto &info) { return info.param.name; });

/// 640 is 80 02 in little-endian bytes, as a pickle starts.
TEST_F(CheckpointTest, HeaderLengthThatLooksLikeAPickleIsFine) {
  std::string header =
      R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})";
  header.resize(640, ' ');
  folder.write("model.safetensors",
               safetensorsFile(header, floatBytes({1, 2})));
  EXPECT_EQ(floatsOf(Checkpoint::open(folder.path()), "a"),
            (std::vector<float>{1, 2}));
}

TEST_F(CheckpointTest, SaysWhatIsMissing) {
  EXPECT_EQ(openError(), "DIR: has neither model.safetensors nor "
                         "model.safetensors.index.json");
  folder.write("pytorch_model.bin", "PK\x03\x04");
  EXPECT_EQ(openError(),
            "DIR: has no model.safetensors but 'pytorch_model.bin', a PyTorch "
            "pickle file, which can run code when loaded and is never "
            "read" CONVERT);
  EXPECT_EQ(folder.errorOf([&] { Checkpoint::open(folder / "none"); }),
            "DIR/none: no such directory");
  EXPECT_EQ(
      folder.errorOf([&] { Checkpoint::open(folder / "pytorch_model.bin"); }),
      "DIR/pytorch_model.bin: is not a directory; expected the folder of a "
      "Hugging Face checkpoint");
}

TEST_F(CheckpointTest, PipesAndFoldersAreNoFiles) {
  const fs::path file = folder / "model.safetensors";
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(openError(), "DIR/model.safetensors: expected a regular file, "
                         "found a device or pipe");
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_EQ(openError(), "DIR/model.safetensors: expected a regular file, "
                         "found a folder");
}

/// Every truncation of a good file is an error, whatever it cuts.
TEST_F(CheckpointTest, EveryTruncationIsRefused) {
  const std::string good = smallFile("a", 1);
  for (size_t size = 0; size < good.size(); ++size) {
    folder.write("model.safetensors", good.substr(0, size));
    EXPECT_NE(openError(), "no error") << size;
  }
  folder.write("model.safetensors", good);
  EXPECT_EQ(openError(), "no error");
}

TEST(RealCheckpointTest, ReadsStories260K) {
  const fs::path directory = sharedData() / "stories260K-hf";
  if (!fs::exists(directory))
    GTEST_SKIP() << "the shared data folder is not here";
  const Checkpoint checkpoint = Checkpoint::open(directory);
  int64_t parameters = 0;
  for (const auto &[name, tensor] : checkpoint.tensors()) {
    EXPECT_EQ(tensor.type, DType::F32);
    for (float value : floatsOf(checkpoint, name))
      ASSERT_TRUE(std::isfinite(value)) << name;
    parameters += tensor.bytes / 4;
  }
  EXPECT_EQ(parameters, 260'032);
  EXPECT_EQ(checkpoint.tensor("model.embed_tokens.weight").shape,
            (std::vector<int64_t>{512, 64}));
}

} // namespace
