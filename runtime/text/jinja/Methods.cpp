// SPDX-License-Identifier: Apache-2.0
//
// Methods of str, list and dict. Those that change their object are refused, as
// in jinja2's ImmutableSandboxedEnvironment.
#include "runtime/text/jinja/Builtins.h"
#include "runtime/text/jinja/Case.h"

#include <algorithm>
#include <map>

namespace fairy2::jinja {
namespace {

using Method = Value (*)(const Value &self, const Arguments &arguments,
                         Budget &budget);
using MethodTable = std::map<std::string_view, Method>;

bool all(TextView text, bool (*predicate)(char32_t)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), predicate);
}

template <bool left, bool right>
Value stripped(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("strip", 0, 1);
  const Value *set = arguments.find(0, "");
  const Text *characters =
      set && !set->isNone() ? &requireText(*set, "strip") : nullptr;
  budget.spend(int64_t(self.text().size()) *
               int64_t(1 + (characters ? characters->size() : 0)));
  return Text(strip(self.text(), characters, left, right));
}

/// str.split without a separator: runs of whitespace.
std::vector<Value> splitAtSpaces(TextView text, int64_t most) {
  std::vector<Value> parts;
  text = strip(text, nullptr);
  while (!text.empty() && most-- != 0) {
    const auto end = std::find_if(text.begin(), text.end(), isSpace);
    parts.push_back(Text(text.begin(), end));
    text = strip(text.substr(size_t(end - text.begin())), nullptr, true, false);
  }
  if (!text.empty())
    parts.push_back(Text(text));
  return parts;
}

std::vector<Value> splitAt(TextView text, const Text &separator, int64_t most,
                           bool fromRight) {
  std::vector<Value> parts;
  while (most-- != 0) {
    const size_t at =
        fromRight ? findLastText(text, separator) : findText(text, separator);
    if (at == TextView::npos)
      break;
    const TextView after = text.substr(at + separator.size());
    parts.push_back(Text(fromRight ? after : text.substr(0, at)));
    text = fromRight ? text.substr(0, at) : after;
  }
  parts.push_back(Text(text));
  if (fromRight)
    std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool fromRight>
Value split(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("split", 0, 2, {"sep", "maxsplit"});
  const Value *separator = arguments.find(0, "sep");
  const Value *limit = arguments.find(1, "maxsplit");
  const int64_t most = limit ? requireInteger(*limit, "split") : -1;
  std::vector<Value> parts;
  if (separator && !separator->isNone()) {
    const Text &text = requireText(*separator, "split");
    if (text.empty())
      throw Error("split: expected a separator, found an empty str");
    budget.spend(searchCost(self.text(), text));
    parts = splitAt(self.text(), text, most, fromRight);
  } else {
    if (fromRight && most >= 0)
      throw Error("rsplit: expected a separator, found none");
    parts = splitAtSpaces(self.text(), most);
  }
  budget.spend(int64_t(self.text().size()) +
               Budget::kElement * int64_t(parts.size()));
  return Value::list(std::move(parts));
}

Value splitLines(const Value &self, const Arguments &arguments,
                 Budget &budget) {
  arguments.require("splitlines", 0, 1, {"keepends"});
  const Value *keep = arguments.find(0, "keepends");
  const bool keepEnds = keep && keep->truth();
  const Text &text = self.text();
  std::vector<Value> lines;
  const auto endsLine = [](char32_t c) {
    c = valueOf(c);
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 ||
           c == 0x2028 || c == 0x2029;
  };
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && !endsLine(text[end]))
      ++end;
    size_t next = end;
    if (next < text.size())
      next += valueOf(text[next]) == '\r' && next + 1 < text.size() &&
                      valueOf(text[next + 1]) == '\n'
                  ? 2
                  : 1;
    lines.push_back(text.substr(begin, (keepEnds ? next : end) - begin));
    begin = next;
  }
  budget.spend(int64_t(text.size()) + Budget::kElement * int64_t(lines.size()));
  return Value::list(std::move(lines));
}

/// startswith and endswith take one str or a tuple of several.
template <bool (*matches)(TextView, TextView)>
Value hasAffix(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("startswith", 1, 1);
  const Value &wanted = arguments.positional[0];
  const auto test = [&](const Value &one) {
    const Text &text = requireText(one, "startswith");
    budget.spend(1 + int64_t(text.size()));
    return matches(self.text(), text);
  };
  if (!wanted.isList())
    return test(wanted);
  const auto &items = wanted.sequence().items;
  return std::any_of(items.begin(), items.end(), test);
}

