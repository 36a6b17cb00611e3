// SPDX-License-Identifier: Apache-2.0
//
// The filter tojson.
#include "runtime/text/jinja/Builtins.h"

#include <algorithm>
#include <cmath>
#include <list>

namespace fairy2::jinja {
namespace {

class JsonPrinter {
public:
  JsonPrinter(const JsonStyle &style, Budget &budget)
      : style(style), budget(budget) {}

  void print(const Value &value, int64_t level);
  Text out;

private:
  void append(std::string_view ascii) {
    out.insert(out.end(), ascii.begin(), ascii.end());
  }
  void printText(TextView text);
  void printKey(const Value &key);
  void printScalar(const Value &value);
  void beginLine(int64_t level);

  const JsonStyle &style;
  Budget &budget;
};

void JsonPrinter::beginLine(int64_t level) {
  if (!style.indent)
    return;
  const int64_t blanks = std::max<int64_t>(0, *style.indent) * level;
  budget.spend(blanks);
  out += U'\n';
  out.append(size_t(blanks), U' ');
}

void JsonPrinter::printText(TextView text) {
  out += U'"';
  for (const char32_t c : text) {
    const char32_t value = valueOf(c);
    std::string escaped;
    const auto appendUnit = [&](unsigned unit) {
      char digits[8];
      std::snprintf(digits, sizeof(digits), "\\u%04x", unit & 0xffff);
      escaped += digits;
    };
    switch (value) {
    case '"':
      escaped = "\\\"";
      break;
    case '\\':
      escaped = "\\\\";
      break;
    case '\n':
      escaped = "\\n";
      break;
    case '\r':
      escaped = "\\r";
      break;
    case '\t':
      escaped = "\\t";
      break;
    case '\b':
      escaped = "\\b";
      break;
    case '\f':
      escaped = "\\f";
      break;
    default:
      if (value < 0x20 ||
          (style.asciiOnly && value >= 0x7f && value < 0x10000)) {
        appendUnit(value);
      } else if (style.asciiOnly && value >= 0x10000) {
        appendUnit(0xd800 + ((value - 0x10000) >> 10));
        appendUnit(0xdc00 + ((value - 0x10000) & 0x3ff));
      } else {
        out += c;
      }
    }
    for (const char digit : escaped)
      out += char32_t(digit) | (c & kUntrusted);
  }
  out += U'"';
}

void JsonPrinter::printScalar(const Value &value) {
  if (value.isNone())
    append("null");
  else if (value.isBool())
    append(value.truth() ? "true" : "false");
  else if (value.isInteger())
    append(std::to_string(value.integer()));
  else if (std::isnan(value.number()))
    append("NaN");
  else if (std::isinf(value.number()))
    append(value.number() < 0 ? "-Infinity" : "Infinity");
  else
    append(floatRepr(value.number()));
}

void JsonPrinter::printKey(const Value &key) {
  if (key.isText())
    return printText(key.text());
  if (!key.isNone() && !key.isNumber())
    throw Error(std::string("tojson: expected a str as key, found ") +
                key.typeName());
  out += U'"';
  printScalar(key);
  out += U'"';
}

void JsonPrinter::print(const Value &value, int64_t level) {
  const size_t before = out.size();
  if (value.isText()) {
    printText(value.text());
  } else if (value.isDict()) {
    using Member = std::pair<Value, Value>;
    std::list<Member> members(value.mapping().members.begin(),
                              value.mapping().members.end());
    budget.spend(Budget::kElement * int64_t(members.size()));
    if (style.sortKeys)
      members.sort([&](const Member &a, const Member &b) {
        return less(a.first, b.first, budget);
      });
    out += U'{';
    bool isFirst = true;
    for (const auto &[key, member] : members) {
      if (!isFirst)
        out += style.itemSeparator;
      isFirst = false;
      beginLine(level + 1);
      printKey(key);
      out += style.keySeparator;
      print(member, level + 1);
    }
    if (!members.empty())
      beginLine(level);
    out += U'}';
  } else if (value.isList() && (value.sequence().kind == List::Kind::List ||
                                value.sequence().kind == List::Kind::Tuple)) {
    const std::vector<Value> &items = value.sequence().items;
    out += U'[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0)
        out += style.itemSeparator;
      beginLine(level + 1);
      print(items[i], level + 1);
    }
    if (!items.empty())
      beginLine(level);
    out += U']';
  } else if (value.isNone() || value.isNumber()) {
    printScalar(value);
  } else {
    throw Error(std::string("tojson: expected a value that JSON can hold, "
                            "found ") +
                value.typeName());
  }
  // What is nested is counted once per level around it; depth is bounded.
  budget.spend(1 + int64_t(out.size() - before));
}

} // namespace

Text toJson(const Value &value, const JsonStyle &style, Budget &budget) {
  JsonPrinter printer(style, budget);
  printer.print(value, 0);
  return std::move(printer.out);
}

Value tojson(const Value &input, const Arguments &arguments, Budget &budget) {
  // transformers' signature: ensure_ascii, indent, separators, sort_keys.
  arguments.require("tojson", 0, 4,
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.asciiOnly = arguments.flag(0, "ensure_ascii");
  if (const Value *width = arguments.find(1, "indent");
      width && !width->isNone()) {
    style.indent =
        std::clamp<int64_t>(requireInteger(*width, "tojson"), 0, 1000);
    style.itemSeparator = U",";
  }
  if (const Value *pair = arguments.find(2, "separators");
      pair && !pair->isNone()) {
    if (!pair->isList() || pair->sequence().items.size() != 2)
      throw Error(std::string("tojson: expected two separators, found ") +
                  pair->typeName());
    style.itemSeparator = requireText(pair->sequence().items[0], "tojson");
    style.keySeparator = requireText(pair->sequence().items[1], "tojson");
  }
  style.sortKeys = arguments.flag(3, "sort_keys");
  return toJson(input, style, budget);
}

} // namespace fairy2::jinja
