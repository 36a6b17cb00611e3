// SPDX-License-Identifier: Apache-2.0
//
// The filters of jinja2.filters that chat templates use.
#include "runtime/text/jinja/Builtins.h"
#include "runtime/text/jinja/Case.h"

#include <algorithm>
#include <list>
#include <map>

namespace fairy2::jinja {
namespace {

using Filter = Value (*)(const Value &input, const Arguments &arguments,
                         Budget &budget);

Arguments withoutFirst(const Arguments &arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() +
                            int64_t(std::min(count, rest.positional.size())));
  return rest;
}

/// The members named by "a.b.0", as jinja2.filters.make_attrgetter.
Value memberOf(Value item, const Value &path, Budget &budget) {
  if (path.isInteger())
    return subscript(item, path, budget);
  TextView rest = requireText(path, "attribute");
  while (true) {
    const size_t dot = rest.find(U'.');
    const TextView part = rest.substr(0, dot);
    const bool isIndex = !part.empty() && part.size() < 10 &&
                         std::all_of(part.begin(), part.end(), isDigit);
    item = subscript(item,
                     isIndex ? Value(int64_t(std::stoll(utf8Of(part))))
                             : Value(Text(part)),
                     budget);
    if (dot == TextView::npos)
      return item;
    rest = rest.substr(dot + 1);
  }
}

/// What to compare in sort, unique, min and max.
Value sortKey(const Value &item, const Value *path, bool caseSensitive,
              Budget &budget) {
  Value key = path && !path->isNone() ? memberOf(item, *path, budget) : item;
  if (caseSensitive || !key.isText())
    return key;
  budget.spend(int64_t(key.text().size()));
  return lower(key.text());
}

// Of text.

Value trim(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("trim", 0, 1, {"chars"});
  const Value *set = arguments.find(0, "chars");
  const Text text = stringOf(input, budget);
  const Text *characters =
      set && !set->isNone() ? &requireText(*set, "trim") : nullptr;
  if (characters)
    budget.spend(int64_t(text.size() * characters->size()));
  return textLike(input, Text(strip(text, characters)));
}

template <Text (*change)(TextView)>
Value changed(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("filter", 0, 0);
  return textLike(input, change(stringOf(input, budget)));
}

/// Unlike str.title: words begin after blanks, dashes and brackets alone.
Text titleOfWords(TextView text) {
  const auto separates = [](char32_t c) {
    const char32_t v = valueOf(c);
    return isSpace(c) || v == '-' || v == '(' || v == '{' || v == '[' ||
           v == '<';
  };
  Text result;
  while (!text.empty()) {
    const bool isWord = !separates(text.front());
    const auto end = std::find_if(text.begin(), text.end(), [&](char32_t c) {
      return separates(c) == isWord;
    });
    const TextView item = text.substr(0, size_t(end - text.begin()));
    result += upper(item.substr(0, 1));
    result += lower(item.substr(1));
    text.remove_prefix(item.size());
  }
  return result;
}

Value titleCase(const Value &input, const Arguments &arguments,
                Budget &budget) {
  arguments.require("title", 0, 0);
  return titleOfWords(stringOf(input, budget));
}

Value replace(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("replace", 2, 3, {"old", "new", "count"});
  const Value *old = arguments.find(0, "old"), *with = arguments.find(1, "new");
  const Value *count = arguments.find(2, "count");
  if (!old || !with)
    throw Error("replace: expected two strings");
  return replaceAll(
      stringOf(input, budget), stringOf(*old, budget), stringOf(*with, budget),
      count && !count->isNone() ? requireInteger(*count, "replace") : -1,
      budget);
}

Value indent(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("indent", 0, 3, {"width", "first", "blank"});
  const Value *width = arguments.find(0, "width");
  Text blanks;
  if (width && width->isText())
    blanks = width->text();
  else
    blanks.assign(size_t(std::clamp<int64_t>(
                      width ? requireInteger(*width, "indent") : 4, 0, 1000)),
                  U' ');
  const bool first = arguments.flag(1, "first");
  const bool blank = arguments.flag(2, "blank");
  const Text &text = requireText(input, "indent");
  budget.spend(int64_t(text.size()));
  Text result;
  for (size_t begin = 0, line = 0; begin <= text.size(); ++line) {
    size_t end = begin;
    while (end < text.size() && valueOf(text[end]) != '\n')
      ++end;
    if (line == 0 ? first : blank || end > begin) {
      budget.spend(int64_t(blanks.size()));
      result += blanks;
    }
    result.append(text, begin, end - begin);
    if (end < text.size())
      result += text[end];
    begin = end + 1;
  }
  return textLike(input, std::move(result));
}

Value wordCount(const Value &input, const Arguments &, Budget &budget) {
  int64_t count = 0;
  bool inWord = false;
  for (const char32_t c : stringOf(input, budget)) {
    const bool isWord = isWordCharacter(c);
    count += isWord && !inWord;
    inWord = isWord;
  }
  return count;
}

// Of sequences.

Value length(const Value &input, const Arguments &arguments, Budget &) {
  arguments.require("length", 0, 0);
  return lengthOf(input);
}

Value first(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("first", 0, 0);
  const std::vector<Value> items = elementsOf(input, budget);
  return items.empty() ? Value::undefined("the first element of an empty list")
                       : items.front();
}

Value last(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("last", 0, 0);
  if (input.isText() && !input.text().empty())
    return textLike(input, Text(1, input.text().back()));
  const std::vector<Value> items = elementsOf(input, budget);
  return items.empty() ? Value::undefined("the last element of an empty list")
                       : items.back();
}

Value toList(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("list", 0, 0);
  return Value::list(elementsOf(input, budget));
}

Value itemsOf(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("items", 0, 0);
  if (input.isUndefined())
    return Value::list({}, List::Kind::Generator);
  if (!input.isDict())
    throw Error(std::string("items: expected a dict, found ") +
                input.typeName());
  std::vector<Value> result;
  for (const auto &[key, value] : input.mapping().members)
    result.push_back(Value::list({key, value}, List::Kind::Tuple));
  budget.spend(3 * Budget::kElement * int64_t(result.size()));
  return Value::list(std::move(result), List::Kind::Generator);
}

Value join(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("join", 0, 2, {"d", "attribute"});
  const Value *separator = arguments.find(0, "d");
  const Value *path = arguments.find(1, "attribute");
  const Text between = separator ? stringOf(*separator, budget) : Text();
  Text result;
  bool isFirst = true;
  for (const Value &item : elementsOf(input, budget)) {
    if (!isFirst) {
      budget.spend(int64_t(between.size()));
      result += between;
    }
    result += stringOf(
        path && !path->isNone() ? memberOf(item, *path, budget) : item, budget);
    isFirst = false;
  }
  return result;
}

Value reverse(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("reverse", 0, 0);
  if (input.isText()) {
    budget.spend(int64_t(input.text().size()));
    return textLike(input, Text(input.text().rbegin(), input.text().rend()));
  }
  std::vector<Value> items = elementsOf(input, budget);
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items), List::Kind::Generator);
}

