// SPDX-License-Identifier: Apache-2.0
//
// The written file: what other tools make of it, equal bytes for equal input,
// and no trace of a failed attempt.
#include "codegen/ArtifactWriter.h"

#include "test/unit/runtime/FakeModel.h"

#include <dlfcn.h>
#include <elf.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class ArtifactWriterTest : public testing::Test {
protected:
  size_t filesInFolder() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto &entry :
         std::filesystem::directory_iterator(folder.path()))
      ++count;
    return count;
  }

  TemporaryFolder folder;
  const std::string path = folder.file("model.so");
};

/// Standard output and error of a command, or none if it cannot be run.
std::optional<std::string> outputOf(const std::string &command) {
  FILE *pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe)
    return std::nullopt;
  std::string output;
  char buffer[4096];
  while (const size_t got = fread(buffer, 1, sizeof(buffer), pipe))
    output.append(buffer, got);
  const int status = pclose(pipe);
  if (WEXITSTATUS(status) == 127)
    return std::nullopt;
  EXPECT_EQ(status, 0) << output;
  return output;
}

TEST_F(ArtifactWriterTest, PlainDlopenLoadsIt) {
  writeFakeModel(path);
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_TRUE(library) << dlerror();
  EXPECT_TRUE(dlsym(library, "fake_forward_plain"));
  dlclose(library);
}

TEST_F(ArtifactWriterTest, ReadelfListsItWithoutWarnings) {
  writeFakeModel(path);
  const auto output = outputOf("readelf --wide --headers " + path);
  if (!output)
    GTEST_SKIP() << "there is no readelf here";
  EXPECT_NE(output->find(".fairy2.weights"), std::string::npos);
  EXPECT_NE(output->find(".fairy2.manifest"), std::string::npos);
  EXPECT_NE(output->find(".dynsym"), std::string::npos);
  for (const char *word : {"arning", "rror", "corrupt"})
    EXPECT_EQ(output->find(word), std::string::npos) << *output;
}

TEST_F(ArtifactWriterTest, EqualInputGivesEqualBytes) {
  writeFakeModel(path);
  writeFakeModel(folder.file("again.so"));
  EXPECT_TRUE(readFile(path) == readFile(folder.file("again.so")));
}

/// The cut of the weights into pieces is not part of the input.
TEST_F(ArtifactWriterTest, LargeWeightsStreamInAnyPieces) {
  std::vector<uint8_t> weights(kHashPieceBytes * 2 + 777);
  std::mt19937 random(1);
  for (uint8_t &byte : weights)
    byte = uint8_t(random());
  const auto write = [&](const std::string &name, size_t piece) {
    const std::string model = writeFakeModel(folder.file("small.so"));
    auto manifest = nlohmann::json::parse(Artifact::open(model).manifest.text);
    manifest.erase("tokenizer");
    ArtifactWriter writer(folder.file(name), fakeImage());
    for (size_t begin = 0; begin < weights.size(); begin += piece) {
      EXPECT_EQ(writer.append(std::span(weights).subspan(
                    begin, std::min(piece, weights.size() - begin))),
                int64_t(begin));
    }
    const int64_t bytes = writer.finish(manifest);
    EXPECT_EQ(uint64_t(bytes), std::filesystem::file_size(folder.file(name)));
  };
  write("whole.so", weights.size());
  write("pieces.so", 100001);
  EXPECT_TRUE(readFile(folder.file("whole.so")) ==
              readFile(folder.file("pieces.so")));
  const Artifact artifact = Artifact::open(folder.file("whole.so"));
  artifact.verifyContent(3);
  std::vector<uint8_t> stored(weights.size());
  artifact.file.read(artifact.manifest.weights.offset, stored);
  EXPECT_TRUE(stored == weights);
}

TEST_F(ArtifactWriterTest, AlignmentFillsWithZeros) {
  ArtifactWriter writer(path, fakeImage());
  const std::vector<uint8_t> bytes = {1, 2, 3};
  EXPECT_EQ(writer.append(bytes), 0);
  EXPECT_EQ(writer.align(64), 64);
  EXPECT_EQ(writer.align(64), 64);
  EXPECT_EQ(writer.append(bytes), 64);
  EXPECT_EQ(writer.align(4096), 4096);
  EXPECT_EQ(writer.weightBytes(), 4096);
  for (const int64_t bad : {0, -8, 3, 8192})
    EXPECT_EQ(errorOf([&] { writer.align(bad); }),
              path +
                  ": weights: expected an alignment that is a power of two "
                  "up to 4096, found " +
                  std::to_string(bad));
}

TEST_F(ArtifactWriterTest, NoWeightsAreFine) {
  const std::string model = writeFakeModel(folder.file("small.so"));
  auto manifest = nlohmann::json::parse(Artifact::open(model).manifest.text);
  manifest.erase("tokenizer");
  manifest["layers"] = nlohmann::json::array();
  ArtifactWriter writer(path, fakeImage());
  writer.finish(manifest);
  Artifact::open(path).verifyContent(2);
}

TEST_F(ArtifactWriterTest, UnfinishedLeavesNothing) {
  writeFile(path, "an older file");
  {
    ArtifactWriter writer(path, fakeImage());
    writer.append(std::vector<uint8_t>(3 << 20));
  }
  EXPECT_EQ(readFile(path), "an older file");
  EXPECT_EQ(filesInFolder(), 1u);
}

TEST_F(ArtifactWriterTest, ManifestThatTheLoaderWouldRefuseIsNotWritten) {
  EXPECT_EQ(errorOf([&] {
              writeFakeModel(path, [](nlohmann::json &manifest) {
                manifest["batch"] = 0;
              });
            }),
            path + ": manifest.batch: expected an integer from 1 to 1048576, "
                   "found 0");
  EXPECT_EQ(filesInFolder(), 0u);
}

TEST_F(ArtifactWriterTest, BadImagesAreNamed) {
  const auto messageOf = [&](const std::vector<uint8_t> &image) {
    const std::string message =
        errorOf([&] { ArtifactWriter writer(path, image); });
    EXPECT_EQ(filesInFolder(), 0u);
    return message.substr(path.size());
  };
  EXPECT_EQ(messageOf({}), ": linked image: expected an ELF file, found "
                           "something else");
  std::vector<uint8_t> image = fakeImage();
  image.resize(image.size() / 2);
  EXPECT_EQ(messageOf(image), ": linked image: expected section headers inside "
                              "the file, found something else");
  image = fakeImage();
  reinterpret_cast<Elf64_Ehdr *>(image.data())->e_type = ET_REL;
  EXPECT_EQ(messageOf(image), ": linked image: expected a 64-bit little-endian "
                              "ELF shared library, found something else");
  // Any damage to the headers is an error or harmless, never a crash.
  std::mt19937 random(4);
  for (int round = 0; round < 2000; ++round) {
    image = fakeImage();
    const auto *elf = reinterpret_cast<const Elf64_Ehdr *>(image.data());
    const size_t tables = random() % 2 ? 0 : elf->e_shoff;
    const size_t place =
        tables + random() % std::min<size_t>(600, image.size() - tables);
    image[place] = uint8_t(random());
    errorOf([&] { ArtifactWriter writer(path, image); });
  }
}

} // namespace
