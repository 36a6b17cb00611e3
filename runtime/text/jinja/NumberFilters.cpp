// SPDX-License-Identifier: Apache-2.0
//
// The filters of jinja2.filters that make numbers.
#include "runtime/text/jinja/Builtins.h"

#include <charconv>
#include <cmath>

namespace fairy2::jinja {

Value toInteger(const Value &input, const Arguments &arguments,
                Budget &budget) {
  arguments.require("int", 0, 2, {"default", "base"});
  const Value *fallback = arguments.find(0, "default");
  const Value *baseArgument = arguments.find(1, "base");
  const int64_t base = baseArgument ? requireInteger(*baseArgument, "int") : 10;
  const Value otherwise = fallback ? *fallback : Value(int64_t(0));
  requireDefined(input);
  if (input.isInteger())
    return input.integer();
  if (input.is<double>()) {
    const double value = std::trunc(input.number());
    return std::abs(value) < 9e18 ? Value(int64_t(value)) : otherwise;
  }
  if (!input.isText() || base < 2 || base > 36)
    return otherwise;
  budget.spend(int64_t(input.text().size()));
  std::string digits = utf8Of(strip(input.text(), nullptr));
  if (digits.starts_with('+'))
    digits.erase(0, 1);
  const char *end = digits.data() + digits.size();
  int64_t value = 0;
  const auto result = std::from_chars(digits.data(), end, value, int(base));
  if (result.ec == std::errc() && result.ptr == end)
    return value;
  double real = 0;
  const auto realResult = std::from_chars(digits.data(), end, real);
  if (base == 10 && realResult.ec == std::errc() && realResult.ptr == end &&
      std::abs(real) < 9e18)
    return int64_t(real);
  return otherwise;
}

Value toFloat(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("float", 0, 1, {"default"});
  const Value *fallback = arguments.find(0, "default");
  requireDefined(input);
  if (input.isNumber())
    return input.number();
  if (input.isText()) {
    budget.spend(int64_t(input.text().size()));
    const std::string digits = utf8Of(strip(input.text(), nullptr));
    const char *end = digits.data() + digits.size();
    double value = 0;
    const auto result = std::from_chars(digits.data(), end, value);
    if (result.ec == std::errc() && result.ptr == end)
      return value;
  }
  return fallback ? *fallback : Value(0.0);
}

Value absolute(const Value &input, const Arguments &arguments, Budget &) {
  arguments.require("abs", 0, 0);
  if (!input.isNumber())
    throw Error(std::string("abs: expected a number, found ") +
                input.typeName());
  if (!input.isInteger())
    return std::abs(input.number());
  if (input.integer() == INT64_MIN)
    throw Error("abs: expected an int of 64 bits, found a larger result");
  return input.integer() < 0 ? -input.integer() : input.integer();
}

Value roundNumber(const Value &input, const Arguments &arguments, Budget &) {
  arguments.require("round", 0, 2, {"precision", "method"});
  if (!input.isNumber())
    throw Error(std::string("round: expected a number, found ") +
                input.typeName());
  const Value *precision = arguments.find(0, "precision");
  const Value *method = arguments.find(1, "method");
  const std::string how =
      method ? utf8Of(requireText(*method, "round")) : "common";
  const int64_t digits = precision ? requireInteger(*precision, "round") : 0;
  if (how == "common" && input.isInteger() && digits >= 0)
    return input.integer();
  const double scale = std::pow(10.0, double(digits));
  const double scaled = input.number() * scale;
  if (how == "ceil")
    return std::ceil(scaled) / scale;
  if (how == "floor")
    return std::floor(scaled) / scale;
  const double rounded = std::nearbyint(scaled) / scale;
  if (how == "common" && input.isInteger() && std::abs(rounded) < 9e15)
    return int64_t(rounded);
  return rounded;
}

} // namespace fairy2::jinja