std::vector<Value> sortedBy(std::vector<Value> items, const Value *path,
                            bool caseSensitive, bool descending,
                            Budget &budget) {
  // A list's sort is stable, and safe where NaN makes the order senseless.
  std::list<std::pair<Value, Value>> keyed;
  for (Value &item : items)
    keyed.emplace_back(sortKey(item, path, caseSensitive, budget), item);
  keyed.sort([&](const auto &a, const auto &b) {
    return descending ? less(b.first, a.first, budget)
                      : less(a.first, b.first, budget);
  });
  items.clear();
  for (auto &entry : keyed)
    items.push_back(std::move(entry.second));
  return items;
}

/// The paths of "a.b,c", by which sort alone goes.
std::vector<Value> pathsOf(const Value *attribute) {
  if (!attribute || attribute->isNone())
    return {};
  if (!attribute->isText())
    return {*attribute};
  std::vector<Value> paths;
  TextView rest = attribute->text();
  for (size_t comma; (comma = rest.find(U',')) != TextView::npos;
       rest.remove_prefix(comma + 1))
    paths.push_back(Text(rest.substr(0, comma)));
  paths.push_back(Text(rest));
  return paths;
}

Value sort(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("sort", 0, 3, {"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> paths = pathsOf(arguments.find(2, "attribute"));
  const bool caseSensitive = arguments.flag(1, "case_sensitive");
  const bool reverse = arguments.flag(0, "reverse");
  if (paths.empty())
    return Value::list(sortedBy(elementsOf(input, budget), nullptr,
                                caseSensitive, reverse, budget));
  // Lists of keys, as in jinja2: two that are undefined are equal there, while
  // alone they would have no order.
  std::vector<Value> keyed;
  for (const Value &item : elementsOf(input, budget)) {
    std::vector<Value> keys;
    for (const Value &path : paths)
      keys.push_back(sortKey(item, &path, caseSensitive, budget));
    budget.spend(Budget::kElement * int64_t(keys.size()));
    keyed.push_back(Value::list({Value::list(std::move(keys)), item}));
  }
  const Value first(int64_t(0));
  std::vector<Value> result;
  for (const Value &pair :
       sortedBy(std::move(keyed), &first, true, reverse, budget))
    result.push_back(pair.sequence().items[1]);
  return Value::list(std::move(result));
}

Value dictSort(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("dictsort", 0, 3, {"case_sensitive", "by", "reverse"});
  requireDefined(input);
  const Value *by = arguments.find(1, "by");
  const Value place(
      int64_t(by && utf8Of(requireText(*by, "dictsort")) == "value" ? 1 : 0));
  return Value::list(sortedBy(elementsOf(itemsOf(input, {}, budget), budget),
                              &place, arguments.flag(0, "case_sensitive"),
                              arguments.flag(2, "reverse"), budget));
}

Value unique(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("unique", 0, 2, {"case_sensitive", "attribute"});
  const bool caseSensitive = arguments.flag(0, "case_sensitive");
  const Value *path = arguments.find(1, "attribute");
  std::vector<Value> keys, result;
  for (const Value &item : elementsOf(input, budget)) {
    Value key = sortKey(item, path, caseSensitive, budget);
    requireHashable(key);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value &seen) {
          return equal(seen, key, budget);
        }))
      continue;
    keys.push_back(std::move(key));
    result.push_back(item);
  }
  return Value::list(std::move(result), List::Kind::Generator);
}

