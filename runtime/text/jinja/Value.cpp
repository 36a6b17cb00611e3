// SPDX-License-Identifier: Apache-2.0
//
// Truth, equality, order and printing as Python defines them.
#include "runtime/text/jinja/Value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace fairy2::jinja {
namespace {

/// Bounds every recursion over a value, and its destruction.
constexpr int kMaxDepth = 100;

int checkedDepth(int deepestElement) {
  if (deepestElement >= kMaxDepth)
    throw Error("expected lists and dicts nested at most " +
                std::to_string(kMaxDepth) + " deep, found more");
  return deepestElement + 1;
}

bool sameKey(const Value &a, const Value &b) {
  if (a.isText() && b.isText())
    return equal(a.text(), b.text());
  if (a.isNumber() && b.isNumber())
    return a.number() == b.number();
  return a.isNone() && b.isNone();
}

void append(Text &out, std::string_view ascii) {
  out.insert(out.end(), ascii.begin(), ascii.end());
}

void appendTextRepr(Text &out, TextView text) {
  const auto has = [&](char32_t c) {
    return findText(text, TextView(&c, 1)) != TextView::npos;
  };
  const char32_t quote = has('\'') && !has('"') ? '"' : '\'';
  out.push_back(quote);
  for (const char32_t c : text) {
    const char32_t value = valueOf(c), mark = c & kUntrusted;
    std::string escaped;
    if (value == quote || value == '\\')
      escaped = {'\\', char(value)};
    else if (value == '\n')
      escaped = "\\n";
    else if (value == '\r')
      escaped = "\\r";
    else if (value == '\t')
      escaped = "\\t";
    else if (!isPrintable(value)) {
      char digits[12];
      std::snprintf(digits, sizeof(digits),
                    value < 0x100     ? "\\x%02x"
                    : value < 0x10000 ? "\\u%04x"
                                      : "\\U%08x",
                    unsigned(value));
      escaped = digits;
    } else {
      out.push_back(c);
    }
    for (const char digit : escaped)
      out.push_back(char32_t(digit) | mark);
  }
  out.push_back(quote);
}

void appendListRepr(Text &out, const List &list, Budget &budget) {
  const bool isTuple = list.kind == List::Kind::Tuple;
  append(out, isTuple ? "(" : "[");
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0)
      append(out, ", ");
    appendRepr(out, list.items[i], budget);
  }
  append(out, isTuple ? list.items.size() == 1 ? ",)" : ")" : "]");
}

void appendDictRepr(Text &out, const Dict &dict, Budget &budget) {
  append(out, "{");
  for (size_t i = 0; i < dict.members.size(); ++i) {
    if (i > 0)
      append(out, ", ");
    appendRepr(out, dict.members[i].first, budget);
    append(out, ": ");
    appendRepr(out, dict.members[i].second, budget);
  }
  append(out, "}");
}

[[noreturn]] void failOnUndefined(const Value &value) {
  throw Error(*value.as<Undefined>().what + " is undefined");
}

} // namespace

const Value *Dict::find(const Value &key) const {
  for (const auto &[name, value] : members)
    if (sameKey(name, key))
      return &value;
  return nullptr;
}

const Value *Dict::find(std::string_view key) const {
  return find(Value::trusted(key));
}

Value Value::undefined(std::string what) {
  Value value;
  value.data = Undefined{std::make_shared<const std::string>(std::move(what))};
  return value;
}

Value Value::list(std::vector<Value> items, List::Kind kind) {
  int deepest = 0;
  for (const Value &item : items)
    deepest = std::max(deepest, item.depth());
  return std::make_shared<const List>(
      List{kind, std::move(items), checkedDepth(deepest)});
}

Value Value::dict(std::vector<std::pair<Value, Value>> members) {
  int deepest = 0;
  for (const auto &[key, value] : members)
    deepest = std::max({deepest, key.depth(), value.depth()});
  return std::make_shared<const Dict>(
      Dict{std::move(members), checkedDepth(deepest)});
}

bool Value::truth() const {
  if (isUndefined() || isNone())
    return false;
  if (isNumber())
    return number() != 0;
  if (isText())
    return !text().empty();
  if (isList())
    return sequence().kind == List::Kind::Generator ||
           !sequence().items.empty();
  if (isDict())
    return !mapping().members.empty();
  return true;
}

int Value::depth() const {
  return isList() ? sequence().depth : isDict() ? mapping().depth : 0;
}

