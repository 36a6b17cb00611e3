// SPDX-License-Identifier: Apache-2.0
//
// JSON from files that strangers wrote: size, depth and number of values are
// capped, duplicate keys and anything but plain UTF-8 are refused, and every
// error names the file and the field. Parsing never recurses.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

struct JsonLimits {
  int64_t bytes = int64_t(16) << 20;
  int depth = 64;
  int64_t values = 1'000'000;             ///< bounds the memory parsing takes
  int64_t stringBytes = int64_t(1) << 20; ///< of one key or string
};

/// Parses a whole JSON text; `file` names it in errors. Throws Error.
nlohmann::json parseJson(std::string_view text, const std::string &file,
                         const JsonLimits &limits = {});

/// Reads and parses a JSON file. Throws Error.
nlohmann::json readJson(const std::filesystem::path &path,
                        const JsonLimits &limits = {});

/// A few words for a value in an error: `3.5`, `"abc"`, `a list of 3 values`.
std::string describe(const nlohmann::json &value);

/// How errors name a value's place in its file, and the value.
enum class JsonStyle {
  Paths,  ///< FILE: layers[0].shape: expected .., found [1]
  Fields, ///< FILE: field 'rope.factor': expected .., found a list of 1 values
};

/// A value of a JSON file together with its place, so that whoever reads it can
/// say which field of which file is wrong without spelling the place by hand.
/// Where not said otherwise, null is a value of another type than expected.
class JsonField {
public:
  /// `value` must outlive the field. `path` is its place, empty for the top.
  JsonField(const nlohmann::json &value, std::string file,
            std::string path = "", JsonStyle style = JsonStyle::Paths);

  /// The member `key`, null when absent. Throws Error when not an object.
  JsonField operator[](std::string_view key) const;
  /// The elements of an array. Throws Error when not an array.
  std::vector<JsonField> elements() const;

  /// The members of an object. Throws Error when not an object.
  std::vector<std::pair<std::string, JsonField>> members() const;

  /// "FILE: PATH".
  std::string name() const;
  const std::string &file() const { return fileName; }
  const nlohmann::json &value() const { return *held; }
  bool isAbsent() const;
  bool isNull() const { return held->is_null(); }
  bool isString() const { return held->is_string(); }
  bool isObject() const { return held->is_object(); }
  bool isArray() const { return held->is_array(); }
  bool isZero() const { return held->is_number() && held->get<double>() == 0; }

  /// The value as the named type. Throws Error when it is another.
  std::string string() const;
  bool boolean() const;
  /// Null or absent: `fallback`.
  bool boolean(bool fallback) const { return isNull() ? fallback : boolean(); }
  int64_t integer(int64_t least, int64_t most) const;
  /// A number greater than 0 that float32 can hold as a normal number.
  double positive() const;
  /// A string of exactly one code point.
  char32_t character() const;

  /// Throws Error unless an object.
  void requireObject() const;
  /// Throws Error unless an object whose keys are all among `known`.
  void requireKeys(std::initializer_list<std::string_view> known) const;

  /// Throws Error: "FILE: PATH: expected EXPECTED, found VALUE".
  [[noreturn]] void fail(const std::string &expected) const;
  /// Throws Error: "FILE: PATH: SENTENCE".
  [[noreturn]] void refuse(const std::string &sentence) const;

private:
  const nlohmann::json *held;
  std::string fileName, path;
  JsonStyle style;
};

/// The members of an object that a stranger wrote, by key, in the style Fields.
/// A null counts as absent.
class JsonObject {
public:
  /// `value` must outlive this. Throws when it is not an object. `field` is the
  /// object's own place in the file, empty for the top.
  JsonObject(const nlohmann::json &value, std::string file,
             std::string field = "");

  /// The value of `key`, or nothing when absent or null.
  const nlohmann::json *find(std::string_view key) const;
  /// Whether find() or another getter was asked for `key`, there or not.
  bool wasAsked(std::string_view key) const { return asked.contains(key); }
  const nlohmann::json &require(std::string_view key) const;

  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  int64_t integer(std::string_view key, int64_t low, int64_t high,
                  int64_t fallback) const;
  /// A number greater than 0 that float32 can hold as a normal number.
  double positive(std::string_view key) const;
  double positive(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string string(std::string_view key) const;
  std::string string(std::string_view key, std::string_view fallback) const;
  std::optional<JsonObject> object(std::string_view key) const;

  /// Throws Error: "FILE: field 'KEY': TEXT".
  [[noreturn]] void fail(std::string_view key, const std::string &text) const;
  /// Throws Error: "FILE: field 'KEY': expected EXPECTED, found VALUE".
  [[noreturn]] void failExpected(std::string_view key,
                                 const std::string &expected,
                                 const nlohmann::json &found) const;

  const nlohmann::json &value() const { return self.value(); }
  const std::string &file() const { return self.file(); }

private:
  explicit JsonObject(JsonField self);
  /// The field of a key that was asked for.
  JsonField member(std::string_view key) const;
  JsonField required(std::string_view key) const;

  JsonField self;
  mutable std::set<std::string, std::less<>> asked;
};

} // namespace fairy2
