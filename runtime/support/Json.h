// SPDX-License-Identifier: Apache-2.0
//
// JSON from files that strangers wrote: size, depth and number of values are
// capped, duplicate keys and anything but plain UTF-8 are refused, and every
// error names the file and the field. Parsing never recurses.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>

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

/// Reads a text file of at most `maxBytes` bytes. Throws Error.
std::string readTextFile(const std::filesystem::path &path, int64_t maxBytes);

/// Reads and parses a JSON file. Throws Error.
nlohmann::json readJson(const std::filesystem::path &path,
                        const JsonLimits &limits = {});

/// `text` in single quotes and fit for a terminal: control characters and
/// broken UTF-8 are escaped, and what is long is cut.
std::string quoteName(std::string_view text);

/// A few words for a value in an error: `3.5`, `"abc"`, `a list of 3 values`.
std::string describe(const nlohmann::json &value);

/// A JSON object with typed getters. They throw Error naming the file and the
/// field, what was expected and what was found. A null counts as absent.
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

  const nlohmann::json &value() const { return *members; }
  const std::string &file() const { return fileName; }

private:
  const nlohmann::json *members;
  std::string fileName;
  std::string prefix; ///< "rope_scaling." inside that field, empty at the top
  mutable std::set<std::string, std::less<>> asked;
};

} // namespace fairy2
