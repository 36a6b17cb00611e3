// SPDX-License-Identifier: Apache-2.0
//
// Which tokens a corpus holds, and which windows of it a run sees.
#include "trainer/data/Corpus.h"

#include "test/unit/trainer/TinyModels.h"
#include "trainer/data/LoadTokenizer.h"
#include "trainer/data/TokenShards.h"
#include "trainer/run/Memory.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <cstdlib>
#include <iostream>
#include <set>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

/// A corpus of these tokens, on the disk of the working directory.
Corpus corpusOf(const std::vector<int32_t> &tokens) {
  TokenFile file(".", 65536);
  file.append(tokens);
  file.finish();
  return Corpus(std::move(file));
}

/// 910 tokens, as transformers counts the texts of that file, in training and
/// in validation.
TEST(CorpusTest, SpecialTokensOfRealTextAreParsed) {
  const std::filesystem::path file =
      sharedData() / "reports/special_tokens.jsonl";
  const std::filesystem::path model = sharedData() / "stories260K-hf";
  if (!std::filesystem::exists(file))
    GTEST_SKIP() << "without " << file;
  const auto tokenizer = loadTokenizer(model).tokenizer;
  Recipe::Data data;
  data.separator = "none";
  const auto size = [&] {
    return Corpus::read({file.string(), 1, {}}, data,
                        {*tokenizer, "", {{1}, {2}}, 512}, ".")
        .size();
  };
  EXPECT_EQ(size(), 910);
  data.specialTokens = "text";
  EXPECT_EQ(size(), 1110);
}

/// The same tokens as `tokenizers` gives them, of a tokenizer whose ids are
/// bytes behind 8 others.
TEST(CorpusTest, TextThatSpellsSpecialTokens) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  const auto tokenizer = loadTokenizer(folder / "model").tokenizer;
  const DataSource source{folder.write("a.txt", "a<s>b"), 1, {}};
  Recipe::Data data;
  data.separator = "bos";
  const auto tokens = [&] {
    const Corpus corpus =
        Corpus::read(source, data, {*tokenizer, "", {{1}, {2}}, 264}, ".");
    return corpus.window(0, corpus.size());
  };
  const std::vector<int32_t> parsed = tokens();
  ASSERT_EQ(parsed.size(), 4u);
  EXPECT_EQ(parsed[0], 1);
  EXPECT_EQ(parsed[2], 1);
  data.specialTokens = "text";
  EXPECT_EQ(tokens().size(), 6u);
}

std::vector<int32_t> allOf(const Corpus &corpus) {
  return corpus.window(0, corpus.size());
}

/// Joined documents have the tokens of the text file that holds them.
TEST(CorpusTest, BlankLinesJoinDocumentsToOneText) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  const auto tokenizer = loadTokenizer(folder / "model").tokenizer;
  const std::string file =
      folder.write("a.jsonl", "{\"text\": \"Aa b\"}\n{\"text\": \"Bc\"}\n");
  Recipe::Data data;
  data.separator = "blank_line";
  EXPECT_EQ(
      allOf(Corpus::read({file, 1, {}}, data, {*tokenizer, "", {}, 264}, ".")),
      tokenizer->encode("Aa b\n\nBc\n\n", false));
}

