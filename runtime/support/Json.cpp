// SPDX-License-Identifier: Apache-2.0
//
// nlohmann's event parser (iterative, so depth costs no stack) feeding a small
// builder that enforces our limits while the values arrive.
#include "runtime/support/Json.h"

#include "runtime/support/Error.h"

#include <fstream>

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
    // The parser quotes its last token, which may be long or not even UTF-8.
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

void refuseOtherEncodings(std::string_view text, const std::string &file) {
  if (text.starts_with("\xEF\xBB\xBF"))
    throw Error(file + ": starts with a byte order mark, expected plain UTF-8");
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF") ||
      text.substr(0, 4).find('\0') != text.npos)
    throw Error(file + ": is UTF-16 or UTF-32, expected plain UTF-8");
  // The parser takes a zero byte for the end and ignores what follows.
  if (const size_t at = text.find('\0'); at != text.npos)
    throw Error(file + ": not valid JSON: byte " + std::to_string(at) +
                " is zero");
}

std::string rangeText(int64_t low, int64_t high) {
  return "an integer from " + std::to_string(low) + " to " +
         std::to_string(high);
}

} // namespace

json parseJson(std::string_view text, const std::string &file,
               const JsonLimits &limits) {
  if (int64_t(text.size()) > limits.bytes)
    throw Error(file + ": has " + std::to_string(text.size()) +
                " bytes, expected at most " + std::to_string(limits.bytes));
  if (text.empty())
    throw Error(file + ": is empty, expected JSON");
  refuseOtherEncodings(text, file);
  LimitedBuilder builder(file, limits);
  json::sax_parse(text, &builder);
  return builder.take();
}

std::string readTextFile(const std::filesystem::path &path, int64_t maxBytes) {
  std::error_code code;
  if (!std::filesystem::exists(path, code))
    throw Error(path.string() + ": no such file");
  if (!std::filesystem::is_regular_file(path, code))
    throw Error(path.string() + ": is not a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw Error(path.string() + ": cannot be opened for reading");
  const int64_t bytes = int64_t(std::filesystem::file_size(path, code));
  if (code || bytes > maxBytes)
    throw Error(path.string() + ": has " + std::to_string(bytes) +
                " bytes, expected at most " + std::to_string(maxBytes));
  std::string text(size_t(bytes), '\0');
  stream.read(text.data(), bytes);
  if (stream.gcount() != bytes)
    throw Error(path.string() + ": cannot be read");
  return text;
}

json readJson(const std::filesystem::path &path, const JsonLimits &limits) {
  return parseJson(readTextFile(path, limits.bytes), path.string(), limits);
}

std::string quoteName(std::string_view text) {
  constexpr size_t kLongest = 80;
  const bool cut = text.size() > kLongest;
  // dump() escapes controls, replaces broken UTF-8 and adds double quotes.
  std::string escaped =
      json(std::string(text.substr(0, kLongest)))
          .dump(-1, ' ', false, json::error_handler_t::replace);
  escaped = escaped.substr(1, escaped.size() - 2);
  return "'" + escaped + (cut ? "..'" : "'");
}

std::string describe(const json &value) {
  if (value.is_object())
    return "an object";
  if (value.is_array())
    return "a list of " + std::to_string(value.size()) + " values";
  if (value.is_string()) {
    std::string text = quoteName(value.get_ref<const std::string &>());
    text.front() = text.back() = '"';
    return text;
  }
  return value.dump();
}

JsonObject::JsonObject(const json &value, std::string file, std::string field)
    : members(&value), fileName(std::move(file)),
      prefix(field.empty() ? "" : field + ".") {
  if (!value.is_object())
    throw Error(fileName + ": " +
                (field.empty() ? "" : "field '" + field + "': ") +
                "expected an object, found " + describe(value));
}

void JsonObject::fail(std::string_view key, const std::string &text) const {
  throw Error(fileName + ": field " + quoteName(prefix + std::string(key)) +
              ": " + text);
}

void JsonObject::failExpected(std::string_view key, const std::string &expected,
                              const json &found) const {
  fail(key, "expected " + expected + ", found " + describe(found));
}

const json *JsonObject::find(std::string_view key) const {
  asked.emplace(key);
  const auto place = members->find(key);
  return place == members->end() || place->is_null() ? nullptr : &*place;
}

const json &JsonObject::require(std::string_view key) const {
  if (const json *value = find(key))
    return *value;
  fail(key, "is missing");
}

int64_t JsonObject::integer(std::string_view key, int64_t low,
                            int64_t high) const {
  const json &value = require(key);
  // Unsigned values beyond int64 would wrap in get<int64_t>().
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <=
                              uint64_t(std::numeric_limits<int64_t>::max())
                        : value.is_number_integer();
  if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high)
    failExpected(key, rangeText(low, high), value);
  return value.get<int64_t>();
}

int64_t JsonObject::integer(std::string_view key, int64_t low, int64_t high,
                            int64_t fallback) const {
  return find(key) ? integer(key, low, high) : fallback;
}

double JsonObject::positive(std::string_view key) const {
  const json &value = require(key);
  if (!value.is_number() || !(value.get<double>() > 0))
    failExpected(key, "a number greater than 0", value);
  if (value.get<double>() > std::numeric_limits<float>::max() ||
      value.get<double>() < std::numeric_limits<float>::min())
    failExpected(key, "a number in the range of float32", value);
  return value.get<double>();
}

double JsonObject::positive(std::string_view key, double fallback) const {
  return find(key) ? positive(key) : fallback;
}

bool JsonObject::boolean(std::string_view key, bool fallback) const {
  const json *value = find(key);
  if (!value)
    return fallback;
  if (!value->is_boolean())
    failExpected(key, "true or false", *value);
  return value->get<bool>();
}

std::string JsonObject::string(std::string_view key) const {
  const json &value = require(key);
  if (!value.is_string())
    failExpected(key, "a string", value);
  return value.get<std::string>();
}

std::string JsonObject::string(std::string_view key,
                               std::string_view fallback) const {
  return find(key) ? string(key) : std::string(fallback);
}

std::optional<JsonObject> JsonObject::object(std::string_view key) const {
  const json *value = find(key);
  if (!value)
    return std::nullopt;
  return JsonObject(*value, fileName, prefix + std::string(key));
}

} // namespace fairy2
