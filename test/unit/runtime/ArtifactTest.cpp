// SPDX-License-Identifier: Apache-2.0
//
// The format's promise: a file that is not exactly what the compiler wrote is
// refused, with the reason, and nothing of it is ever executed.
#include "runtime/Artifact.h"

#include "runtime/Model.h"
#include "runtime/Status.h"
#include "test/unit/runtime/FakeModel.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>
#include <set>

using namespace fairy2;
using namespace fairy2::test;

namespace {

/// A good file, and a name for altered copies of it. While it lives, code of
/// the fake module that runs leaves a trace.
class ArtifactTest : public testing::Test {
protected:
  ArtifactTest() {
    writeFakeModel(good);
    content = readFile(good);
    setenv("FAIRY2_FAKE_TRACE", trace.c_str(), 1);
  }
  ~ArtifactTest() override { unsetenv("FAIRY2_FAKE_TRACE"); }

  /// What opening `altered` says, without the path in front.
  std::string refusalOf(const std::string &altered) {
    writeFile(bad, altered);
    return refusal();
  }
  std::string refusal() {
    const std::string message = errorOf([&] { Model::open(bad); });
    if (message != "no error")
      EXPECT_FALSE(codeRan()) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    if (!message.starts_with(bad + ": "))
      return message;
    return message.substr(bad.size() + 2);
  }
  bool codeRan() const { return std::filesystem::exists(trace); }

  ManifestHeader header() const {
    ManifestHeader header;
    std::memcpy(&header, content.data() + manifestOffset(), sizeof(header));
    return header;
  }
  size_t manifestOffset() const { return content.rfind("FAIRY2MF"); }
  std::string with(const ManifestHeader &header) const {
    std::string altered = content;
    std::memcpy(altered.data() + manifestOffset(), &header, sizeof(header));
    return altered;
  }

