// SPDX-License-Identifier: Apache-2.0
//
// nlohmann's event parser (iterative, so depth costs no stack) feeding a small
// builder that enforces our limits while the values arrive.
#include "runtime/support/Json.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/PlainText.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/VisibleText.h"
#include "runtime/support/Words.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace fairy2 {

using nlohmann::json;

namespace {

class LimitedBuilder final : public nlohmann::json_sax<json> {
public:
  LimitedBuilder(const std::string &file, const JsonLimits &limits)
      : file(file), limits(limits) {}

  json take() { return std::move(root); }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(int64_t value) override { return scalar(value); }
  bool number_unsigned(uint64_t value) override { return scalar(value); }
  bool number_float(double value, const std::string &) override {
    return scalar(value);
  }
  bool string(std::string &value) override {
    checkLength(value);
    return scalar(std::move(value));
  }
  bool binary(json::binary_t &) override { return false; }

  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string &name) override {
    checkLength(name);
    auto [place, isNew] = stack.back()->emplace(name, nullptr);
    if (!isNew)
      throw Error(file + ": key " + quoteName(name) +
                  " occurs twice in one object");
    member = &*place;
    return true;
  }

  bool parse_error(size_t, const std::string &,
                   const json::exception &error) override {
    // The parser quotes its last token, which may be long.
    std::string text = error.what();
    text = text.substr(0, text.find("; last read"));
    if (const size_t at = text.find("parse error at "); at != text.npos)
      text = "at " + text.substr(at + 15);
    else if (const size_t end = text.find("] "); end != text.npos)
      text = text.substr(end + 2);
    throw Error(file + ": not valid JSON: " + text.substr(0, 160));
  }

private:
  void checkLength(const std::string &text) const {
    if (int64_t(text.size()) > limits.stringBytes)
      throw Error(file + ": the string " + quoteName(text) + " has " +
                  std::to_string(text.size()) + " bytes, expected at most " +
                  std::to_string(limits.stringBytes));
  }
  json &add(json value) {
    if (++values > limits.values)
      throw Error(file + ": more than " + std::to_string(limits.values) +
                  " JSON values");
    if (stack.empty())
      return root = std::move(value);
    if (stack.back()->is_array())
      return stack.back()->emplace_back(std::move(value));
    return *member = std::move(value);
  }
  bool scalar(json value) {
    add(std::move(value));
    return true;
  }
  bool open(json value) {
    if (int(stack.size()) == limits.depth)
      throw Error(file + ": JSON nested deeper than " +
                  std::to_string(limits.depth) + " levels");
    stack.push_back(&add(std::move(value)));
    return true;
  }
  bool close() {
    stack.pop_back();
    return true;
  }

  const std::string &file;
  const JsonLimits &limits;
  json root;
  std::vector<json *> stack; ///< open containers, outermost first
  json *member = nullptr;    ///< where the current key's value goes
  int64_t values = 0;
};

/// What an absent member is.
const json kAbsent;

/// The JSON of a value, cut to what fits a sentence.
std::string startOf(const json &value) {
  constexpr size_t kLongest = 40;
  const std::string text =
      value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + ".." : text;
}

} // namespace

json parseJson(std::string_view text, const std::string &file,
               const JsonLimits &limits) {
  if (int64_t(text.size()) > limits.bytes)
    throw Error(file + ": has " + std::to_string(text.size()) +
                " bytes, expected at most " + std::to_string(limits.bytes));
  if (text.empty())
    throw Error(file + ": is empty, expected JSON");
  // The parser takes a zero byte for the end and ignores what follows.
  requirePlainText(text, file);
  LimitedBuilder builder(file, limits);
  json::sax_parse(text, &builder);
  return builder.take();
}

json readJson(const std::filesystem::path &path, const JsonLimits &limits) {
  return parseJson(readTextFile(path, limits.bytes), path.string(), limits);
}

std::string describe(const json &value) {
  if (value.is_object())
    return "an object";
  if (value.is_array())
    return "a list of " + std::to_string(value.size()) + " values";
  if (value.is_string())
    return quoteName(value.get_ref<const std::string &>(), '"');
  return value.dump();
}

JsonField::JsonField(const json &value, std::string file, std::string path,
                     JsonStyle style)
    : held(&value), fileName(std::move(file)), path(std::move(path)),
      style(style) {}

JsonField JsonField::operator[](std::string_view key) const {
  requireObject();
  const auto found = held->find(key);
  return {found == held->end() ? kAbsent : *found, fileName,
          (path.empty() ? "" : path + ".") + std::string(key), style};
}

