// SPDX-License-Identifier: Apache-2.0
//
// The fields of a request's JSON. A null counts as absent, and an error names
// the field, as its sentence and as the error's `param`.
#pragma once

#include "runtime/serve/ApiError.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fairy2::serve {

/// A request's body as JSON: one object, nested at most 64 deep, every key
/// once. Throws ApiError.
nlohmann::json parseBody(std::string_view body);

/// Throws ApiError: "PATH: expected EXPECTED, found VALUE".
[[noreturn]] void failField(const std::string &path,
                            const std::string &expected,
                            const nlohmann::json &found);

class JsonFields {
public:
  /// `object` must outlive this; `path` is its own place, empty for the top.
  /// Throws ApiError when it is no object.
  explicit JsonFields(const nlohmann::json &object, std::string path = "");

  /// nullptr when absent or null.
  const nlohmann::json *find(std::string_view key) const;
  std::string pathOf(std::string_view key) const;

  std::optional<int64_t> integer(std::string_view key, int64_t least,
                                 int64_t most) const;
  std::optional<double> number(std::string_view key, double least,
                               double most) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  std::optional<JsonFields> object(std::string_view key) const;

  /// Throws ApiError when `key` is there, unless it is an empty text or list.
  void refuse(std::string_view key, const std::string &why) const;
  [[noreturn]] void fail(std::string_view key,
                         const std::string &expected) const;

  const nlohmann::json &value() const { return *held; }

private:
  const nlohmann::json *held;
  std::string path;
};

} // namespace fairy2::serve
