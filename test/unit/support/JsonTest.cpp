// SPDX-License-Identifier: Apache-2.0
//
// Bad JSON as a table of texts and messages, the limits, and the getters.
#include "runtime/support/Json.h"

#include "runtime/support/Words.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

struct BadText {
  const char *name;
  std::string text;
  std::string error;
};
std::ostream &operator<<(std::ostream &stream, const BadText &bad) {
  return stream << bad.name;
}

class BadJsonTest : public testing::TestWithParam<BadText> {};

TEST_P(BadJsonTest, IsRefusedWithOneSentence) {
  const TemporaryFolder folder;
  EXPECT_EQ(folder.errorOf([&] { parseJson(GetParam().text, "config.json"); }),
            "config.json: " + GetParam().error);
}

const std::string kSyntax = "not valid JSON: at line 1, column ";

INSTANTIATE_TEST_SUITE_P(
    Table, BadJsonTest,
    testing::Values(
        BadText{"Empty", "", "is empty, expected JSON"},
        BadText{"Blank", " \n",
                "not valid JSON: at line 2, column 1: syntax error while "
                "parsing value - unexpected end of input; expected '[', '{', "
                "or a literal"},
        BadText{"Truncated", R"({"hidden_size": 64, "num)",
                kSyntax + "25: syntax error while parsing object key - "
                          "invalid string: missing closing quote"},
        BadText{"TruncatedObject", R"({"hidden_size": 64)",
                kSyntax + "19: syntax error while parsing object - unexpected "
                          "end of input; expected '}'"},
        BadText{"TwoValues", "{} {}",
                kSyntax + "4: syntax error while parsing value - unexpected "
                          "'{'; expected end of input"},
        BadText{"Nan", R"({"rope_theta": NaN})",
                kSyntax + "16: syntax error while parsing value - invalid "
                          "literal"},
        BadText{"Huge", R"({"rope_theta": 1e999})",
                "not valid JSON: number overflow parsing '1e999'"},
        BadText{"Deep", std::string(100'000, '['),
                "JSON nested deeper than 64 levels"},
        BadText{"DeepObjects",
                [] {
                  std::string text;
                  for (int i = 0; i < 100'000; ++i)
                    text += R"({"a":)";
                  return text;
                }(),
                "JSON nested deeper than 64 levels"},
        BadText{"DuplicateKey", R"({"a": 1, "b": {"a": 2}, "a": 3})",
                "key 'a' occurs twice in one object"},
        BadText{"DuplicateEscapedKey", R"({"a": 1, "\u0061": 3})",
                "key 'a' occurs twice in one object"},
        BadText{"ByteOrderMark", "\xEF\xBB\xBF{}",
                "starts with a byte order mark, expected plain UTF-8"},
        BadText{"Utf16", std::string("\xFF\xFE{\0}\0", 6),
                "is UTF-16 or UTF-32, expected plain UTF-8"},
        BadText{"Utf16WithoutMark", std::string("{\0}\0", 4),
                "is UTF-16 or UTF-32, expected plain UTF-8"},
        BadText{"ZeroByteAtEnd", std::string("{\"a\": 1}\0", 9),
                "line 1: byte 8 is zero, expected plain UTF-8"},
        BadText{"TextAfterZeroByte", std::string("{\"a\": 1}\0{}", 11),
                "line 1: byte 8 is zero, expected plain UTF-8"},
        BadText{"ZeroByteInString", std::string("{\"a\": \"x\0\"}", 11),
                "line 1: byte 8 is zero, expected plain UTF-8"},
        BadText{"InvalidUtf8", "{\"a\": \"\xC3(\"}",
                "line 1: byte 7 (0xC3) is not UTF-8"},
        BadText{"OverlongUtf8", "{\"a\": \"\xC0\x80\"}",
                "line 1: byte 7 (0xC0) is not UTF-8"},
        BadText{"LoneSurrogate", R"({"a": "\ud800"})",
                kSyntax + "14: syntax error while parsing value - invalid "
                          "string: surrogate U+D800..U+DBFF must be followed "
                          "by U+DC00..U+DFFF"}),
    [](const auto &info) { return info.param.name; });

TEST(JsonTest, LimitsBytesDepthValuesAndStrings) {
  const TemporaryFolder folder;
  const auto error = [&](const char *text, const JsonLimits &limits) {
    return folder.errorOf([&] { parseJson(text, "f", limits); });
  };
  EXPECT_EQ(error("[1, 2]", {.bytes = 6}), "no error");
  EXPECT_EQ(error("[1, 2]", {.bytes = 5}),
            "f: has 6 bytes, expected at most 5");
  EXPECT_EQ(error("[[1]]", {.depth = 2}), "no error");
  EXPECT_EQ(error("[[1]]", {.depth = 1}),
            "f: JSON nested deeper than 1 levels");
  EXPECT_EQ(error("[1, 2]", {.values = 3}), "no error");
  EXPECT_EQ(error("[1, 2]", {.values = 2}), "f: more than 2 JSON values");
  EXPECT_EQ(error(R"({"abc": "abc"})", {.stringBytes = 3}), "no error");
  for (const char *text : {R"({"abcd": 1})", R"(["abcd"])"})
    EXPECT_EQ(error(text, {.stringBytes = 3}),
              "f: the string 'abcd' has 4 bytes, expected at most 3");
}

/// The builder must agree with the library's own, values and nesting alike.
TEST(JsonTest, BuildsTheSameValue) {
  const char *text = R"({"a": [1, -2, 3.5, [], {}], "b": {"c": {"d": null},
    "e": true}, "f": "\u00e9\n", "g": 18446744073709551615, "h": [[1], [2]]})";
  EXPECT_EQ(parseJson(text, "f"), nlohmann::json::parse(text));
  EXPECT_EQ(parseJson("3", "f"), 3);
}

