// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a tokenizer.json is said in one sentence that names the
// file and the field; nothing is guessed.
#include "runtime/support/Error.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>

using namespace fairy2;
using nlohmann::json;

namespace {

/// The smallest file that is right.
json smallest() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 3, "content": "<s>", "single_word": false, "lstrip": false,
       "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": null,
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
              "continuing_subword_prefix": null, "end_of_word_suffix": null,
              "fuse_unk": false, "byte_fallback": false,
              "ignore_merges": false, "vocab": {"a": 0, "b": 1, "ab": 2},
              "merges": [["a", "b"]]}})");
}

std::string message(const std::string &text) {
  return errorOf([&] {
    const auto tokenizer = Tokenizer::fromJson(text, "tokenizer.json");
    tokenizer->decode(tokenizer->encode("ab c<s>\n<0x0A>", true));
  });
}

struct Case {
  const char *name;
  const char *path;  // JSON pointer of what is set
  const char *value; // to this JSON
  const char *expected;
};

std::ostream &operator<<(std::ostream &out, const Case &c) {
  return out << c.name;
}

class TokenizerErrorsTest : public testing::TestWithParam<Case> {};

TEST_P(TokenizerErrorsTest, SentenceIsExact) {
  json file = smallest();
  ASSERT_EQ(message(file.dump()), "no error");
  file[json::json_pointer(GetParam().path)] = json::parse(GetParam().value);
  EXPECT_EQ(message(file.dump()),
            std::string("tokenizer.json: ") + GetParam().expected);
}