template <bool prefix>
Value withoutAffix(const Value &self, const Arguments &arguments,
                   Budget &budget) {
  arguments.require("removeprefix", 1, 1);
  const Text &affix = requireText(arguments.positional[0], "removeprefix");
  TextView text = self.text();
  budget.spend(int64_t(text.size() + affix.size()));
  if (prefix && startsWith(text, affix))
    text.remove_prefix(affix.size());
  else if (!prefix && endsWith(text, affix))
    text.remove_suffix(affix.size());
  return Text(text);
}

template <size_t (*search)(TextView, TextView), bool mustBeThere>
Value position(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("find", 1, 1);
  const Text &what = requireText(arguments.positional[0], "find");
  budget.spend(searchCost(self.text(), what));
  const size_t found = search(self.text(), what);
  if (found != TextView::npos)
    return int64_t(found);
  if (mustBeThere)
    throw Error("index: expected a str that occurs, found one that does not");
  return int64_t(-1);
}

size_t findFirst(TextView text, TextView what) { return findText(text, what); }

template <Text (*change)(TextView)>
Value changed(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("this method", 0, 0);
  budget.spend(int64_t(self.text().size()));
  return change(self.text());
}

template <bool (*predicate)(char32_t)>
Value consistsOf(const Value &self, const Arguments &arguments,
                 Budget &budget) {
  arguments.require("this method", 0, 0);
  budget.spend(int64_t(self.text().size()));
  return all(self.text(), predicate);
}

/// islower and isupper: cased characters exist and all are of the one case.
template <bool wantsUpper>
Value hasCase(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("this method", 0, 0);
  const Text &text = self.text();
  budget.spend(int64_t(text.size()));
  const bool wanted = std::any_of(text.begin(), text.end(),
                                  wantsUpper ? isUpperCase : isLowerCase);
  const bool other = std::any_of(text.begin(), text.end(),
                                 wantsUpper ? isLowerCase : isUpperCase);
  return wanted && !other;
}

bool isAlphanumeric(char32_t c) { return isAlphabetic(c) || isDigit(c); }

Value replace(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("replace", 2, 3, {"count"});
  const Value *count = arguments.find(2, "count");
  return replaceAll(self.text(),
                    requireText(arguments.positional[0], "replace"),
                    requireText(arguments.positional.at(1), "replace"),
                    count ? requireInteger(*count, "replace") : -1, budget);
}

Value join(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("join", 1, 1);
  Text result;
  bool isFirst = true;
  for (const Value &item : elementsOf(arguments.positional[0], budget)) {
    const Text &text = requireText(item, "join");
    budget.spend(int64_t(text.size() + self.text().size()));
    if (!isFirst)
      result += self.text();
    result += text;
    isFirst = false;
  }
  return result;
}

Value countText(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("count", 1, 1);
  const Text &what = requireText(arguments.positional[0], "count");
  budget.spend(searchCost(self.text(), what));
  if (what.empty())
    return int64_t(self.text().size()) + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = findText(self.text(), what, at)) != Text::npos;
       at += what.size())
    ++count;
  return count;
}

Value countItems(const Value &self, const Arguments &arguments,
                 Budget &budget) {
  arguments.require("count", 1, 1);
  int64_t count = 0;
  for (const Value &item : self.sequence().items)
    count += equal(item, arguments.positional[0], budget);
  return count;
}

Value indexOf(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("index", 1, 1);
  const auto &items = self.sequence().items;
  for (size_t i = 0; i < items.size(); ++i)
    if (equal(items[i], arguments.positional[0], budget))
      return int64_t(i);
  throw Error("index: expected a value of the list, found another");
}

Value keys(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("keys", 0, 0);
  return Value::list(elementsOf(self, budget), List::Kind::View);
}

Value values(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("values", 0, 0);
  std::vector<Value> result;
  for (const auto &member : self.mapping().members)
    result.push_back(member.second);
  budget.spend(Budget::kElement * int64_t(result.size()));
  return Value::list(std::move(result), List::Kind::View);
}

Value items(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("items", 0, 0);
  std::vector<Value> result;
  for (const auto &[key, value] : self.mapping().members)
    result.push_back(Value::list({key, value}, List::Kind::Tuple));
  budget.spend(3 * Budget::kElement * int64_t(result.size()));
  return Value::list(std::move(result), List::Kind::View);
}

Value get(const Value &self, const Arguments &arguments, Budget &budget) {
  arguments.require("get", 1, 2);
  budget.spend(1 + int64_t(self.mapping().members.size()));
  if (const Value *found = self.mapping().find(arguments.positional[0]))
    return *found;
  const Value *fallback = arguments.find(1, "");
  return fallback ? *fallback : Value();
}

