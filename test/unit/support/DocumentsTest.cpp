// SPDX-License-Identifier: Apache-2.0
//
// Every kind of file that holds documents, and what is wrong with the bad ones.
#include "runtime/support/Documents.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <utility>

using namespace fairy2;

namespace {

std::string compressed(const std::string &text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(
      ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string>
documentsOf(const std::string &path,
            const std::map<std::string, std::string> &where = {}) {
  std::vector<std::string> documents;
  std::string open;
  readDocuments(path, "text", where, [&](std::string_view piece, bool ends) {
    open += piece;
    if (ends)
      documents.push_back(std::exchange(open, ""));
    return true;
  });
  EXPECT_EQ(open, "");
  return documents;
}

std::string textOf(const std::string &path) {
  std::string text;
  int ended = 0;
  readText(path, "text", [&](std::string_view piece, bool ends) {
    text += piece;
    ended += ends;
    return true;
  });
  EXPECT_EQ(ended, text.empty() ? 0 : 1);
  return text;
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
  EXPECT_EQ(documentsOf(path, {{"from", "x"}}),
            (std::vector<std::string>{"a", "c"}));
  EXPECT_NE(errorOf([&] {
              documentsOf(path, {{"form", "x"}});
            }).find("a.jsonl:1: field 'form'"),
            std::string::npos);
}

TEST(DocumentsTest, AFileIsOneText) {
  const TemporaryFolder folder;
  const std::string lines = "{\"text\": \"\"}\n{\"text\": \"a\"}\n{\"text\": "
                            "\"b\\n\"}\n{\"text\": \"\"}";
  EXPECT_EQ(textOf(folder.write("a.jsonl", lines)), "\n\na\n\nb\n\n\n");
  EXPECT_EQ(textOf(folder.write("a.jsonl.zst", compressed(lines))),
            "\n\na\n\nb\n\n\n");
  EXPECT_EQ(textOf(folder.write("a.txt.zst", compressed("a\n"))), "a\n");
  EXPECT_EQ(textOf(folder.write("any.name", "a\n")), "a\n");
  EXPECT_EQ(textOf(folder.write("empty", "")), "");
  EXPECT_EQ(folder.errorOf([&] { textOf(folder.write("a.gz", "\x1f\x8b")); }),
            "DIR/a.gz: expected text, found a compressed file");
}

TEST(DocumentsTest, ReadingStopsWhenAsked) {
  const TemporaryFolder folder;
  const std::string bad = "{\"text\": \"a\"}\n{\"text\": \"b\"}\nno record";
  std::string seen;
  const auto untilB = [&](std::string_view piece, bool) {
    seen += piece;
    return piece != "b";
  };
  EXPECT_FALSE(readDocuments(folder.write("a.jsonl", bad), "text", {}, untilB));
  EXPECT_EQ(seen, "ab");
  seen.clear();
  EXPECT_FALSE(readText(folder / "a.jsonl", "text", untilB));
  EXPECT_EQ(seen, "a\n\nb");
}

/// A line is whole in memory, a text is not.
TEST(DocumentsTest, LongLinesAreRefusedAndLongTextsAreNot) {
  const TemporaryFolder folder;
  const std::string text((size_t(17) << 20) + 5, 'a');
  EXPECT_EQ(documentsOf(folder.write("a.txt", text)),
            std::vector<std::string>{text});
  const std::string record = "{\"text\": \"" + text + "\"}\n";
  for (const auto &[name, content] :
       {std::pair("a.jsonl", "\n" + record),
        std::pair("a.jsonl.zst", compressed("\n" + record))})
    EXPECT_EQ(folder.errorOf([&] { documentsOf(folder.write(name, content)); }),
              "DIR/" + std::string(name) +
                  ":2: expected lines of at most 16 MiB");
  const std::string fits(size_t(15) << 20, 'a');
  EXPECT_EQ(
      documentsOf(folder.write("b.jsonl", "{\"text\": \"" + fits + "\"}"))[0],
      fits);
}

/// What a frame refers back to must be held.
TEST(DocumentsTest, WideWindowsAreRefused) {
  const TemporaryFolder folder;
  ZSTD_CCtx *context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const std::string text(1000, 'a');
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer from{text.data(), text.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // Two calls: a frame whose size is known has a window of that size.
  ZSTD_compressStream2(context, &to, &from, ZSTD_e_flush);
  ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  EXPECT_EQ(
      folder.errorOf([&] { documentsOf(folder.write("a.txt.zst", out)); }),
      "DIR/a.txt.zst: needs a window of more than 32 MiB to decompress; "
      "compress it at a level of at most 20 and without --long");
}

} // namespace
