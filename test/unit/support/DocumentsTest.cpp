// SPDX-License-Identifier: Apache-2.0
//
// Every kind of file that holds documents, and what is wrong with the bad ones.
#include "runtime/support/Documents.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>
#include <zstd.h>

using namespace fairy2;

namespace {

std::string compressed(const std::string &text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(
      ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string> documentsOf(const std::string &path) {
  std::vector<std::string> documents;
  readDocuments(path, "text", {}, [&](std::string text) {
    documents.push_back(std::move(text));
  });
  return documents;
}

TEST(DocumentsTest, ReadsAllKindsOfFiles) {
  const TemporaryFolder folder;
  const std::string lines = "{\"text\": \"one\"}\n\n{\"text\": \"two\\n\"}";
  const std::vector<std::string> expected = {"one", "two\n"};
  EXPECT_EQ(documentsOf(folder.write("a.jsonl", lines)), expected);
  EXPECT_EQ(documentsOf(folder.write("a.jsonl.zst", compressed(lines))),
            expected);
  EXPECT_EQ(documentsOf(folder.write("a.txt", "x\ny")),
            std::vector<std::string>{"x\ny"});
  // Two frames, one after the other, are one stream.
  EXPECT_EQ(documentsOf(
                folder.write("a.txt.zst", compressed("ab") + compressed("cd"))),
            std::vector<std::string>{"abcd"});
  EXPECT_TRUE(documentsOf(folder.write("b.txt", "")).empty());
}

TEST(DocumentsTest, BadFilesAreNamed) {
  const TemporaryFolder folder;
  std::string longText;
  for (int i = 0; i < 9999; ++i)
    longText += std::to_string(i * 7919);
  const std::string whole = compressed(longText);
  const std::pair<std::string, std::string> cases[] = {
      {folder.write("a.csv", "x"), "a.csv: expected a name that ends in .txt"},
      {folder.path() / "absent.txt", "absent.txt: cannot open: No such file"},
      {folder.write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": }"),
       "bad.jsonl:2"},
      {folder.write("field.jsonl", "{\"txt\": \"a\"}"),
       "field.jsonl:1: field 'text'"},
      {folder.write("bad.txt.zst", "not zstd at all"),
       "bad.txt.zst: expected a zstd stream"},
      {folder.write("cut.txt.zst", whole.substr(0, whole.size() / 2)),
       "cut.txt.zst: the zstd stream ends in the middle of a frame"},
      {folder.write("packed.jsonl", "\x1f\x8b\x08"),
       "packed.jsonl: expected text, found a compressed file"},
      {folder.write("packed.txt", compressed("a")),
       "packed.txt: expected text, found a compressed file"},
      {folder.write("twice.txt.zst", compressed(compressed("a"))),
       "twice.txt.zst: expected text, found a compressed file"},
      {folder.write("latin.txt", "one\ncaf\xe9\n"),
       "latin.txt: line 2: byte 7 (0xE9) is not UTF-8"},
      {folder.write("latin.txt.zst", compressed("one\ncaf\xe9\n")),
       "latin.txt.zst: line 2: byte 7 (0xE9) is not UTF-8"},
      {folder.write("latin.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\xe9\"}"),
       "latin.jsonl: line 2: byte 24 (0xE9) is not UTF-8"},
      {folder.write("mark.jsonl", "\xef\xbb\xbf{\"text\": \"a\"}\n"),
       "mark.jsonl: starts with a byte order mark"},
      {folder.write("wide.txt", std::string("a\0b\0", 4)),
       "wide.txt: is UTF-16 or UTF-32"},
      {folder.write("cut.txt", "gr\xc3"),
       "cut.txt: line 1: ends within a character at byte 2"},
  };
  for (const auto &[path, expected] : cases) {
    const std::string message = errorOf([&] { documentsOf(path); });
    EXPECT_NE(message.find(expected), std::string::npos)
        << "found: " << message << "\nexpected: " << expected;
  }
}

TEST(DocumentsTest, RecordsAreChosenByTheirFields) {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("a.jsonl", "{\"text\": \"a\", \"from\": \"x\"}\n"
                              "{\"text\": \"b\", \"from\": \"y\"}\n"
                              "{\"text\": \"c\", \"from\": \"x\"}\n");
  std::string chosen;
  const auto add = [&](std::string text) { chosen += text; };
  readDocuments(path, "text", {{"from", "x"}}, add);
  EXPECT_EQ(chosen, "ac");
  EXPECT_NE(errorOf([&] {
              readDocuments(path, "text", {{"form", "x"}}, add);
            }).find("a.jsonl:1: field 'form'"),
            std::string::npos);
}

TEST(DocumentsTest, AFileIsOneText) {
  const TemporaryFolder folder;
  const std::string lines = "{\"text\": \"\"}\n{\"text\": \"a\"}\n{\"text\": "
                            "\"b\\n\"}\n{\"text\": \"\"}";
  EXPECT_EQ(readText(folder.write("a.jsonl", lines)), "\n\na\n\nb\n\n\n");
  EXPECT_EQ(readText(folder.write("a.jsonl.zst", compressed(lines))),
            "\n\na\n\nb\n\n\n");
  EXPECT_EQ(readText(folder.write("a.txt.zst", compressed("a\n"))), "a\n");
  EXPECT_EQ(readText(folder.write("any.name", "a\n")), "a\n");
  EXPECT_EQ(readText(folder.write("empty", "")), "");
  EXPECT_EQ(folder.errorOf([&] { readText(folder.write("a.gz", "\x1f\x8b")); }),
            "DIR/a.gz: expected text, found a compressed file");
}

} // namespace