template <bool wantsLargest>
Value extreme(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("min", 0, 2, {"case_sensitive", "attribute"});
  const std::vector<Value> sorted =
      sortedBy(elementsOf(input, budget), arguments.find(1, "attribute"),
               arguments.flag(0, "case_sensitive"), wantsLargest, budget);
  return sorted.empty() ? Value::undefined("an element of an empty list")
                        : sorted.front();
}

Value sum(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("sum", 0, 2, {"attribute", "start"});
  const Value *path = arguments.find(0, "attribute");
  const Value *start = arguments.find(1, "start");
  Value total = start ? *start : Value(int64_t(0));
  for (const Value &item : elementsOf(input, budget))
    total = apply(
        Operator::Add, total,
        path && !path->isNone() ? memberOf(item, *path, budget) : item, budget);
  return total;
}

Value map(const Value &input, const Arguments &arguments, Budget &budget) {
  std::vector<Value> result;
  // As in jinja2, whatever is false has no elements.
  if (!input.truth())
    return Value::list({}, List::Kind::Generator);
  const Value *path = arguments.find(SIZE_MAX, "attribute");
  if (path) {
    arguments.require("map", 1, 0, {"attribute", "default"});
    const Value *fallback = arguments.find(SIZE_MAX, "default");
    for (const Value &item : elementsOf(input, budget)) {
      Value member = memberOf(item, *path, budget);
      result.push_back(member.isUndefined() && fallback ? *fallback : member);
    }
  } else {
    if (arguments.positional.empty())
      throw Error("map: expected a filter or an attribute, found neither");
    const std::string name =
        utf8Of(requireText(arguments.positional[0], "map"));
    const Arguments rest = withoutFirst(arguments, 1);
    for (const Value &item : elementsOf(input, budget))
      result.push_back(callFilter(name, item, rest, budget));
  }
  return Value::list(std::move(result), List::Kind::Generator);
}