/// What holds 12 MB of tokens, be it one text, records, or a file that unpacks
/// a thousandfold, is not held in memory: before it took 12.7 bytes of memory
/// for each of text.
TEST(CorpusTest, MemoryDoesNotGrowWithTheText) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  const auto tokenizer = loadTokenizer(folder / "model").tokenizer;
  const std::string line = tinyText(40, 1);
  std::vector<std::string> files;
  {
    constexpr size_t kBytes = 12 << 20;
    std::string text, records;
    while (text.size() < kBytes) {
      text += line;
      records += "{\"text\": \"" + line + "\"}\n";
    }
    std::string packed(ZSTD_compressBound(text.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(),
                                text.size(), 3));
    files = {folder.write("a.txt", text), folder.write("a.jsonl", records),
             folder.write("b.txt.zst", packed)};
    EXPECT_LT(std::filesystem::file_size(files[2]), kBytes / 1000);
  }
  Recipe::Data data;
  for (const std::string &file : files) {
    // In a process of its own, whose peak begins at what it holds now.
    EXPECT_EXIT(
        {
          const int64_t before = peakResidentBytes();
          const Corpus corpus =
              Corpus::read({file, 1, {}}, data,
                           {*tokenizer, "", {{1}, {2}}, 264}, folder.path());
          const int64_t taken = peakResidentBytes() - before;
          std::cerr << corpus.size() << " tokens, " << taken << " bytes\n";
          std::_Exit(corpus.size() > 12'000'000 && taken < (24 << 20) ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
  }
}

TEST(CorpusTest, SeparatesDocuments) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  const auto tokenizer = loadTokenizer(folder / "model").tokenizer;
  const std::string file =
      folder.write("a.jsonl", "{\"text\": \"A\"}\n{\"text\": \"B\"}\n");
  Recipe::Data data;
  const auto tokens = [&](const char *separator, SpecialTokens special) {
    data.separator = separator;
    return allOf(
        Corpus::read({file, 1, {}}, data, {*tokenizer, "", special, 256}, "."));
  };
  const SpecialTokens both{0, 10};
  const int32_t a = tokenizer->encode("A", false)[0],
                b = tokenizer->encode("B", false)[0];
  EXPECT_EQ(tokens("none", both), (std::vector<int32_t>{a, b}));
  EXPECT_EQ(tokens("bos", both), (std::vector<int32_t>{0, a, 0, b}));
  EXPECT_EQ(tokens("eos", both), (std::vector<int32_t>{a, 10, b, 10}));
  EXPECT_EQ(tokens("both", both), (std::vector<int32_t>{0, a, 10, 0, b, 10}));
  EXPECT_NE(errorOf([&] { tokens("eos", {0, {}}); }).find("eos_token_id"),
            std::string::npos);
  data.separator = "none";
  EXPECT_NE(errorOf([&] {
              Corpus::read({file, 1, {}}, data, {*tokenizer, "", both, 1}, ".");
            }).find("does not fit the model's vocabulary of 1"),
            std::string::npos);
  const std::string shard = folder.write("a.bin", "");
  EXPECT_EQ(errorOf([&] {
              Corpus::read({shard, 1, {{"from", "x"}}}, data,
                           {*tokenizer, "", both, 256}, ".");
            }),
            shard + ": key 'where' chooses records of .jsonl files, and this "
                    "one is tokenized already");
}

template <typename T> std::string bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()),
          values.size() * sizeof(T)};
}

std::vector<int32_t> tokensOf(const std::filesystem::path &shard,
                              std::optional<int32_t> before = {},
                              std::optional<int32_t> after = {}) {
  std::vector<int32_t> tokens;
  readTokenShard(shard, before, after, [&](std::span<const int32_t> more) {
    tokens.insert(tokens.end(), more.begin(), more.end());
  });
  return tokens;
}

std::string llmC(int32_t magic, int32_t count, const std::string &tokens) {
  std::vector<int32_t> header(256);
  header[0] = magic;
  header[1] = 1;
  header[2] = count;
  return bytesOf(header) + tokens;
}

std::string megatron(uint8_t type, const std::vector<int32_t> &sizes,
                     const std::vector<int64_t> &places) {
  return std::string("MMIDIDX\0\0", 9) + bytesOf<uint64_t>({1}) + char(type) +
         bytesOf<uint64_t>({sizes.size(), sizes.size() + 1}) + bytesOf(sizes) +
         bytesOf(places) + bytesOf(std::vector<int64_t>(sizes.size() + 1));
}

