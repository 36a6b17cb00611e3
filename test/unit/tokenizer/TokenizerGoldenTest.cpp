// SPDX-License-Identifier: Apache-2.0
//
// Small tokenizers of every family, made by make_fixtures.py, against what
// `tokenizers` does with some texts; and what must hold for any text.
#include "runtime/support/Utf8.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>
#include <thread>

using namespace fairy2;
using namespace fairy2::test;
using nlohmann::json;

namespace {

json fixture(const std::string &name) {
  return json::parse(readFile(ownData() / (name + ".json")));
}

std::unique_ptr<Tokenizer> load(const json &file) {
  return Tokenizer::fromJson(file.dump(), "tokenizer.json");
}

std::string randomBytes(std::mt19937 &random, size_t most) {
  std::string text(random() % most, '\0');
  for (char &c : text)
    c = random() % 3 ? char(' ' + random() % 95) : char(random());
  return text;
}

class TokenizerGoldenTest : public testing::TestWithParam<const char *> {};

TEST_P(TokenizerGoldenTest, EncodesAndDecodesAsTokenizers) {
  const auto tokenizer = load(fixture(GetParam()));
  const json golden = fixture(std::string(GetParam()) + ".golden");
  ASSERT_GT(golden.size(), 40u);
  for (const json &vector : golden) {
    const auto text = vector["text"].get<std::string>();
    const auto ids = vector["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(text, true), ids) << text;
    EXPECT_EQ(tokenizer->decode(ids), vector["decoded"].get<std::string>());
  }
}

/// A text's tokens stand for its bytes, but for a space that a tokenizer puts
/// in front.
TEST_P(TokenizerGoldenTest, BytesOfTokensMakeTheText) {
  const auto tokenizer = load(fixture(GetParam()));
  size_t compared = 0;
  for (const json &vector : fixture(std::string(GetParam()) + ".golden")) {
    const auto text = vector["text"].get<std::string>();
    const auto ids = tokenizer->encode(text, false);
    if (tokenizer->decode(ids, false) != text) // not all can be restored
      continue;
    std::string joined;
    for (const int32_t id : ids)
      joined += tokenizer->bytesOf(id);
    if (joined != text)
      EXPECT_EQ(joined, " " + text);
    ++compared;
  }
  EXPECT_GE(compared, 20u);
  EXPECT_EQ(tokenizer->bytesOf(-1), "");
  EXPECT_EQ(tokenizer->bytesOf(int32_t(tokenizer->vocabSize())), "");
}

TEST_P(TokenizerGoldenTest, BothFormsOfMergesAreTheSame) {
  json file = fixture(GetParam());
  if (file["model"]["type"] != "BPE")
    GTEST_SKIP() << "no merges";
  const auto pairs = load(file);
  for (json &merge : file["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  const auto strings = load(file);
  for (const json &vector : fixture(std::string(GetParam()) + ".golden"))
    EXPECT_EQ(strings->encode(vector["text"].get<std::string>(), true),
              pairs->encode(vector["text"].get<std::string>(), true));
}

TEST_P(TokenizerGoldenTest, TypedTextHasNoControlTokens) {
  const json file = fixture(GetParam());
  const auto tokenizer = load(file);
  std::string all = "x";
  for (const json &token : file["added_tokens"])
    all += token["content"].get<std::string>() + " ";
  for (const json &token : file["added_tokens"]) {
    const auto content = token["content"].get<std::string>();
    const int32_t id = tokenizer->idOf(content);
    EXPECT_EQ(id, token["id"].get<int32_t>());
    EXPECT_EQ(tokenizer->isSpecial(id), token["special"].get<bool>());
    EXPECT_LT(id, tokenizer->vocabSize());
    if (!tokenizer->isSpecial(id) || content == "<unk>")
      continue;
    const auto parsed = tokenizer->encode(all, false, true);
    EXPECT_NE(std::count(parsed.begin(), parsed.end(), id), 0) << content;
    const auto typed = tokenizer->encode(all, false, false);
    EXPECT_EQ(std::count(typed.begin(), typed.end(), id), 0) << content;
  }
}

TEST_P(TokenizerGoldenTest, StreamingEqualsDecodingAndIsAlwaysValid) {
  const auto tokenizer = load(fixture(GetParam()));
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids(random() % 40);
    for (int32_t &id : ids)
      id = int32_t(random() % (size_t(tokenizer->vocabSize()) + 2)) - 1;
    const bool skipSpecial = random() % 2;
    StreamDecoder stream(*tokenizer, skipSpecial);
    std::string text;
    for (int32_t id : ids) {
      const std::string part = stream.next(id);
      EXPECT_TRUE(isValidUtf8(part));
      text += part;
    }
    text += stream.finish();
    EXPECT_TRUE(isValidUtf8(text));
    EXPECT_EQ(text, tokenizer->decode(ids, skipSpecial));
  }
}

TEST_P(TokenizerGoldenTest, BrokenUtf8IsReplacedFirst) {
  const auto tokenizer = load(fixture(GetParam()));
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const std::string bytes = randomBytes(random, 60);
    EXPECT_EQ(tokenizer->encode(bytes, true),
              tokenizer->encode(replaceInvalidUtf8(bytes), true));
  }
}

TEST_P(TokenizerGoldenTest, OneTokenizerServesManyThreads) {
  const auto tokenizer = load(fixture(GetParam()));
  const json golden = fixture(std::string(GetParam()) + ".golden");
  std::vector<std::vector<int32_t>> results(4);
  std::vector<std::thread> threads;
  for (auto &result : results)
    threads.emplace_back([&] {
      for (const json &vector : golden)
        for (int32_t id :
             tokenizer->encode(vector["text"].get<std::string>(), true))
          result.push_back(id);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const auto &result : results)
    EXPECT_EQ(result, results[0]);
}
INSTANTIATE_TEST_SUITE_P(Fixtures, TokenizerGoldenTest,
                         testing::Values("gpt2", "llama3", "qwen2", "smollm",
                                         "llama2", "unigram"),
                         [](const auto &info) {
                           return std::string(info.param);
                         });

/// A byte-level tokenizer loses nothing that is valid UTF-8.
TEST(TokenizerTest, ByteLevelRoundTrips) {
  const auto tokenizer = load(fixture("smollm"));
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const std::string text = replaceInvalidUtf8(randomBytes(random, 80));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false, false), false),
              text);
  }
}