/// select and reject test the items, selectattr and rejectattr a member.
template <bool keeps, bool byAttribute>
Value select(const Value &input, const Arguments &arguments, Budget &budget) {
  if (!input.truth())
    return Value::list({}, List::Kind::Generator);
  if (byAttribute && arguments.positional.empty())
    throw Error("selectattr: expected an attribute, found none");
  const Arguments rest = withoutFirst(arguments, byAttribute);
  std::string test;
  if (!rest.positional.empty())
    test = utf8Of(requireText(rest.positional[0], "select"));
  const Arguments testArguments = withoutFirst(rest, 1);
  std::vector<Value> result;
  for (const Value &item : elementsOf(input, budget)) {
    const Value subject =
        byAttribute ? memberOf(item, arguments.positional[0], budget) : item;
    const bool passes = test.empty()
                            ? subject.truth()
                            : callTest(test, subject, testArguments, budget);
    if (passes == keeps)
      result.push_back(item);
  }
  return Value::list(std::move(result), List::Kind::Generator);
}

// Of anything.

Value defaultTo(const Value &input, const Arguments &arguments, Budget &) {
  arguments.require("default", 0, 2, {"default_value", "boolean"});
  if (!input.isUndefined() && !(arguments.flag(1, "boolean") && !input.truth()))
    return input;
  const Value *fallback = arguments.find(0, "default_value");
  return fallback ? *fallback : Value(Text());
}

Value attributeOf(const Value &input, const Arguments &arguments,
                  Budget &budget) {
  arguments.require("attr", 1, 1);
  return attribute(input, utf8Of(requireText(arguments.positional[0], "attr")),
                   budget);
}

Value toText(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("string", 0, 0);
  return textLike(input, stringOf(input, budget));
}

Value safe(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("safe", 0, 0);
  return Value::markup(stringOf(input, budget));
}

Value escape(const Value &input, const Arguments &arguments, Budget &budget) {
  arguments.require("escape", 0, 0);
  return Value::markup(escapedText(input, budget));
}

Value forceEscape(const Value &input, const Arguments &arguments,
                  Budget &budget) {
  arguments.require("forceescape", 0, 0);
  return Value::markup(escapedText(stringOf(input, budget), budget));
}

const std::map<std::string_view, Filter> &filterTable() {
  static const std::map<std::string_view, Filter> table = {
      {"abs", absolute},
      {"attr", attributeOf},
      {"capitalize", changed<capitalize>},
      {"count", length},
      {"d", defaultTo},
      {"default", defaultTo},
      {"dictsort", dictSort},
      {"e", escape},
      {"escape", escape},
      {"first", first},
      {"float", toFloat},
      {"forceescape", forceEscape},
      {"indent", indent},
      {"int", toInteger},
      {"items", itemsOf},
      {"join", join},
      {"last", last},
      {"length", length},
      {"list", toList},
      {"lower", changed<lower>},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", select<false, false>},
      {"rejectattr", select<false, true>},
      {"replace", replace},
      {"reverse", reverse},
      {"round", roundNumber},
      {"safe", safe},
      {"select", select<true, false>},
      {"selectattr", select<true, true>},
      {"sort", sort},
      {"string", toText},
      {"sum", sum},
      {"title", titleCase},
      {"tojson", tojson},
      {"trim", trim},
      {"unique", unique},
      {"upper", changed<upper>},
      {"wordcount", wordCount}};
  return table;
}

} // namespace

bool isFilter(const std::string &name) { return filterTable().contains(name); }

Value callFilter(const std::string &name, const Value &input,
                 const Arguments &arguments, Budget &budget) {
  budget.spend(1);
  const auto found = filterTable().find(name);
  if (found == filterTable().end())
    throw Error("unknown filter '" + name.substr(0, 60) + "'");
  return found->second(input, arguments, budget);
}

} // namespace fairy2::jinja