  TemporaryFolder folder;
  const std::string good = folder.file("good.so");
  const std::string bad = folder.file("bad.so");
  const std::string trace = folder.file("trace");
  std::string content;
};

TEST_F(ArtifactTest, GoodFileOpensAndItsCodeRuns) {
  Artifact artifact = Artifact::open(good);
  artifact.verifyContent(2);
  EXPECT_EQ(artifact.manifest.vocabSize, kFakeVocab);
  EXPECT_EQ(artifact.manifest.weights.offset % kWeightsAlignment, 0u);
  EXPECT_FALSE(codeRan());
  Model::open(good);
  EXPECT_TRUE(codeRan()) << "the trace proves nothing if nothing leaves one";
}

TEST_F(ArtifactTest, EveryTruncationIsRefused) {
  std::set<size_t> lengths = {0, 1, 15, 16, 63, 64, content.size() - 1};
  for (size_t i = 0; i < 300; ++i)
    lengths.insert(content.size() * i / 300);
  for (size_t back = 1; back < 200; ++back)
    lengths.insert(content.size() - back);
  for (const size_t length : lengths)
    EXPECT_NE(refusalOf(content.substr(0, length)), "no error")
        << length << " of " << content.size() << " bytes";
}

TEST_F(ArtifactTest, GrownFileIsRefused) {
  for (const size_t extra : {1, 64, 4096})
    EXPECT_NE(refusalOf(content + std::string(extra, '\0')), "no error");
}

/// All bits of ELF header, program headers, section headers and manifest, and
/// a sample of all other bits.
TEST_F(ArtifactTest, EveryFlippedBitIsRefused) {
  const Artifact artifact = Artifact::open(good);
  std::set<size_t> bits;
  const auto addAll = [&](size_t begin, size_t end) {
    for (size_t bit = 8 * begin; bit < 8 * end; ++bit)
      bits.insert(bit);
  };
  addAll(0, 1024);
  addAll(artifact.manifest.sections.offset, content.size());
  const size_t systematic = bits.size();
  std::mt19937 random(1);
  std::uniform_int_distribution<size_t> anywhere(0, 8 * content.size() - 1);
  while (bits.size() < systematic + 4000)
    bits.insert(anywhere(random));

  // In place: writing the whole file each time would take a minute.
  writeFile(bad, content);
  std::fstream file(bad, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](size_t place, int value) {
    file.seekp(std::streamoff(place)).put(char(value)).flush();
  };
  for (const size_t bit : bits) {
    put(bit / 8, content[bit / 8] ^ (1 << bit % 8));
    ASSERT_NE(refusal(), "no error")
        << "byte " << bit / 8 << ", bit " << bit % 8;
    put(bit / 8, content[bit / 8]);
  }
  EXPECT_EQ(refusal(), "no error") << "the last byte was not restored";
}

TEST_F(ArtifactTest, RandomGarbageIsRefused) {
  std::mt19937 random(2);
  for (int round = 0; round < 500; ++round) {
    std::string altered = content;
    const size_t begin = random() % altered.size();
    const size_t length =
        std::min<size_t>(random() % 300 + 1, altered.size() - begin);
    for (size_t i = begin; i < begin + length; ++i)
      altered[i] = char(random());
    if (altered != content)
      EXPECT_NE(refusalOf(altered), "no error");
  }
}

TEST_F(ArtifactTest, OtherFilesAreNamed) {
  EXPECT_EQ(refusalOf(""),
            "expected an ELF shared library, found a file of 0 bytes");
  EXPECT_EQ(refusalOf(std::string(100, 'x')),
            "expected an ELF shared library, found another kind of file");
  const std::vector<uint8_t> plain = fakeImage();
  EXPECT_EQ(refusalOf({plain.begin(), plain.end()}),
            "section headers: expected a section .fairy2.manifest, found none: "
            "it is not a model that fairy2-compile made");
  EXPECT_EQ(errorOf([&] { Artifact::open(folder.file("absent.so")); }),
            folder.file("absent.so") +
                ": cannot open: No such file or directory");
  EXPECT_EQ(errorOf([&] { Artifact::open(folder.path().string()); }),
            folder.path().string() +
                ": expected a regular file, found a folder");
}

TEST_F(ArtifactTest, AlteredRegionsAreNamed) {
  const Manifest manifest = Artifact::open(good).manifest;
  const auto flipAt = [&](size_t offset) {
    std::string altered = content;
    altered[offset] = char(altered[offset] ^ 1);
    return refusalOf(altered);
  };
  const std::string tail = ": the file is altered or truncated";
  const std::string image = flipAt(manifest.image.end() - 1);
  EXPECT_TRUE(image.starts_with("image: expected xxh3 " +
                                hexOf(manifest.image.hash) + ", found "))
      << image;
  EXPECT_TRUE(image.ends_with(tail)) << image;
  const std::string weights = flipAt(manifest.weights.offset + 5);
  EXPECT_TRUE(weights.starts_with("weights: expected xxh3 " +
                                  hexOf(manifest.weights.hash) + ", found "))
      << weights;
  const std::string json = flipAt(content.size() - 2);
  EXPECT_TRUE(json.starts_with("manifest: expected xxh3 ")) << json;
}

TEST_F(ArtifactTest, OtherVersionsAreNamed) {
  ManifestHeader other = header();
  other.abi = 7;
  EXPECT_EQ(refusalOf(with(other)),
            "ABI version: expected 3, found 7: compile the model again with "
            "this version of Fairy2");
  other = header();
  other.format = 2;
  EXPECT_EQ(refusalOf(with(other)),
            "format version: expected 1, found 2: compile the model again with "
            "this version of Fairy2");
  other = header();
  other.fileBytes += 1;
  EXPECT_EQ(refusalOf(with(other)),
            "file size: expected " + std::to_string(content.size() + 1) +
                " bytes, found " + std::to_string(content.size()) +
                ": the file is truncated or altered");
}

TEST_F(ArtifactTest, OtherMachinesAreNamed) {
  std::string altered = content;
  auto *elf = reinterpret_cast<Elf64_Ehdr *>(altered.data());
  elf->e_machine = EM_RISCV;
  EXPECT_EQ(refusalOf(altered), "ELF header: expected machine x86-64 or "
                                "aarch64, found machine 243");
}

/// A file for the other machine, made as a cross compiler would make it.
TEST_F(ArtifactTest, WholeFileForTheOtherMachineIsUnsupported) {
  std::vector<uint8_t> image = fakeImage();
  auto *elf = reinterpret_cast<Elf64_Ehdr *>(image.data());
  const bool isX86 = elf->e_machine == EM_X86_64;
  elf->e_machine = isX86 ? EM_AARCH64 : EM_X86_64;
  writeFakeModel(bad, image);
  const std::string other = isX86 ? "aarch64" : "x86-64";
  EXPECT_EQ(Artifact::open(bad).manifest.machine, other);
  try {
    Model::open(bad);
    FAIL() << "expected an error";
  } catch (const StatusError &error) {
    EXPECT_EQ(error.status, FAIRY2_UNSUPPORTED);
    EXPECT_EQ(error.what(), bad + ": machine: expected " + hostMachine() +
                                ", found " + other);
  }
  EXPECT_FALSE(codeRan());
}

TEST(RegionHasherTest, DoesNotDependOnHowBytesArrive) {
  std::mt19937 random(3);
  std::vector<uint8_t> bytes(kHashPieceBytes * 2 + 12345);
  for (uint8_t &byte : bytes)
    byte = uint8_t(random());
  RegionHasher whole;
  whole.update(bytes);
  RegionHasher parts;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t size =
        std::min<size_t>(random() % 100000 + 1, bytes.size() - begin);
    parts.update(std::span(bytes).subspan(begin, size));
    begin += size;
  }
  // The definition, spelled out.
  std::vector<uint64_t> pieces;
  for (size_t begin = 0; begin < bytes.size(); begin += kHashPieceBytes)
    pieces.push_back(hashBytes(std::span(bytes).subspan(
        begin, std::min(kHashPieceBytes, bytes.size() - begin))));
  const uint64_t expected = hashBytes(
      {reinterpret_cast<const uint8_t *>(pieces.data()), pieces.size() * 8});
  EXPECT_EQ(whole.finish(), expected);
  EXPECT_EQ(parts.finish(), expected);
}

TEST(RegionHasherTest, HexadecimalHasSixteenDigits) {
  EXPECT_EQ(hexOf(0), "0000000000000000");
  EXPECT_EQ(hexOf(0x123456789abcdef0), "123456789abcdef0");
}

} // namespace
