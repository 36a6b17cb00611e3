// SPDX-License-Identifier: Apache-2.0
//
// Every field of the manifest, broken in every way that its type allows.
#include "runtime/Manifest.h"

#include "runtime/Artifact.h"
#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::test;
using nlohmann::json;

namespace {

/// A manifest as a finished file holds it.
json completeManifest() {
  static const std::string text = [] {
    const TemporaryFolder folder;
    const std::string path = writeFakeModel(folder.file("model.so"));
    return Artifact::open(path).manifest.text;
  }();
  return json::parse(text);
}

std::string errorOfText(const std::string &text) {
  return errorOf([&] { Manifest::parse(text, "m.so"); });
}

TEST(ManifestTest, FieldsArriveAsWritten) {
  json document = completeManifest();
  document["chat_template"] = "{{ x }}";
  document["special_tokens"] = {{"bos_token", "<s>"}, {"pad_token", ""}};
  document["model"]["eos_tokens"] = {2, 5};
  document["variants"][0]["products_from"] = 8;
  const Manifest manifest = Manifest::parse(document.dump(), "m.so");
  EXPECT_EQ(manifest.producer, "fake 1.0");
  EXPECT_EQ(manifest.machine, hostMachine());
  ASSERT_EQ(manifest.variants.size(), 2u);
  EXPECT_EQ(manifest.variants[0].name, "fancy");
  EXPECT_EQ(manifest.variants[0].features,
            std::vector<std::string>{"no-such-feature"});
  EXPECT_EQ(manifest.variants[0].productsFrom, 8);
  EXPECT_EQ(manifest.variants[1].symbol, "fake_forward_plain");
  EXPECT_EQ(manifest.variants[1].productsFrom, 0);
  EXPECT_EQ(manifest.architecture, "FakeForCausalLM");
  EXPECT_EQ(manifest.vocabSize, kFakeVocab);
  EXPECT_EQ(manifest.maxPositions, kFakePositions);
  EXPECT_EQ(manifest.bosToken, kFakeBos);
  EXPECT_EQ(manifest.eosTokens, (std::vector<int32_t>{2, 5}));
  EXPECT_EQ(manifest.cacheBytesPerPosition, 16);
  EXPECT_EQ(manifest.cacheLayers, 1);
  ASSERT_EQ(manifest.cachePlanes.size(), 1u);
  EXPECT_EQ(manifest.cachePlanes[0].count, 1);
  EXPECT_EQ(manifest.cachePlanes[0].bytes, 16);
  EXPECT_EQ(manifest.batch, kFakeBatch);
  EXPECT_EQ(manifest.workspaceBytes, 4096);
  ASSERT_TRUE(manifest.tokenizer);
  EXPECT_EQ(manifest.tokenizer->second, fakeTokenizer().size());
  EXPECT_EQ(manifest.chatTemplate, "{{ x }}");
  EXPECT_EQ(manifest.specialTokens,
            (std::map<std::string, std::string>{{"bos_token", "<s>"},
                                                {"pad_token", ""}}));
}

TEST(ManifestTest, OptionalFieldsMayBeAbsent) {
  json document = completeManifest();
  document["model"].erase("bos_token");
  document.erase("tokenizer");
  document.erase("chat_template");
  const Manifest manifest = Manifest::parse(document.dump(), "m.so");
  EXPECT_FALSE(manifest.bosToken);
  EXPECT_FALSE(manifest.tokenizer);
  EXPECT_FALSE(manifest.chatTemplate);
  EXPECT_TRUE(manifest.specialTokens.empty());
}

TEST(ManifestTest, OtherTextIsRefused) {
  for (const std::string &text :
       {std::string(), std::string("{"), std::string("\xff\xfe"),
        std::string(100000, '[')})
    EXPECT_EQ(errorOfText(text),
              "m.so: manifest: expected JSON, found other text");
  EXPECT_EQ(errorOfText("[1]"),
            "m.so: manifest: expected an object, found [1]");
}

struct BadField {
  const char *pointer; ///< JSON pointer of the field
  const char *value;   ///< JSON; "" removes the field
  const char *message;
};

class BadFieldTest : public testing::TestWithParam<BadField> {};

TEST_P(BadFieldTest, IsNamed) {
  const auto [pointer, value, message] = GetParam();
  json document = completeManifest();
  const json::json_pointer place(pointer);
  if (*value)
    document[place] = json::parse(value);
  else
    document[place.parent_pointer()].erase(place.back());
  EXPECT_EQ(errorOfText(document.dump()), std::string("m.so: ") + message);
}

constexpr BadField kBadFields[] = {
    {"/producer", "", "manifest.producer: expected a string, found nothing"},
    {"/producer", "5", "manifest.producer: expected a string, found 5"},
    {"/producer", "\"\"",
     "manifest.producer: expected a non-empty string, found \"\""},
    {"/machine", "\"sparc\"",
     "manifest.machine: expected \"x86-64\" or \"aarch64\", found \"sparc\""},
    {"/regions", "", "manifest.regions: expected an object, found nothing"},
    {"/regions/image", "3",
     "manifest.regions.image: expected an object, found 3"},
    {"/regions/weights/offset", "-1",
     "manifest.regions.weights.offset: expected an integer from 0 to "
     "281474976710656, found -1"},
    {"/regions/weights/bytes", "18446744073709551615",
     "manifest.regions.weights.bytes: expected an integer from 0 to "
     "281474976710656, found 18446744073709551615"},
    {"/regions/sections/xxh3", "\"12\"",
     "manifest.regions.sections.xxh3: expected 16 hexadecimal digits, found "
     "\"12\""},
    {"/regions/sections/xxh3", "\"123456789abcdefg\"",
     "manifest.regions.sections.xxh3: expected 16 hexadecimal digits, found "
     "\"123456789abcdefg\""},
    {"/variants", "{}", "manifest.variants: expected an array, found {}"},
    {"/variants", "[]",
     "manifest.variants: expected at least one entry, found []"},
    {"/variants/1/symbol", "\"\"",
     "manifest.variants[1].symbol: expected a non-empty string, found \"\""},
    {"/variants/1/symbol", "\"a\\u0000b\"",
     "manifest.variants[1].symbol: expected a non-empty string, found "
     "\"a\\u0000b\""},
    {"/variants/0/features", "[1]",
     "manifest.variants[0].features[0]: expected a string, found 1"},
    {"/variants/0/products_from", "1",
     "manifest.variants[0].products_from: expected an integer from 2 to "
     "2147483647, found 1"},
    {"/variants/0/products_from", "\"8\"",
     "manifest.variants[0].products_from: expected an integer from 2 to "
     "2147483647, found \"8\""},
    {"/variants/0/kernels", "",
     "manifest.variants[0].kernels: expected an array, found nothing"},
    {"/variants/0/kernels", "[1]",
     "manifest.variants[0].kernels[0]: expected a string, found 1"},
    {"/variants/0/steps", "[[0]]",
     "manifest.variants[0].steps[0]: expected a pair of a kernel and a layer, "
     "found [0]"},
    {"/variants/0/steps", "[[0, -1]]", // There is no kernel.
     "manifest.variants[0].steps[0][0]: expected an integer from 0 to -1, "
     "found 0"},
    {"/layers/0/bytes_per_token", "-1",
     "manifest.layers[0].bytes_per_token: expected an integer from 0 to "
     "281474976710656, found -1"},
    {"/layers/0/shape", "[2.5]",
     "manifest.layers[0].shape[0]: expected an integer from 0 to "
     "281474976710656, found 2.5"},
    {"/model/vocab_size", "0",
     "manifest.model.vocab_size: expected an integer from 1 to 2147483647, "
     "found 0"},
    {"/model/vocab_size", "32.5",
     "manifest.model.vocab_size: expected an integer from 1 to 2147483647, "
     "found 32.5"},
    {"/model/vocab_size", "\"32\"",
     "manifest.model.vocab_size: expected an integer from 1 to 2147483647, "
     "found \"32\""},
    {"/model/max_positions", "2147483648",
     "manifest.model.max_positions: expected an integer from 1 to 2147483647, "
     "found 2147483648"},
    {"/model/bos_token", "32",
     "manifest.model.bos_token: expected an integer from 0 to 31, found 32"},
    {"/model/eos_tokens", "[2, -1]",
     "manifest.model.eos_tokens[1]: expected an integer from 0 to 31, found "
     "-1"},
    {"/model/eos_tokens", "",
     "manifest.model.eos_tokens: expected an array, found nothing"},
    {"/model/head_dim", "null",
     "manifest.model.head_dim: expected an integer from 1 to 2147483647, found "
     "null"},
    {"/cache/bytes_per_position", "0",
     "manifest.cache.bytes_per_position: expected an integer from 1 to "
     "281474976710656, found 0"},
    {"/cache/layers", "0",
     "manifest.cache.layers: expected an integer from 1 to 16, found 0"},
    {"/cache/planes", "[[1]]",
     "manifest.cache.planes[0]: expected a pair of a count and a size, found "
     "[1]"},
    {"/cache/planes", "[[3, 6]]",
     "manifest.cache.planes[0][1]: expected an integer from 1 to 5, found 6"},
    {"/cache/planes", "[[1, 8], [1, 9]]",
     "manifest.cache.planes: expected arrays that make up bytes_per_position, "
     "found [[1,8],[1,9]]"},
    {"/batch", "0",
     "manifest.batch: expected an integer from 1 to 1048576, found 0"},
    {"/batch", "1e3",
     "manifest.batch: expected an integer from 1 to 1048576, found 1000.0"},
    {"/workspace_bytes", "-5",
     "manifest.workspace_bytes: expected an integer from 0 to 281474976710656, "
     "found -5"},
    {"/scheme/method", "",
     "manifest.scheme.method: expected a string, found nothing"},
    {"/layers/0", "\"x\"",
     "manifest.layers[0]: expected an object, found "
     "\"x\""},
    {"/layers/0/name", "",
     "manifest.layers[0].name: expected a string, found "
     "nothing"},
    {"/chat_template",
     "[\"a very long value that nobody would want to read "
     "in an error\"]",
     "manifest.chat_template: expected a string, found "
     "[\"a very long value that nobody would wa.."},
    {"/special_tokens", "[1]",
     "manifest.special_tokens: expected an object, found [1]"},
    {"/special_tokens", "{\"bos_token\": 1}",
     "manifest.special_tokens.bos_token: expected a string, found 1"},
};
INSTANTIATE_TEST_SUITE_P(Fields, BadFieldTest, testing::ValuesIn(kBadFields));

TEST(ManifestTest, SlicesStayInsideTheWeights) {
  json document = completeManifest();
  const int64_t size = document["regions"]["weights"]["bytes"];
  const std::string most = std::to_string(size);
  document["tokenizer"] = {{"offset", size}, {"bytes", 1}};
  EXPECT_EQ(errorOfText(document.dump()),
            "m.so: manifest.tokenizer.bytes: expected an integer from 0 to 0, "
            "found 1");
  document["tokenizer"] = {{"offset", size + 1}, {"bytes", 0}};
  EXPECT_EQ(errorOfText(document.dump()),
            "m.so: manifest.tokenizer.offset: expected an integer from 0 to " +
                most + ", found " + std::to_string(size + 1));
  document.erase("tokenizer");
  document["layers"][0]["bytes"] = size + 1;
  EXPECT_EQ(errorOfText(document.dump()),
            "m.so: manifest.layers[0].bytes: expected an integer from 0 to " +
                most + ", found " + std::to_string(size + 1));
}

} // namespace
