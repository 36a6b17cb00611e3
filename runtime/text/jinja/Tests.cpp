// SPDX-License-Identifier: Apache-2.0
//
// The tests behind `is`, those of jinja2.tests that make sense here.
#include "runtime/text/jinja/Builtins.h"

#include <algorithm>
#include <map>

namespace fairy2::jinja {
namespace {

using Test = bool (*)(const Value &value, const Arguments &arguments,
                      Budget &budget);

const Value &other(const Arguments &arguments) {
  arguments.require("test", 1, 1);
  return arguments.positional[0];
}

bool compare(Operator op, const Value &value, const Arguments &arguments,
             Budget &budget) {
  return apply(op, value, other(arguments), budget).truth();
}

template <Operator op>
bool compares(const Value &value, const Arguments &arguments, Budget &budget) {
  return compare(op, value, arguments, budget);
}

/// Whether dividing by 2 leaves `rest`.
bool leaves(int64_t rest, const Value &value, Budget &budget) {
  return equal(apply(Operator::Modulo, value, Value(int64_t(2)), budget),
               Value(rest), budget);
}

bool isSequenceOrMapping(const Value &value) {
  return value.isText() || value.isDict() || value.isUndefined() ||
         (value.isList() && value.sequence().kind != List::Kind::Generator &&
          value.sequence().kind != List::Kind::View);
}

bool isTest(const Value &value, const Arguments &arguments, Budget &budget);

const std::map<std::string_view, Test> &testTable() {
  using A = const Arguments &;
  static const std::map<std::string_view, Test> table = {
      {"defined", [](const Value &v, A, Budget &) { return !v.isUndefined(); }},
      {"undefined",
       [](const Value &v, A, Budget &) { return v.isUndefined(); }},
      {"none", [](const Value &v, A, Budget &) { return v.isNone(); }},
      {"string", [](const Value &v, A, Budget &) { return v.isText(); }},
      {"mapping", [](const Value &v, A, Budget &) { return v.isDict(); }},
      {"iterable",
       [](const Value &v, A, Budget &) {
         return v.isText() || v.isList() || v.isDict() || v.isUndefined();
       }},
      {"sequence",
       [](const Value &v, A, Budget &) { return isSequenceOrMapping(v); }},
      {"escaped", [](const Value &v, A, Budget &) { return v.isMarkup(); }},
      {"filter",
       [](const Value &v, A, Budget &) {
         return isFilter(utf8Of(requireText(v, "filter")));
       }},
      {"test", isTest},
      {"boolean", [](const Value &v, A, Budget &) { return v.isBool(); }},
      {"true",
       [](const Value &v, A, Budget &) { return v.isBool() && v.truth(); }},
      {"false",
       [](const Value &v, A, Budget &) { return v.isBool() && !v.truth(); }},
      {"integer", [](const Value &v, A, Budget &) { return v.is<int64_t>(); }},
      {"float", [](const Value &v, A, Budget &) { return v.is<double>(); }},
      {"number", [](const Value &v, A, Budget &) { return v.isNumber(); }},
      {"callable",
       [](const Value &v, A, Budget &) {
         return v.is<std::shared_ptr<const Callable>>() || v.isUndefined();
       }},
      {"odd", [](const Value &v, A, Budget &b) { return leaves(1, v, b); }},
      {"even", [](const Value &v, A, Budget &b) { return leaves(0, v, b); }},
      {"divisibleby",
       [](const Value &v, A arguments, Budget &budget) {
         return !apply(Operator::Modulo, v, other(arguments), budget).truth();
       }},
      {"lower",
       [](const Value &v, A, Budget &budget) {
         const Text text = stringOf(v, budget);
         return std::any_of(text.begin(), text.end(), isLowerCase) &&
                std::none_of(text.begin(), text.end(), isUpperCase);
       }},
      {"upper",
       [](const Value &v, A, Budget &budget) {
         const Text text = stringOf(v, budget);
         return std::any_of(text.begin(), text.end(), isUpperCase) &&
                std::none_of(text.begin(), text.end(), isLowerCase);
       }},
      {"sameas",
       [](const Value &v, A arguments, Budget &budget) {
         const Value &w = other(arguments);
         return std::string_view(v.typeName()) == w.typeName() &&
                equal(v, w, budget);
       }},
      {"in", compares<Operator::In>},
      {"eq", compares<Operator::Equal>},
      {"==", compares<Operator::Equal>},
      {"equalto", compares<Operator::Equal>},
      {"ne", compares<Operator::NotEqual>},
      {"!=", compares<Operator::NotEqual>},
      {"lt", compares<Operator::Less>},
      {"<", compares<Operator::Less>},
      {"lessthan", compares<Operator::Less>},
      {"le", compares<Operator::LessEqual>},
      {"<=", compares<Operator::LessEqual>},
      {"gt", compares<Operator::Greater>},
      {">", compares<Operator::Greater>},
      {"greaterthan", compares<Operator::Greater>},
      {"ge", compares<Operator::GreaterEqual>},
      {">=", compares<Operator::GreaterEqual>}};
  return table;
}

bool isTest(const Value &value, const Arguments &, Budget &) {
  return testTable().contains(utf8Of(requireText(value, "test")));
}

} // namespace

bool callTest(const std::string &name, const Value &input,
              const Arguments &arguments, Budget &budget) {
  budget.spend(1);
  const auto found = testTable().find(name);
  if (found == testTable().end())
    throw Error("unknown test '" + name.substr(0, 60) + "'");
  return found->second(input, arguments, budget);
}

} // namespace fairy2::jinja