/// Long words take the heap; short ones do not. Both must merge alike, which
/// shows where a long word is the repetition of one that merges by itself.
TEST(TokenizerTest, LongWordsMergeLikeShortOnes) {
  const auto tokenizer = load(fixture("gpt2"));
  const auto once = tokenizer->encode("the9", false);
  std::string text;
  std::vector<int32_t> expected;
  for (int i = 0; i < 40; ++i) {
    text += "the9";
    expected.insert(expected.end(), once.begin(), once.end());
  }
  EXPECT_EQ(tokenizer->encode(text, false), expected);

  // Of the merges (a a), (aa aa), .. the leftmost pairs come first.
  json file = fixture("smollm");
  file["pre_tokenizer"] = nullptr;
  file["model"]["vocab"] = {{"a", 0}, {"aa", 1}, {"aaaa", 2}};
  file["model"]["merges"] = {"a a", "aa aa"};
  file["added_tokens"] = json::array();
  const auto doubling = load(file);
  for (size_t length : {1, 2, 3, 7, 31, 32, 33, 34, 35, 1001}) {
    std::vector<int32_t> ids(length / 4, 2);
    if (length % 4 >= 2)
      ids.push_back(1);
    if (length % 2)
      ids.push_back(0);
    EXPECT_EQ(doubling->encode(std::string(length, 'a'), false), ids);
  }
}

/// What a user types must not become a control token by way of the model,
/// whose vocabulary and merges may spell one.
TEST(TokenizerTest, ModelDoesNotSpellControlTokensFromTypedText) {
  json file = fixture("smollm");
  file["model"]["vocab"] = {
      {"<", 0}, {"s", 1}, {">", 2}, {"s>", 3}, {"<s>", 4}};
  file["model"]["merges"] = {"s >", "< s>"};
  file["pre_tokenizer"] = nullptr;
  file["added_tokens"] = {{{"id", 4},
                           {"content", "<s>"},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", false},
                           {"special", true}}};
  for (bool ignoreMerges : {false, true}) {
    file["model"]["ignore_merges"] = ignoreMerges;
    const auto tokenizer = load(file);
    EXPECT_EQ(tokenizer->encode("<s>", false, true), std::vector<int32_t>{4});
    EXPECT_EQ(tokenizer->encode("<s>", false, false),
              (std::vector<int32_t>{0, 3}));
  }
  file["model"] = json::parse(R"({"type": "Unigram", "unk_id": 0, "vocab": [
      ["<unk>", 0], ["<", -1], ["s", -1], [">", -1], ["<s>", 0]]})");
  EXPECT_EQ(load(file)->encode("<s>", false, true), std::vector<int32_t>{4});
  EXPECT_EQ(load(file)->encode("<s>", false, false),
            (std::vector<int32_t>{1, 2, 3}));
}