TEST(TokenShardsTest, ReadsLlmCAndMegatron) {
  const TemporaryFolder folder;
  const std::vector<int32_t> expected = {5, 65000, 7};
  EXPECT_EQ(tokensOf(folder.write(
                "a.bin", llmC(20240520, 3, bytesOf<uint16_t>({5, 65000, 7})))),
            expected);
  EXPECT_EQ(tokensOf(folder.write(
                "b.bin", llmC(20240801, 3, bytesOf<uint32_t>({5, 65000, 7})))),
            expected);
  folder.write("c.bin", bytesOf<uint16_t>({5, 65000, 7}));
  const std::string index = folder.write("c.idx", megatron(8, {1, 2}, {0, 2}));
  EXPECT_EQ(tokensOf(index), expected);
  EXPECT_EQ(tokensOf(index, 1, 2),
            (std::vector<int32_t>{1, 5, 2, 1, 65000, 7, 2}));
  folder.write("d.bin", bytesOf<int32_t>({5, 65000, 7}));
  EXPECT_EQ(tokensOf(folder.write("d.idx", megatron(4, {3}, {0}))), expected);
}

/// More than is read at once, of tokens and of documents.
TEST(TokenShardsTest, ReadsLongShards) {
  const TemporaryFolder folder;
  std::vector<uint16_t> stored(200'001);
  for (size_t i = 0; i < stored.size(); ++i)
    stored[i] = uint16_t(i * 7919);
  const std::vector<int32_t> expected(stored.begin(), stored.end());
  EXPECT_EQ(
      tokensOf(folder.write(
          "a.bin", llmC(20240520, int32_t(stored.size()), bytesOf(stored)))),
      expected);
  folder.write("b.bin", bytesOf(stored));
  std::vector<int64_t> places(stored.size());
  for (size_t i = 0; i < places.size(); ++i)
    places[i] = int64_t(2 * i);
  EXPECT_EQ(tokensOf(folder.write(
                "b.idx",
                megatron(8, std::vector<int32_t>(stored.size(), 1), places))),
            expected);
}

TEST(TokenShardsTest, BadShardsAreNamed) {
  const TemporaryFolder folder;
  folder.write("e.bin", bytesOf<uint16_t>({1, 2}));
  folder.write("f.bin", bytesOf<int32_t>({-1}));
  folder.write("g.bin", "");
  folder.write("e2.bin", "");
  const std::pair<std::string, std::string> cases[] = {
      {folder.write("a.bin", llmC(1, 0, "")), "a.bin: expected llm.c's magic"},
      {folder.write("b.bin", llmC(20240520, 4, bytesOf<uint16_t>({1}))),
       "b.bin: the file ends before its tokens"},
      {folder.write("c.bin", llmC(20240520, -4, "")),
       "c.bin: expected a number of tokens, found -4"},
      {folder.write("d.bin", "xy"), "d.bin: the file ends before its header"},
      {folder.write("e.idx", megatron(8, {3}, {0})),
       "e.bin: the file ends before its tokens"},
      {folder.write("f.idx", megatron(4, {1}, {0})),
       "f.bin: token -1 is not in the range of a token"},
      {folder.write("g.idx", megatron(6, {0}, {0})),
       "g.idx: expected tokens of type 4"},
      {folder.write("e2.idx", megatron(8, {1}, {-2})),
       "e2.idx: sequence 0 has a negative size or place"},
      {folder.write("h.idx", "MMIDIDX"), "h.idx: the file ends before"},
      {folder.write("i.idx", "not an index of Megatron"),
       "i.idx: expected Megatron's MMIDIDX at its start"},
  };
  for (const auto &[path, expected] : cases) {
    const std::string message = errorOf([&] { tokensOf(path); });
    EXPECT_NE(message.find(expected), std::string::npos)
        << "found: " << message << "\nexpected: " << expected;
  }
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
    corpora.push_back(corpusOf(std::vector<int32_t>(1000, i)));
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
    a[i] = 10000 + int32_t(i);
  const auto make = [&] {
    return Mixture({corpusOf(a), corpusOf(b)}, {1, 2}, 16, 3);
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
      errorOf([] { Mixture({corpusOf(std::vector<int32_t>(9))}, {1}, 10, 1); }),
      "data.train[0]: expected at least 10 tokens, one sequence, found "
      "9");
}

} // namespace
