// SPDX-License-Identifier: Apache-2.0
//
// Output appears whole or not at all.
#include "runtime/support/File.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

using namespace fairy2;

namespace {

std::span<const uint8_t> bytesOf(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

size_t filesIn(const TemporaryFolder &folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto &entry :
       std::filesystem::directory_iterator(folder.path()))
    ++count;
  return count;
}

TEST(OutputFileTest, AppearsOnCommit) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out");
  {
    OutputFile file(path);
    file.append(bytesOf("hello"));
    EXPECT_EQ(file.size(), 5u);
    file.overwrite(1, bytesOf("a"));
    file.append(bytesOf(" world"));
    EXPECT_FALSE(std::filesystem::exists(path));
    file.commit();
  }
  EXPECT_EQ(readFile(path), "hallo world");
  EXPECT_EQ(readWholeFile(path), "hallo world");
  EXPECT_EQ(filesIn(folder), 1u);
}

TEST(OutputFileTest, NothingStaysBehindWithoutCommit) {
  const TemporaryFolder folder;
  const std::string path = folder.file("out");
  writeFile(path, "old");
  {
    OutputFile file(path);
    file.append(bytesOf("new"));
    EXPECT_EQ(readFile(path), "old");
  }
  EXPECT_EQ(readFile(path), "old");
  EXPECT_EQ(filesIn(folder), 1u);
}

TEST(OutputFileTest, PiecesOfAnySizeArriveInOrder) {
  const TemporaryFolder folder;
  std::mt19937 random(1);
  std::string expected;
  OutputFile file(folder.file("out"));
  for (const size_t size : {10, 1 << 20, 3, (1 << 20) - 1, 2, 3 << 20, 0, 7}) {
    std::string piece(size, '\0');
    for (char &c : piece)
      c = char(random());
    file.append(bytesOf(piece));
    expected += piece;
    EXPECT_EQ(file.size(), expected.size());
  }
  file.commit();
  EXPECT_TRUE(readFile(folder.file("out")) == expected);
}

TEST(OutputFileTest, LinksAreFollowed) {
  const TemporaryFolder folder;
  writeFile(folder.file("real"), "old");
  std::filesystem::create_symlink("real", folder.file("link"));
  OutputFile file(folder.file("link"));
  file.append(bytesOf("new"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(readFile(folder.file("real")), "new");
}

TEST(OutputFileTest, ImpossibleTargetsAreNamed) {
  const TemporaryFolder folder;
  const std::string absent = folder.file("absent/out");
  EXPECT_EQ(errorOf([&] { OutputFile file(absent); }),
            absent + ": cannot create: No such file or directory");
  const std::string tail = ": expected a regular file or a new name for the "
                           "output, found a folder or device";
  EXPECT_EQ(errorOf([&] { OutputFile file(folder.path()); }),
            folder.path().string() + tail);
  EXPECT_EQ(errorOf([&] { OutputFile file("/dev/null"); }), "/dev/null" + tail);
  EXPECT_EQ(errorOf([&] { OutputFile file(""); }),
            "output: expected the name of a file, found an empty one");
  const std::string longName = folder.file(std::string(256, 'a'));
  EXPECT_EQ(errorOf([&] { OutputFile file(longName); }),
            longName + ": cannot create: File name too long");
  writeTextFile(folder.file(std::string(255, 'a')), "x");
  writeFile(folder.file("file"), "x");
  EXPECT_EQ(errorOf([&] { OutputFile file(folder.file("file/out")); }),
            folder.file("file/out") + ": cannot create: Not a directory");
}

TEST(OutputFileTest, TheModeOfAnOlderFileIsKept) {
  const TemporaryFolder folder;
  for (const mode_t mode : {0600, 0664, 0755}) {
    writeFile(folder.file("out"), "old");
    ASSERT_EQ(chmod(folder.file("out").c_str(), mode), 0);
    writeTextFile(folder.file("out"), "new");
    struct stat status;
    ASSERT_EQ(stat(folder.file("out").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode);
  }
}

TEST(OutputFileTest, ModeFollowsTheUmask) {
  const TemporaryFolder folder;
  const mode_t old = umask(027);
  OutputFile file(folder.file("out"), 0777);
  umask(old);
  file.commit();
  struct stat status;
  ASSERT_EQ(stat(folder.file("out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0750u);
}

TEST(InputFileTest, ReadsExactlyOrFails) {
  const TemporaryFolder folder;
  const std::string path = folder.file("in");
  writeFile(path, "0123456789");
  const InputFile file = InputFile::open(path);
  EXPECT_EQ(file.bytes, 10u);
  std::vector<uint8_t> part(4);
  file.read(3, part);
  EXPECT_EQ(std::string(part.begin(), part.end()), "3456");
  EXPECT_EQ(errorOf([&] { file.read(8, part); }),
            path + ": expected 2 more bytes at offset 10, found the end of the "
                   "file");
}

/// Opening a pipe must not wait for somebody to write.
TEST(InputFileTest, PipesAndFoldersAreRefused) {
  const TemporaryFolder folder;
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(errorOf([&] { InputFile::open(pipe); }),
            pipe + ": expected a regular file, found a device or pipe");
  EXPECT_EQ(errorOf([&] { InputFile::open(folder.path()); }),
            folder.path().string() +
                ": expected a regular file, found a folder");
}

} // namespace
