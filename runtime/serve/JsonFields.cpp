// SPDX-License-Identifier: Apache-2.0
//
// Typed access to a request's fields.
#include "runtime/serve/JsonFields.h"

#include "runtime/support/Json.h"

#include <sstream>

namespace fairy2::serve {

using nlohmann::json;

namespace {

std::string inWords(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

} // namespace

json parseBody(std::string_view body) {
  JsonLimits limits;
  limits.stringBytes = limits.bytes; // the body itself is bounded
  try {
    json parsed = parseJson(body, "body", limits);
    if (!parsed.is_object())
      failField("body", "an object", parsed);
    return parsed;
  } catch (const ApiError &error) {
    throw ApiError(400, error.what());
  } catch (const Error &error) {
    throw ApiError(400, error.what());
  }
}

void failField(const std::string &path, const std::string &expected,
               const json &found) {
  throw ApiError(400,
                 path + ": expected " + expected + ", found " + describe(found),
                 path);
}

JsonFields::JsonFields(const json &object, std::string path)
    : held(&object), path(std::move(path)) {
  if (!object.is_object())
    failField(this->path, "an object", object);
}

const json *JsonFields::find(std::string_view key) const {
  const auto found = held->find(key);
  return found == held->end() || found->is_null() ? nullptr : &*found;
}

std::string JsonFields::pathOf(std::string_view key) const {
  return (path.empty() ? "" : path + ".") + std::string(key);
}

void JsonFields::fail(std::string_view key, const std::string &expected) const {
  const json *found = find(key);
  failField(pathOf(key), expected, found ? *found : json());
}

std::optional<int64_t> JsonFields::integer(std::string_view key, int64_t least,
                                           int64_t most) const {
  const json *found = find(key);
  if (!found)
    return {};
  const std::string expected = "a whole number from " + std::to_string(least) +
                               " to " + std::to_string(most);
  if (!found->is_number_integer() ||
      (found->is_number_unsigned() &&
       found->get<uint64_t>() > uint64_t(INT64_MAX)))
    fail(key, expected);
  const int64_t value = found->get<int64_t>();
  if (value < least || value > most)
    fail(key, expected);
  return value;
}

std::optional<double> JsonFields::number(std::string_view key, double least,
                                         double most) const {
  const json *found = find(key);
  if (!found)
    return {};
  // Neither is true of NaN, which JSON cannot say anyway.
  if (found->is_number())
    if (const double value = found->get<double>();
        value >= least && value <= most)
      return value;
  fail(key, "a number from " + inWords(least) + " to " + inWords(most));
}

std::optional<bool> JsonFields::boolean(std::string_view key) const {
  const json *found = find(key);
  if (!found)
    return {};
  if (!found->is_boolean())
    fail(key, "true or false");
  return found->get<bool>();
}

std::optional<std::string> JsonFields::string(std::string_view key) const {
  const json *found = find(key);
  if (!found)
    return {};
  if (!found->is_string())
    fail(key, "a text");
  return found->get<std::string>();
}

std::optional<JsonFields> JsonFields::object(std::string_view key) const {
  const json *found = find(key);
  if (!found)
    return {};
  return JsonFields(*found, pathOf(key));
}

void JsonFields::refuse(std::string_view key, const std::string &why) const {
  const json *found = find(key);
  if (!found || (found->is_array() && found->empty()) ||
      (found->is_string() && found->get_ref<const std::string &>().empty()))
    return;
  throw ApiError(400, pathOf(key) + ": " + why, pathOf(key));
}

} // namespace fairy2::serve