const char *Value::typeName() const {
  if (isUndefined())
    return "undefined";
  if (isNone())
    return "none";
  if (isBool())
    return "bool";
  if (isInteger())
    return "int";
  if (is<double>())
    return "float";
  if (isText())
    return "str";
  if (isDict())
    return "dict";
  if (is<Namespace *>())
    return "namespace";
  if (!isList())
    return is<std::shared_ptr<Loop>>() ? "loop" : "function";
  switch (sequence().kind) {
  case List::Kind::Tuple:
    return "tuple";
  case List::Kind::Generator:
    return "generator";
  case List::Kind::View:
    return "view of a dict";
  case List::Kind::List:
    break;
  }
  return "list";
}

const Value *Arguments::find(size_t place, std::string_view name) const {
  if (place < positional.size())
    return &positional[place];
  for (const auto &[key, value] : named)
    if (key == name)
      return &value;
  return nullptr;
}

void Arguments::require(const char *function, size_t least, size_t places,
                        std::initializer_list<std::string_view> names) const {
  if (positional.size() > places)
    throw Error(std::string(function) + ": expected at most " +
                std::to_string(places) + " arguments, found " +
                std::to_string(positional.size()));
  for (const auto &argument : named)
    if (std::find(names.begin(), names.end(), argument.first) == names.end())
      throw Error(std::string(function) + ": unknown argument '" +
                  argument.first + "'");
  if (positional.size() + named.size() < least)
    throw Error(std::string(function) + ": expected at least " +
                std::to_string(least) + " arguments, found " +
                std::to_string(positional.size() + named.size()));
}

bool equal(const Value &a, const Value &b, Budget &budget) {
  budget.spend(1);
  if (a.isNumber() && b.isNumber())
    return a.isInteger() && b.isInteger() ? a.integer() == b.integer()
                                          : a.number() == b.number();
  if (a.isText() && b.isText()) {
    if (a.text().size() != b.text().size())
      return false;
    budget.spend(int64_t(a.text().size()));
    return equal(a.text(), b.text());
  }
  if (a.isList() && b.isList()) {
    const List &x = a.sequence(), &y = b.sequence();
    if (&x == &y)
      return true;
    return x.kind == y.kind &&
           std::equal(x.items.begin(), x.items.end(), y.items.begin(),
                      y.items.end(),
                      [&](auto &v, auto &w) { return equal(v, w, budget); });
  }
  if (a.isDict() && b.isDict()) {
    const Dict &x = a.mapping(), &y = b.mapping();
    if (x.members.size() != y.members.size())
      return false;
    for (const auto &[key, value] : x.members) {
      budget.spend(int64_t(y.members.size()));
      const Value *other = y.find(key);
      if (!other || !equal(value, *other, budget))
        return false;
    }
    return true;
  }
  if (a.is<Namespace *>() && b.is<Namespace *>())
    return a.as<Namespace *>() == b.as<Namespace *>();
  return (a.isNone() && b.isNone()) || (a.isUndefined() && b.isUndefined());
}

bool less(const Value &a, const Value &b, Budget &budget) {
  budget.spend(1);
  for (const Value *value : {&a, &b})
    if (value->isUndefined())
      failOnUndefined(*value);
  if (a.isInteger() && b.isInteger())
    return a.integer() < b.integer();
  if (a.isNumber() && b.isNumber())
    return a.number() < b.number();
  if (a.isText() && b.isText()) {
    budget.spend(int64_t(std::min(a.text().size(), b.text().size())));
    return less(a.text(), b.text());
  }
  if (a.isList() && b.isList() && a.sequence().kind == b.sequence().kind) {
    const auto &x = a.sequence().items, &y = b.sequence().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!equal(x[i], y[i], budget))
        return less(x[i], y[i], budget);
    return x.size() < y.size();
  }
  throw Error(std::string("expected two values with an order, found ") +
              a.typeName() + " and " + b.typeName());
}

void requireHashable(const Value &value) {
  const bool isTuple =
      value.isList() && value.sequence().kind == List::Kind::Tuple;
  if (isTuple)
    for (const Value &item : value.sequence().items)
      requireHashable(item);
  if (value.isDict() || (value.isList() && !isTuple &&
                         value.sequence().kind != List::Kind::Generator))
    throw Error(std::string("expected a value that may be a key, found a ") +
                value.typeName());
}

