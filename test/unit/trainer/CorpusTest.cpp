// SPDX-License-Identifier: Apache-2.0
#include "trainer/data/Corpus.h"

#include "TestFiles.h"
#include "trainer/LoadTokenizer.h"
#include "trainer/data/Documents.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <set>

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
  readDocuments(path, "text", [&](std::string text) {
    documents.push_back(std::move(text));
  });
  return documents;
}

TEST(DocumentsTest, ReadsAllKindsOfFiles) {
  const TestFolder folder;
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
  const TestFolder folder;
  const std::string whole = compressed(tinyText(500, 1));
  const std::pair<std::string, std::string> cases[] = {
      {folder.write("a.csv", "x"), "a.csv: expected a name that ends in .txt"},
      {folder.path / "absent.txt", "absent.txt: cannot open: No such file"},
      {folder.write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": }"),
       "bad.jsonl:2"},
      {folder.write("field.jsonl", "{\"txt\": \"a\"}"),
       "field.jsonl:1: field 'text'"},
      {folder.write("bad.txt.zst", "not zstd at all"),
       "bad.txt.zst: expected a zstd stream"},
      {folder.write("cut.txt.zst", whole.substr(0, whole.size() / 2)),
       "cut.txt.zst: the zstd stream ends in the middle of a frame"},
  };
  for (const auto &[path, expected] : cases) {
    const std::string message = messageOf([&] { documentsOf(path); });
    EXPECT_NE(message.find(expected), std::string::npos)
        << "found: " << message << "\nexpected: " << expected;
  }
}

TEST(CorpusTest, SeparatesDocuments) {
  const TestFolder folder;
  writeTinyModel(folder / "model");
  const auto tokenizer = loadTokenizer(folder / "model");
  const std::string file =
      folder.write("a.jsonl", "{\"text\": \"A\"}\n{\"text\": \"B\"}\n");
  Recipe::Data data;
  const auto tokens = [&](const char *separator, SpecialTokens special) {
    data.separator = separator;
    const Corpus corpus = Corpus::read(file, data, *tokenizer, special, 256);
    return std::vector<int32_t>(corpus.all().begin(), corpus.all().end());
  };
  const SpecialTokens both{0, 10};
  const int32_t a = tokenizer->encode("A", false)[0],
                b = tokenizer->encode("B", false)[0];
  EXPECT_EQ(tokens("none", both), (std::vector<int32_t>{a, b}));
  EXPECT_EQ(tokens("bos", both), (std::vector<int32_t>{0, a, 0, b}));
  EXPECT_EQ(tokens("eos", both), (std::vector<int32_t>{a, 10, b, 10}));
  EXPECT_EQ(tokens("both", both), (std::vector<int32_t>{0, a, 10, 0, b, 10}));
  EXPECT_NE(messageOf([&] { tokens("eos", {0, {}}); }).find("eos_token_id"),
            std::string::npos);
  data.separator = "none";
  EXPECT_NE(messageOf([&] {
              Corpus::read(file, data, *tokenizer, both, 1);
            }).find("does not fit the model's vocabulary of 1"),
            std::string::npos);
}

TEST(WindowOrderTest, EveryWindowOncePerEpoch) {
  for (const int64_t tokens : {10, 19, 20, 25, 1003, 4321}) {
    constexpr int64_t length = 10;
    const WindowOrder order(tokens, length, 5);
    const int64_t windows = std::max<int64_t>(tokens / length - 1, 1);
    std::vector<int64_t> firstEpoch;
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      std::set<int64_t> starts;
      for (int64_t i = 0; i < windows; ++i)
        starts.insert(order.start(epoch * windows + i));
      EXPECT_EQ(int64_t(starts.size()), windows);
      EXPECT_GE(*starts.begin(), 0);
      EXPECT_LE(*starts.rbegin() + length, tokens);
      for (const int64_t start : starts)
        EXPECT_EQ((start - *starts.begin()) % length, 0);
    }
  }
}

TEST(MixtureTest, SharesAreExactToWithinOne) {
  std::vector<Corpus> corpora;
  for (int32_t i = 0; i < 3; ++i)
    corpora.emplace_back(std::vector<int32_t>(1000, i));
  const std::vector<double> weights = {25, 60, 15};
  Mixture mixture(corpora, weights, 10, 1);
  std::vector<int64_t> counts(3);
  for (int64_t k = 1; k <= 500; ++k) {
    ++counts[size_t(mixture.next()[0])];
    for (size_t i = 0; i < 3; ++i)
      EXPECT_LE(std::abs(double(counts[i]) - double(k) * weights[i] / 100), 1)
          << k;
  }
}

TEST(MixtureTest, SkippingIsTheSameAsTaking) {
  std::vector<int32_t> a(997), b(3001);
  for (size_t i = 0; i < b.size(); ++i)
    b[i] = int32_t(i);
  for (size_t i = 0; i < a.size(); ++i)
    a[i] = -int32_t(i);
  const auto make = [&] {
    return Mixture({Corpus(a), Corpus(b)}, {1, 2}, 16, 3);
  };
  Mixture taking = make(), skipping = make();
  for (int i = 0; i < 777; ++i)
    taking.next();
  skipping.skipTo(777);
  for (int i = 0; i < 20; ++i) {
    const auto x = taking.next(), y = skipping.next();
    EXPECT_TRUE(std::equal(x.begin(), x.end(), y.begin(), y.end()));
  }
}

TEST(MixtureTest, TooShortSourcesAreRefused) {
  EXPECT_EQ(
      messageOf([] { Mixture({Corpus(std::vector<int32_t>(9))}, {1}, 10, 1); }),
      "data.train[0]: expected at least 10 tokens, one sequence, found "
      "9");
}

} // namespace