const Case cases[] = {
    {"UnknownField", "/trie", "1", "unknown field \"trie\""},
    {"NoModel", "/model", "null", "model: expected an object, found null"},
    {"ModelType", "/model/type", "\"WordPiece\"",
     "model.type: expected \"BPE\" or \"Unigram\", found \"WordPiece\""},
    {"ModelField", "/model/cache", "1", "model: unknown field \"cache\""},
    {"Dropout", "/model/dropout", "0.1",
     "model.dropout: expected nothing or 0, since dropout makes tokens random"},
    {"Prefix", "/model/continuing_subword_prefix", "\"##\"",
     "model.continuing_subword_prefix: a BPE model with "
     "continuing_subword_prefix is not supported"},
    {"Suffix", "/model/end_of_word_suffix", "\"</w>\"",
     "model.end_of_word_suffix: a BPE model with end_of_word_suffix is not "
     "supported"},
    {"UnknownToken", "/model/unk_token", "\"[UNK]\"",
     "model.unk_token: expected a piece of the vocabulary, since the text has "
     "\" \", which is unknown"},
    {"DuplicateId", "/model/vocab", R"({"a": 0, "b": 1, "ab": 2, "c": 1})",
     "model.vocab: expected one piece for each id, found \"b\" and \"c\" with "
     "id 1"},
    {"NegativeId", "/model/vocab", R"({"a": -1, "b": 1, "ab": 2})",
     "model.vocab: expected ids from 0 to 4194303, found -1 for \"a\""},
    {"HugeId", "/model/vocab", R"({"a": 4194304, "b": 1, "ab": 2})",
     "model.vocab: expected ids from 0 to 4194303, found 4194304 for \"a\""},
    {"EnormousId", "/model/vocab", R"({"a": 18446744073709551615})",
     "model.vocab: expected integer ids, found another number at or after "
     "entry 1"},
    {"TextId", "/model/vocab", R"({"a": "0"})",
     "model.vocab: expected integer ids, found a string at or after entry 1"},
    {"ListVocabulary", "/model/vocab", R"([["a", 0.5]])",
     "model.vocab: expected an object of pieces and ids"},
    {"NoVocabulary", "/model/vocab", "null", "model: unknown field \"vocab\""},
    {"NoMerges", "/model/merges", "\"a b\"", "model: unknown field \"merges\""},
    {"UnknownPiece", "/model/merges", R"([["a", "b"], ["a", "x"]])",
     "model.merges: expected pieces of the vocabulary, found \"x\" in entry 1"},
    {"UnknownMerge", "/model/merges", R"(["b a"])",
     "model.merges: expected pieces of the vocabulary, found \"ba\" in entry "
     "0"},
    {"ThreePieces", "/model/merges", R"(["a b c"])",
     "model.merges: expected two pieces with one space between, found \"a b "
     "c\" "
     "at or after entry 0"},
    {"OnePiece", "/model/merges", R"([["a"]])",
     "model.merges: expected pairs of pieces, found an incomplete one at or "
     "after entry 0"},
    {"TripleMerge", "/model/merges", R"([["a", "b", "ab"]])",
     "model.merges: expected pairs of pieces, found more than two strings at "
     "or after entry 1"},
    {"NumberMerge", "/model/merges", R"([["a", 1]])",
     "model.merges: expected pairs of pieces, found a number at or after entry "
     "0"},
    {"EmptyToken", "/added_tokens/0/content", "\"\"",
     "added_tokens[0].content: expected a string that is not empty"},
    {"TokenId", "/added_tokens/0/id", "7",
     "added_tokens[0].id: expected 3 for \"<s>\", the next id after the "
     "vocabulary, found 7"},
    {"TokenIdOfPiece", "/added_tokens/0/content", "\"ab\"",
     "added_tokens[0].id: expected 2 for \"ab\", its id in model.vocab, found "
     "3"},
    {"NegativeTokenId", "/added_tokens/0/id", "-1",
     "added_tokens[0].id: expected an integer from 0 to 4194303, found -1"},
    {"TokenFlag", "/added_tokens/0/special", "1",
     "added_tokens[0].special: expected true or false, found 1"},
    {"TokenField", "/added_tokens/0/color", "1",
     "added_tokens[0]: unknown field \"color\""},
    {"TokensObject", "/added_tokens", "{}",
     "added_tokens: expected an array, found {}"},
    {"Normalizer", "/normalizer", R"({"type": "Precompiled"})",
     "normalizer.type: the normalizer \"Precompiled\" is not supported"},
    {"NormalizerType", "/normalizer", R"({"kind": "NFC"})",
     "normalizer.type: expected a string, found nothing"},
    {"NormalizerField", "/normalizer", R"({"type": "NFC", "x": 1})",
     "normalizer: unknown field \"x\""},
    {"NormalizerInSequence", "/normalizer",
     R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "X"}]})",
     "normalizer.normalizers[1].type: the normalizer \"X\" is not supported"},
    {"EmptyPattern", "/normalizer",
     R"({"type": "Replace", "pattern": {"String": ""}, "content": "x"})",
     "normalizer.pattern.String: expected a string that is not empty, found "
     "\"\""},
    {"TwoPatterns", "/normalizer",
     R"({"type": "Replace", "pattern": {"String": "a", "Regex": "b"},
         "content": "x"})",
     "normalizer.pattern: expected either \"String\" or \"Regex\""},
    {"Regex", "/pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed"})",
     "pre_tokenizer.pattern.Regex: expected a regular expression, found \"(\" "
     "(missing closing parenthesis)"},
    {"Behavior", "/pre_tokenizer",
     R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Merged"})",
     "pre_tokenizer.behavior: expected \"Removed\", \"Isolated\", "
     "\"MergedWithPrevious\", \"MergedWithNext\" or \"Contiguous\", found "
     "\"Merged\""},
    {"PreTokenizer", "/pre_tokenizer", R"({"type": "UnicodeScripts"})",
     "pre_tokenizer.type: the pre-tokenizer \"UnicodeScripts\" is not "
     "supported"},
    {"PrependScheme", "/pre_tokenizer",
     R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})",
     "pre_tokenizer.prepend_scheme: expected \"always\", \"first\" or "
     "\"never\", found \"last\""},
    {"Replacement", "/pre_tokenizer",
     R"({"type": "Metaspace", "replacement": "__"})",
     "pre_tokenizer.replacement: expected one character, found \"__\""},
    {"PostProcessor", "/post_processor", R"({"type": "Chat"})",
     "post_processor.type: the post-processor \"Chat\" is not supported"},
    {"TemplateId", "/post_processor",
     R"({"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4]}}})",
     "post_processor.special_tokens.<s>.ids[0]: expected an integer from 0 to "
     "3, found 4"},
    {"TemplateToken", "/post_processor",
     R"({"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}],
         "pair": [], "special_tokens": {}})",
     "post_processor.special_tokens.<s>: expected an object, found nothing"},
    {"TemplateText", "/post_processor",
     R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})",
     "post_processor.single: expected the text, \"A\", in the template"},
    {"TwoPostProcessors", "/post_processor",
     R"({"type": "Sequence", "processors": [
         {"type": "BertProcessing", "sep": ["<s>", 3], "cls": ["<s>", 3]},
         {"type": "BertProcessing", "sep": ["<s>", 3], "cls": ["<s>", 3]}]})",
     "post_processor.processors[1]: a second post-processor that adds tokens "
     "is not supported"},
    {"Decoder", "/decoder", R"({"type": "CTC"})",
     "decoder.type: the decoder \"CTC\" is not supported"},
    {"DecoderCount", "/decoder",
     R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})",
     "decoder.start: expected an integer from 0 to 2147483647, found -1"},
    {"UnigramScores", "/model",
     R"({"type": "Unigram", "unk_id": 0, "vocab": {"a": 0}})",
     "model.vocab: expected an array of pieces and scores"},
    {"UnigramUnknown", "/model",
     R"({"type": "Unigram", "unk_id": 1, "vocab": [["a", 0]]})",
     "model.unk_id: expected an integer from 0 to 0, found 1"},
    {"UnigramTwice", "/model",
     R"({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0], ["a", 1]]})",
     "model.vocab: expected each piece once, found \"a\" again"},
    {"UnigramPair", "/model",
     R"({"type": "Unigram", "unk_id": 0, "vocab": [["a"]]})",
     "model.vocab: expected [piece, score] pairs, found an incomplete one at "
     "or "
     "after entry 1"},
};
INSTANTIATE_TEST_SUITE_P(Cases, TokenizerErrorsTest, testing::ValuesIn(cases),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

TEST(TokenizerErrorsTest, TextThatIsNotJson) {
  const std::string invalid =
      "tokenizer.json: expected valid JSON in UTF-8, found an error at byte ";
  EXPECT_EQ(message(""), invalid + "1");
  EXPECT_EQ(message("{"), invalid + "2");
  EXPECT_EQ(message("[1, 2]"), "tokenizer.json: expected a JSON object");
  const std::string good = smallest().dump();
  EXPECT_EQ(message(good + "}"), invalid + std::to_string(good.size() + 1));
  EXPECT_EQ(message("{\"a\xff\": 1}").substr(0, invalid.size()), invalid);
  EXPECT_EQ(message("{\"a\": \"\\ud800\"}").substr(0, invalid.size()), invalid);
  EXPECT_EQ(message(std::string(100'000, '[')),
            "tokenizer.json: expected JSON of at most 64 levels, found more");
}

TEST(TokenizerErrorsTest, RepeatedKeys) {
  for (const char *key : {"model", "version"})
    EXPECT_EQ(
        message("{\"" + std::string(key) + "\": {}, \"" + key + "\": {}}"),
        "tokenizer.json: expected each key once, found \"" + std::string(key) +
            "\" again in one object");
  EXPECT_EQ(message(R"({"model": {"vocab": {"a": 0}, "vocab": {"b": 0}}})"),
            "tokenizer.json: expected each key once, found \"vocab\" again in "
            "one object");
  EXPECT_EQ(message(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})"),
            "tokenizer.json: model.vocab: expected each piece once, found "
            "\"a\" again");
}

TEST(TokenizerErrorsTest, Sizes) {
  EXPECT_EQ(message(std::string((size_t(256) << 20) + 1, ' ')),
            "tokenizer.json: expected at most 256 MiB, found 268435457 bytes");
  json file = smallest();
  file["added_tokens"][0]["content"] = std::string(1 << 20, 'x');
  EXPECT_EQ(message(file.dump()),
            "tokenizer.json: added_tokens[0].content: expected at most 4096 "
            "bytes, found 1048576");
}

/// Steps that each double the text must not turn a letter into a terabyte.
TEST(TokenizerErrorsTest, Growth) {
  const json doubling = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  const auto chain = [](const char *type, const char *list, const json &step,
                        int length) {
    json steps = json::array();
    for (int i = 0; i < length; ++i)
      steps.push_back(step);
    return json{{"type", type}, {list, steps}};
  };
  const std::string tooMuch =
      ": expected steps that make text at most 1024 times longer, found more";
  for (int length : {10, 11, 60}) {
    json file = smallest();
    file["normalizer"] = chain("Sequence", "normalizers", doubling, length);
    EXPECT_EQ(message(file.dump()),
              length == 10 ? "no error"
                           : "tokenizer.json: normalizer" + tooMuch);
    file = smallest();
    file["decoder"] = chain("Sequence", "decoders", doubling, length);
    EXPECT_EQ(message(file.dump()),
              length == 10 ? "no error" : "tokenizer.json: decoder" + tooMuch);
    file = smallest();
    file["pre_tokenizer"] =
        chain("Sequence", "pretokenizers",
              {{"type", "ByteLevel"}, {"add_prefix_space", false}}, length);
    EXPECT_EQ(message(file.dump()),
              length == 10 ? "no error"
                           : "tokenizer.json: pre_tokenizer" + tooMuch);
  }
}

/// A thousandfold normalizer is a file's right; the memory of the machine is
/// not.
TEST(TokenizerErrorsTest, GrownTextHasALimit) {
  json file = smallest();
  file["normalizer"] = {{"type", "Replace"},
                        {"pattern", {{"String", "a"}}},
                        {"content", std::string(1000, 'b')}};
  const auto tokenizer = Tokenizer::fromJson(file.dump(), "tokenizer.json");
  EXPECT_EQ(tokenizer->encode(std::string(100, 'a'), false).size(), 100'000u);
  try {
    tokenizer->encode(std::string(1'100'000, 'a'), false);
    ADD_FAILURE() << "no error";
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(),
                 "tokenizer: expected text of at most 1073741824 bytes after "
                 "its normalizer and pre-tokenizer, found more");
  }
}

/// A byte token is "<0x", two upper-case digits and ">": nothing else counts.
TEST(TokenizerErrorsTest, ByteTokensAreReadStrictly) {
  json file = smallest();
  file["model"]["byte_fallback"] = true;
  file["model"]["vocab"] = {{"<0xGG>", 0}, {"<0x-1>", 1}, {"<0x0a>", 2}};
  file["model"]["merges"] = json::array();
  file["decoder"] = {{"type", "ByteFallback"}};
  const auto tokenizer = Tokenizer::fromJson(file.dump(), "tokenizer.json");
  EXPECT_EQ(tokenizer->encode("\n", false), std::vector<int32_t>{});
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{0, 1, 2}), "<0xGG><0x-1>\n");
}

/// Gaps between ids are allowed; ids in them stand for nothing.
TEST(TokenizerErrorsTest, GapsBetweenIds) {
  json file = smallest();
  file["model"]["vocab"] = {{"a", 0}, {"b", 5}, {"ab", 9}};
  const auto tokenizer = Tokenizer::fromJson(file.dump(), "tokenizer.json");
  EXPECT_EQ(tokenizer->encode("abb", false), (std::vector<int32_t>{9, 5}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{-1, 9, 4, 5, 1000}), "ab b");
  EXPECT_EQ(tokenizer->vocabSize(), 10);
  EXPECT_EQ(tokenizer->idOf("c"), -1);
}

/// No damage to a file may do worse than an Error.
TEST(TokenizerErrorsTest, DamagedFilesAreErrorsOrTokenizers) {
  const std::string good = smallest().dump();
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = good;
    for (size_t i = random() % 4 + 1; i > 0; --i) {
      const size_t at = random() % damaged.size();
      switch (random() % 3) {
      case 0:
        damaged[at] = char(random());
        break;
      case 1:
        damaged.erase(at, random() % 8);
        break;
      default:
        damaged.insert(at, good, random() % good.size(), random() % 12);
      }
    }
    const std::string result = message(damaged);
    EXPECT_TRUE(result == "no error" || result.starts_with("tokenizer.json: "))
        << result;
  }
}

} // namespace
