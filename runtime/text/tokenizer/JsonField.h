// SPDX-License-Identifier: Apache-2.0
//
// A value of a JSON file together with its path, so that whoever reads it can
// say which field of which file is wrong without spelling the path by hand.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace fairy2::tokenizer {

class JsonField {
public:
  /// The root of the file `origin`; `value` must outlive the field.
  JsonField(const nlohmann::json &value, std::string origin)
      : value(&value), where(std::move(origin) + ":") {}

  /// The member `key`, null when absent. Throws Error when not an object.
  JsonField operator[](std::string_view key) const;
  /// The elements of an array. Throws Error when not an array.
  std::vector<JsonField> elements() const;

  /// "FILE: FIELD", the path of this value.
  const std::string &name() const { return where; }
  bool isNull() const { return value->is_null(); }
  bool isString() const { return value->is_string(); }
  bool isObject() const { return value->is_object(); }
  bool isArray() const { return value->is_array(); }

  /// The value as the named type. Throws Error when it is another.
  std::string string() const;
  bool boolean() const;
  bool boolean(bool absent) const { return isNull() ? absent : boolean(); }
  int64_t integer(int64_t least, int64_t most) const;
  /// A string of exactly one code point.
  char32_t character() const;

  /// Throws Error unless an object whose keys are all among `known`.
  void requireKeys(std::initializer_list<std::string_view> known) const;

  /// Throws "FILE: FIELD: expected EXPECTED, found VALUE".
  [[noreturn]] void fail(const std::string &expected) const;
  /// Throws "FILE: FIELD: SENTENCE".
  [[noreturn]] void refuse(const std::string &sentence) const;

private:
  JsonField(const nlohmann::json &value, std::string where, int)
      : value(&value), where(std::move(where)) {}

  const nlohmann::json *value;
  std::string where;
};

/// `text` in double quotes, control characters escaped, long text cut: fit for
/// an error message.
std::string inQuotes(std::string_view text);

} // namespace fairy2::tokenizer