std::vector<JsonField> JsonField::elements() const {
  if (!isArray())
    fail("an array");
  std::vector<JsonField> fields;
  fields.reserve(held->size());
  for (const json &element : *held)
    fields.push_back({element, fileName,
                      path + "[" + std::to_string(fields.size()) + "]", style});
  return fields;
}

std::vector<std::pair<std::string, JsonField>> JsonField::members() const {
  requireObject();
  std::vector<std::pair<std::string, JsonField>> fields;
  for (const auto &[key, unused] : held->items())
    fields.emplace_back(key, (*this)[key]);
  return fields;
}

bool JsonField::isAbsent() const { return held == &kAbsent; }

std::string JsonField::name() const {
  if (path.empty())
    return fileName;
  return fileName + ": " +
         (style == JsonStyle::Fields ? "field " + quoteName(path)
                                     : visibleText(path));
}

std::string JsonField::string() const {
  if (!isString())
    fail("a string");
  return held->get<std::string>();
}

bool JsonField::boolean() const {
  if (!held->is_boolean())
    fail("true or false");
  return held->get<bool>();
}

int64_t JsonField::integer(int64_t least, int64_t most) const {
  const auto inRange = [&](auto number) {
    return std::cmp_less_equal(least, number) &&
           std::cmp_less_equal(number, most);
  };
  if (held->is_number_unsigned()
          ? !inRange(held->get<uint64_t>())
          : !held->is_number_integer() || !inRange(held->get<int64_t>()))
    fail("an integer from " + std::to_string(least) + " to " +
         std::to_string(most));
  return held->get<int64_t>();
}

double JsonField::positive() const {
  if (!held->is_number() || !(held->get<double>() > 0))
    fail("a number greater than 0");
  const auto number = held->get<double>();
  if (number > std::numeric_limits<float>::max() ||
      number < std::numeric_limits<float>::min())
    fail("a number in the range of float32");
  return number;
}

char32_t JsonField::character() const {
  const std::string text = string();
  if (text.empty() || codePointAt(text.data()).length != text.size())
    fail("one character");
  return codePointAt(text.data()).value;
}

void JsonField::requireObject() const {
  if (!isObject())
    fail("an object");
}

void JsonField::requireKeys(
    std::initializer_list<std::string_view> known) const {
  requireObject();
  for (const auto &[key, unused] : held->items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      refuse("unknown field " + quoteName(key, '"'));
}

void JsonField::fail(const std::string &expected) const {
  const bool inWords = style == JsonStyle::Fields || isString();
  refuse("expected " + expected + ", found " +
         (isAbsent() ? "nothing"
          : inWords  ? describe(*held)
                     : startOf(*held)));
}

void JsonField::refuse(const std::string &sentence) const {
  throw Error(name() + ": " + sentence);
}

JsonObject::JsonObject(JsonField field) : self(std::move(field)) {
  self.requireObject();
}

JsonObject::JsonObject(const json &value, std::string file, std::string field)
    : JsonObject(JsonField(value, std::move(file), std::move(field),
                           JsonStyle::Fields)) {}

void JsonObject::fail(std::string_view key, const std::string &text) const {
  self[key].refuse(text);
}

void JsonObject::failExpected(std::string_view key, const std::string &expected,
                              const json &found) const {
  fail(key, "expected " + expected + ", found " + describe(found));
}

JsonField JsonObject::member(std::string_view key) const {
  asked.emplace(key);
  return self[key];
}

const json *JsonObject::find(std::string_view key) const {
  const JsonField field = member(key);
  return field.isNull() ? nullptr : &field.value();
}

JsonField JsonObject::required(std::string_view key) const {
  JsonField field = member(key);
  if (field.isNull())
    field.refuse("is missing");
  return field;
}

const json &JsonObject::require(std::string_view key) const {
  return required(key).value();
}

int64_t JsonObject::integer(std::string_view key, int64_t low,
                            int64_t high) const {
  return required(key).integer(low, high);
}

int64_t JsonObject::integer(std::string_view key, int64_t low, int64_t high,
                            int64_t fallback) const {
  return find(key) ? integer(key, low, high) : fallback;
}

double JsonObject::positive(std::string_view key) const {
  return required(key).positive();
}

double JsonObject::positive(std::string_view key, double fallback) const {
  return find(key) ? positive(key) : fallback;
}

bool JsonObject::boolean(std::string_view key, bool fallback) const {
  return member(key).boolean(fallback);
}

std::string JsonObject::string(std::string_view key) const {
  return required(key).string();
}

std::string JsonObject::string(std::string_view key,
                               std::string_view fallback) const {
  return find(key) ? string(key) : std::string(fallback);
}

std::optional<JsonObject> JsonObject::object(std::string_view key) const {
  JsonField field = member(key);
  if (field.isNull())
    return std::nullopt;
  return JsonObject(std::move(field));
}

} // namespace fairy2