TEST(JsonTest, ReadsFilesAndNamesThem) {
  const TemporaryFolder folder;
  folder.write("good.json", R"({"a": 1})");
  EXPECT_EQ(readJson(folder / "good.json")["a"], 1);
  EXPECT_EQ(folder.errorOf([&] { readJson(folder / "none.json"); }),
            "DIR/none.json: no such file");
  EXPECT_EQ(folder.errorOf([&] { readJson(folder.path()); }),
            "DIR: expected a regular file, found a folder");
  folder.write("big.json", std::string(100, ' '));
  EXPECT_EQ(
      folder.errorOf([&] { readJson(folder / "big.json", {.bytes = 99}); }),
      "DIR/big.json: has 100 bytes, expected at most 99");
}

TEST(JsonTest, DescribesValues) {
  EXPECT_EQ(describe(nullptr), "null");
  EXPECT_EQ(describe(2.5), "2.5");
  EXPECT_EQ(describe("1e4"), "\"1e4\"");
  EXPECT_EQ(describe({1, 2}), "a list of 2 values");
  EXPECT_EQ(describe(nlohmann::json::object()), "an object");
}

class JsonObjectTest : public testing::Test {
protected:
  template <typename Get> std::string error(Get get) {
    return folder.errorOf([&] { get(object); });
  }
  const TemporaryFolder folder;
  const nlohmann::json value = nlohmann::json::parse(R"({
    "count": 7, "big": 9223372036854775808, "negative": -1, "half": 0.5,
    "whole": 4.0, "text": "x", "no": null, "list": [], "tiny": 1e-60,
    "vast": 1e60, "zero": 0, "yes": true, "inner": {"count": "7"}})");
  const JsonObject object{value, "f"};
};

TEST_F(JsonObjectTest, GivesTypedValues) {
  EXPECT_EQ(object.integer("count", 0, 7), 7);
  EXPECT_EQ(object.integer("none", 0, 7, 3), 3);
  EXPECT_EQ(object.integer("no", 0, 7, 3), 3);
  EXPECT_EQ(object.integer("negative", -1, 7), -1);
  EXPECT_EQ(object.positive("half"), 0.5);
  EXPECT_EQ(object.positive("count"), 7.0);
  EXPECT_EQ(object.positive("none", 2.0), 2.0);
  EXPECT_TRUE(object.boolean("yes", false));
  EXPECT_TRUE(object.boolean("none", true));
  EXPECT_EQ(object.string("text"), "x");
  EXPECT_EQ(object.string("none", "y"), "y");
  EXPECT_FALSE(object.object("none"));
  EXPECT_EQ(object.find("no"), nullptr);
}

TEST_F(JsonObjectTest, NamesTheFieldAndWhatWasFound) {
  using O = const JsonObject &;
  EXPECT_EQ(error([](O o) { o.require("none"); }),
            "f: field 'none': is missing");
  EXPECT_EQ(error([](O o) { o.integer("count", 8, 9); }),
            "f: field 'count': expected an integer from 8 to 9, found 7");
  EXPECT_EQ(error([](O o) { o.integer("big", 0, INT64_MAX); }),
            "f: field 'big': expected an integer from 0 to "
            "9223372036854775807, found 9223372036854775808");
  EXPECT_EQ(error([](O o) { o.integer("whole", 0, 9); }),
            "f: field 'whole': expected an integer from 0 to 9, found 4.0");
  EXPECT_EQ(error([](O o) { o.integer("yes", 0, 9); }),
            "f: field 'yes': expected an integer from 0 to 9, found true");
  for (const char *key : {"zero", "negative", "text", "list"})
    EXPECT_EQ(error([&](O o) { o.positive(key); }),
              "f: field '" + std::string(key) +
                  "': expected a number greater than 0, found " +
                  describe(value[key]));
  for (const char *key : {"tiny", "vast"})
    EXPECT_EQ(error([&](O o) { o.positive(key); }),
              "f: field '" + std::string(key) +
                  "': expected a number in the range of float32, found " +
                  describe(value[key]));
  EXPECT_EQ(error([](O o) { o.boolean("count", true); }),
            "f: field 'count': expected true or false, found 7");
  EXPECT_EQ(error([](O o) { o.string("count"); }),
            "f: field 'count': expected a string, found 7");
  EXPECT_EQ(error([](O o) { o.object("list"); }),
            "f: field 'list': expected an object, found a list of 0 values");
  EXPECT_EQ(error([](O o) { o.object("inner")->integer("count", 0, 9); }),
            "f: field 'inner.count': expected an integer from 0 to 9, found "
            "\"7\"");
}

TEST_F(JsonObjectTest, RefusesOtherValues) {
  const nlohmann::json list = {1};
  EXPECT_EQ(folder.errorOf([&] { JsonObject(list, "f"); }),
            "f: expected an object, found a list of 1 values");
}

} // namespace
