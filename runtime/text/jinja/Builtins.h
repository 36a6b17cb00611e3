// SPDX-License-Identifier: Apache-2.0
//
// What templates call: operators, members, filters, tests and methods, each
// with the meaning of Python or jinja2.filters. All throw Error.
#pragma once

#include "runtime/text/jinja/Syntax.h"

#include <optional>

namespace fairy2::jinja {

/// left op right, of the operators that take two evaluated values.
Value apply(Operator op, const Value &left, const Value &right, Budget &budget);

/// object[key]: a key of a dict, an element, a character, else a member.
/// Undefined where there is none.
Value subscript(const Value &object, const Value &key, Budget &budget);
/// object.name: a method or member, else a key. Undefined where there is none.
Value attribute(const Value &object, const std::string &name, Budget &budget);
/// object[begin:end:step]; none for absent parts.
Value slice(const Value &object, const Value &begin, const Value &end,
            const Value &step, Budget &budget);

/// input | name(arguments)
Value callFilter(const std::string &name, const Value &input,
                 const Arguments &arguments, Budget &budget);
/// The filters int, float, abs and round.
Value toInteger(const Value &input, const Arguments &arguments, Budget &budget);
Value toFloat(const Value &input, const Arguments &arguments, Budget &budget);
Value absolute(const Value &input, const Arguments &arguments, Budget &budget);
Value roundNumber(const Value &input, const Arguments &arguments,
                  Budget &budget);
bool isFilter(const std::string &name);
/// input is name(arguments)
bool callTest(const std::string &name, const Value &input,
              const Arguments &arguments, Budget &budget);
/// The method of a str, list or dict as a function, or nothing.
std::optional<Value> findMethod(const Value &receiver, const std::string &name,
                                Budget &budget);

/// json.dumps as transformers calls it: separators and sort_keys, indent by
/// default none, characters beyond ASCII as they are.
struct JsonStyle {
  std::optional<int64_t> indent;
  Text itemSeparator = U", ", keySeparator = U": ";
  bool sortKeys = false, asciiOnly = false;
};
Text toJson(const Value &value, const JsonStyle &style, Budget &budget);
/// The filter of this name.
Value tojson(const Value &input, const Arguments &arguments, Budget &budget);

/// str.replace; `count` of -1 replaces all.
Text replaceAll(TextView text, TextView old, TextView with, int64_t count,
                Budget &budget);

/// What a search in `text` costs at worst.
inline int64_t searchCost(TextView text, TextView what) {
  return 1 + int64_t(text.size()) +
         int64_t(text.size()) * int64_t(what.size()) / 16;
}
/// Throws Error for the missing value.
void requireDefined(const Value &object);
/// A text argument; throws Error.
const Text &requireText(const Value &value, const char *function);
/// An integer argument; throws Error.
int64_t requireInteger(const Value &value, const char *function);

} // namespace fairy2::jinja