Value refuse(const Value &self, const Arguments &, Budget &) {
  throw Error(std::string("expected a method that leaves its ") +
              self.typeName() + " as it is, found one that changes it");
}

const MethodTable &textMethods() {
  static const MethodTable table = {{"strip", stripped<true, true>},
                                    {"lstrip", stripped<true, false>},
                                    {"rstrip", stripped<false, true>},
                                    {"split", split<false>},
                                    {"rsplit", split<true>},
                                    {"splitlines", splitLines},
                                    {"startswith", hasAffix<startsWith>},
                                    {"endswith", hasAffix<endsWith>},
                                    {"removeprefix", withoutAffix<true>},
                                    {"removesuffix", withoutAffix<false>},
                                    {"find", position<findFirst, false>},
                                    {"rfind", position<findLastText, false>},
                                    {"index", position<findFirst, true>},
                                    {"rindex", position<findLastText, true>},
                                    {"upper", changed<upper>},
                                    {"lower", changed<lower>},
                                    {"title", changed<title>},
                                    {"capitalize", changed<capitalize>},
                                    {"isdigit", consistsOf<isDigit>},
                                    {"isalpha", consistsOf<isAlphabetic>},
                                    {"isalnum", consistsOf<isAlphanumeric>},
                                    {"isspace", consistsOf<isSpace>},
                                    {"islower", hasCase<false>},
                                    {"isupper", hasCase<true>},
                                    {"replace", replace},
                                    {"join", join},
                                    {"count", countText}};
  return table;
}

const MethodTable &listMethods() {
  static const MethodTable table = {{"index", indexOf}, {"count", countItems},
                                    {"append", refuse}, {"extend", refuse},
                                    {"insert", refuse}, {"pop", refuse},
                                    {"remove", refuse}, {"reverse", refuse},
                                    {"sort", refuse},   {"clear", refuse}};
  return table;
}

const MethodTable &dictMethods() {
  static const MethodTable table = {
      {"keys", keys},     {"values", values},     {"items", items},
      {"get", get},       {"pop", refuse},        {"popitem", refuse},
      {"update", refuse}, {"setdefault", refuse}, {"clear", refuse}};
  return table;
}

/// What a method of str makes, as Markup has it: its texts are Markup too.
Value asMarkup(Value value) {
  if (value.isText())
    return Value::markup(value.text());
  if (!value.isList())
    return value;
  std::vector<Value> items = value.sequence().items;
  for (Value &item : items)
    item = asMarkup(item);
  return Value::list(std::move(items), value.sequence().kind);
}

/// Markup escapes what its methods put into it.
Arguments escapedArguments(const std::string &method, Arguments arguments,
                           Budget &budget) {
  if (method == "replace" && arguments.positional.size() > 1 &&
      arguments.positional[1].isText())
    arguments.positional[1] = escapedText(arguments.positional[1], budget);
  if (method == "join" && !arguments.positional.empty()) {
    std::vector<Value> items = elementsOf(arguments.positional[0], budget);
    for (Value &item : items)
      item = escapedText(item, budget);
    arguments.positional[0] = Value::list(std::move(items));
  }
  return arguments;
}

} // namespace

Text replaceAll(TextView text, TextView old, TextView with, int64_t count,
                Budget &budget) {
  budget.spend(searchCost(text, old));
  Text result;
  size_t at = 0;
  while (count-- != 0) {
    const size_t found = findText(text, old, at);
    if (found == TextView::npos)
      break;
    budget.spend(1 + int64_t(with.size()));
    result += text.substr(at, found - at);
    result += with;
    at = found + old.size();
    if (!old.empty())
      continue;
    // An empty string is before every character, and at the end.
    if (at == text.size())
      return result;
    result += text[at++];
  }
  result += text.substr(at);
  return result;
}

std::optional<Value> findMethod(const Value &receiver, const std::string &name,
                                Budget &budget) {
  const MethodTable *table = receiver.isText()   ? &textMethods()
                             : receiver.isDict() ? &dictMethods()
                             : receiver.isList() ? &listMethods()
                                                 : nullptr;
  if (!table)
    return std::nullopt;
  const auto found = table->find(name);
  if (found == table->end())
    return std::nullopt;
  return Value(std::make_shared<const Callable>(Callable{
      name, [receiver, name, method = found->second,
             &budget](const Arguments &arguments) {
        if (!receiver.isMarkup())
          return method(receiver, arguments, budget);
        return asMarkup(method(
            receiver, escapedArguments(name, arguments, budget), budget));
      }}));
}

} // namespace fairy2::jinja