/// A token listed twice: flags of both, as letters, and what `tokenizers` makes
/// of "a <x> b<x>b a<x>".
TEST(TokenizerTest, TokensListedTwiceAreAsInTokenizers) {
  struct Twice {
    std::string first, second;
    std::vector<int32_t> ids;
    std::string decoded;
  };
  const Twice cases[] = {
      {"s", "s", {0, 0, 2, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6}, "aa a bab a"},
      {"s", "", {0, 0, 2, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6}, "aa a bab a"},
      {"", "s", {0, 0, 2, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6}, "aa a bab a"},
      {"n",
       "",
       {0, 0, 2, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6},
       "aa a<x>a ba<x>ab aa<x>"},
      {"",
       "n",
       {0, 0, 2, 3, 5, 4, 2, 1, 3, 5, 4, 1, 2, 6},
       "aa <x> b<x>b a<x>"},
      {"l", "r", {0, 0, 2, 6, 0, 1, 6, 0, 1, 2, 0, 6}, "aa <x>ab<x>ab a<x>"},
      {"sn",
       "l",
       {0, 0, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6},
       "aaa<x>a ba<x>ab aa<x>"},
      {"w",
       "w",
       {0, 0, 2, 6, 0, 2, 1, 3, 5, 4, 1, 2, 0, 3, 5, 4},
       "aa <x>a b<x>b a<x>"},
      {"w", "", {0, 0, 2, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6}, "aa <x>a b<x>ab a<x>"},
      {"nl",
       "s",
       {0, 0, 2, 6, 0, 2, 1, 6, 0, 1, 2, 0, 6},
       "aa a<x>a ba<x>ab aa<x>"},
      {"s",
       "nr",
       {0, 0, 2, 3, 5, 4, 2, 1, 3, 5, 4, 1, 2, 6},
       "aa <x> b<x>b a<x>"},
  };
  const auto token = [](const std::string &flags) {
    const auto has = [&](char flag) { return flags.find(flag) != flags.npos; };
    return nlohmann::json{{"id", 6},
                          {"content", "<x>"},
                          {"single_word", has('w')},
                          {"lstrip", has('l')},
                          {"rstrip", has('r')},
                          {"normalized", has('n')},
                          {"special", has('s')}};
  };
  for (const Twice &twice : cases) {
    auto file = nlohmann::json::parse(R"({"decoder": {"type": "Fuse"},
      "normalizer": {"type": "Prepend", "prepend": "a"},
      "model": {"type": "BPE", "dropout": 0.0, "vocab": {"a": 0, "b": 1,
                " ": 2, "<": 3, ">": 4, "x": 5}, "merges": []}})");
    file["added_tokens"] = {token(twice.first), token(twice.second)};
    const auto tokenizer = Tokenizer::fromJson(file.dump(), "tokenizer.json");
    EXPECT_EQ(tokenizer->encode("a <x> b<x>b a<x>", false), twice.ids)
        << twice.first << ", " << twice.second;
    EXPECT_EQ(tokenizer->decode(twice.ids), twice.decoded)
        << twice.first << ", " << twice.second;
    EXPECT_EQ(tokenizer->vocabSize(), 7);
  }
}

/// Text appears with the token that completes it, not at the end.
TEST(StreamDecoderTest, TextComesAsSoonAsItIsCertain) {
  const auto tokenizer = load(fixture("llama2"));
  StreamDecoder stream(*tokenizer);
  EXPECT_EQ(stream.next(tokenizer->idOf("\u2581a")), "a");
  EXPECT_EQ(stream.next(tokenizer->idOf("\u2581a")), " a");
  EXPECT_EQ(stream.next(tokenizer->idOf("<0xC3>")), "");
  EXPECT_EQ(stream.next(tokenizer->idOf("<0xA9>")), "");
  EXPECT_EQ(stream.next(tokenizer->idOf("a")), "\u00e9a");
  EXPECT_EQ(stream.next(tokenizer->idOf("<0xC3>")), "");
  EXPECT_EQ(stream.finish(), "\ufffd");

  const auto bytes = load(fixture("gpt2"));
  const auto ids = bytes->encode("\U0001f642!", false);
  ASSERT_GT(ids.size(), 2u);
  StreamDecoder smile(*bytes);
  for (size_t i = 0; i + 2 < ids.size(); ++i)
    EXPECT_EQ(smile.next(ids[i]), "");
  EXPECT_EQ(smile.next(ids[ids.size() - 2]), "\U0001f642");
  EXPECT_EQ(smile.next(ids.back()), "!");
  EXPECT_EQ(smile.finish(), "");
}

/// Parts of a character are bytes, not replacement characters.
TEST(TokenizerBytesTest, PartsOfACharacterAreItsBytes) {
  for (const char *name : {"gpt2", "llama2"}) {
    const auto tokenizer = load(fixture(name));
    const std::string text = "\U0001F9FF";
    const auto ids = tokenizer->encode(text, false);
    ASSERT_GT(ids.size(), 1u);
    std::string joined;
    for (const int32_t id : ids)
      joined += tokenizer->bytesOf(id);
    EXPECT_TRUE(joined.ends_with(text)) << name;
    EXPECT_FALSE(isValidUtf8(tokenizer->bytesOf(ids.back()))) << name;
  }
}

} // namespace