bool contains(const Value &container, const Value &item, Budget &budget) {
  if (container.isText()) {
    if (!item.isText())
      throw Error(std::string("in: expected a str to look for in a str, "
                              "found ") +
                  item.typeName());
    const int64_t size = int64_t(container.text().size());
    budget.spend(1 + size + size / 64 * int64_t(item.text().size() % 4096));
    return findText(container.text(), item.text()) != Text::npos;
  }
  if (container.isDict()) {
    requireHashable(item);
    budget.spend(1 + int64_t(container.mapping().members.size()));
    return container.mapping().find(item) != nullptr;
  }
  if (!container.isList() && !container.isUndefined())
    throw Error(std::string("in: expected a str, list or dict, found ") +
                container.typeName());
  if (container.isUndefined())
    return false;
  for (const Value &element : container.sequence().items)
    if (equal(element, item, budget))
      return true;
  return false;
}

std::string floatRepr(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  char digits[40];
  const auto scientific = std::to_chars(digits, digits + sizeof(digits), value,
                                        std::chars_format::scientific);
  const std::string form(digits, scientific.ptr);
  const size_t e = form.find('e');
  const int exponent = std::stoi(form.substr(e + 1));
  if (exponent < -4 || exponent >= 16)
    return form;
  char fixed[40];
  const auto end = std::to_chars(fixed, fixed + sizeof(fixed), value,
                                 std::chars_format::fixed);
  std::string text(fixed, end.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

Text stringOf(const Value &value, Budget &budget) {
  if (value.isText()) {
    budget.spend(int64_t(value.text().size()));
    return value.text();
  }
  Text out;
  if (!value.isUndefined())
    appendRepr(out, value, budget);
  return out;
}

Text escapedText(const Value &value, Budget &budget) {
  if (value.isMarkup())
    return value.text();
  Text out;
  for (const char32_t c : stringOf(value, budget)) {
    const char32_t plain = valueOf(c);
    const char *name = plain == '&'    ? "&amp;"
                       : plain == '<'  ? "&lt;"
                       : plain == '>'  ? "&gt;"
                       : plain == '\'' ? "&#39;"
                       : plain == '"'  ? "&#34;"
                                       : nullptr;
    if (!name) {
      out.push_back(c);
      continue;
    }
    for (const char *at = name; *at; ++at)
      out.push_back(char32_t(*at) | (c & kUntrusted));
  }
  budget.spend(int64_t(out.size()));
  return out;
}

void appendRepr(Text &out, const Value &value, Budget &budget) {
  const size_t before = out.size();
  if (value.isNone())
    append(out, "None");
  else if (value.isUndefined())
    append(out, "Undefined");
  else if (value.isBool())
    append(out, value.truth() ? "True" : "False");
  else if (value.isInteger())
    append(out, std::to_string(value.integer()));
  else if (value.is<double>())
    append(out, floatRepr(value.number()));
  else if (value.isText()) {
    append(out, value.isMarkup() ? "Markup(" : "");
    appendTextRepr(out, value.text());
    append(out, value.isMarkup() ? ")" : "");
  } else if (value.isList() && (value.sequence().kind == List::Kind::List ||
                                value.sequence().kind == List::Kind::Tuple))
    appendListRepr(out, value.sequence(), budget);
  else if (value.isDict())
    appendDictRepr(out, value.mapping(), budget);
  else
    throw Error(std::string("expected a value that can be printed, found a ") +
                value.typeName());
  budget.spend(1 + int64_t(out.size() - before));
}

std::vector<Value> elementsOf(const Value &value, Budget &budget) {
  std::vector<Value> elements;
  if (value.isList())
    elements = value.sequence().items;
  else if (value.isDict())
    for (const auto &member : value.mapping().members)
      elements.push_back(member.first);
  else if (value.isText())
    for (const char32_t c : value.text())
      elements.push_back(Text(1, c));
  else if (!value.isUndefined())
    throw Error(std::string("expected a value to go over, found ") +
                value.typeName());
  budget.spend(1 + Budget::kElement * int64_t(elements.size()));
  return elements;
}

int64_t lengthOf(const Value &value) {
  if (value.isText())
    return int64_t(value.text().size());
  if (value.isDict())
    return int64_t(value.mapping().members.size());
  if (value.isList() && value.sequence().kind != List::Kind::Generator)
    return int64_t(value.sequence().items.size());
  if (value.isUndefined())
    return 0;
  throw Error(std::string("length: expected a str, list or dict, found ") +
              value.typeName());
}

} // namespace fairy2::jinja
