// SPDX-License-Identifier: Apache-2.0
//
// Checked access to JSON and the wording of its errors.
#include "runtime/text/tokenizer/JsonField.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>

namespace fairy2::tokenizer {
namespace {

const nlohmann::json nullValue;

std::string describe(const nlohmann::json &value) {
  switch (value.type()) {
  case nlohmann::json::value_t::null:
    return "nothing";
  case nlohmann::json::value_t::object:
    return "an object";
  case nlohmann::json::value_t::array:
    return "an array of " + std::to_string(value.size());
  case nlohmann::json::value_t::string:
    return inQuotes(value.get_ref<const std::string &>());
  default:
    return value.dump();
  }
}

} // namespace

std::string inQuotes(std::string_view text) {
  constexpr size_t longest = 60;
  std::string out = "\"";
  size_t i = 0;
  for (; i < text.size() && i < longest; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f) {
      constexpr const char *digits = "0123456789abcdef";
      out += "\\x";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += char(c);
    }
  }
  // Do not cut a sequence in two.
  for (;
       i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
       ++i)
    out += text[i];
  return out + (i < text.size() ? "...\"" : "\"");
}

JsonField JsonField::operator[](std::string_view key) const {
  if (!isObject())
    fail("an object");
  const auto found = value->find(key);
  std::string path = where + (where.back() == ':' ? " " : ".");
  path += key;
  return {found == value->end() ? nullValue : *found, std::move(path), 0};
}

std::vector<JsonField> JsonField::elements() const {
  if (!isArray())
    fail("an array");
  std::vector<JsonField> fields;
  for (const nlohmann::json &element : *value)
    fields.push_back(
        {element, where + "[" + std::to_string(fields.size()) + "]", 0});
  return fields;
}

std::string JsonField::string() const {
  if (!isString())
    fail("a string");
  return value->get<std::string>();
}

bool JsonField::boolean() const {
  if (!value->is_boolean())
    fail("true or false");
  return value->get<bool>();
}

int64_t JsonField::integer(int64_t least, int64_t most) const {
  const auto inRange = [&](auto number) {
    return std::cmp_less_equal(least, number) &&
           std::cmp_less_equal(number, most);
  };
  if (value->is_number_unsigned()
          ? !inRange(value->get<uint64_t>())
          : !value->is_number_integer() || !inRange(value->get<int64_t>()))
    fail("an integer from " + std::to_string(least) + " to " +
         std::to_string(most));
  return value->get<int64_t>();
}

char32_t JsonField::character() const {
  const std::string text = string();
  if (text.empty() || codePointAt(text.data()).length != text.size())
    fail("one character");
  return codePointAt(text.data()).value;
}

void JsonField::requireKeys(
    std::initializer_list<std::string_view> known) const {
  if (!isObject())
    fail("an object");
  for (const auto &[key, unused] : value->items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      refuse("unknown field " + inQuotes(key));
}

void JsonField::fail(const std::string &expected) const {
  refuse("expected " + expected + ", found " + describe(*value));
}

void JsonField::refuse(const std::string &sentence) const {
  throw Error(where + (where.back() == ':' ? " " : ": ") + sentence);
}

} // namespace fairy2::tokenizer
