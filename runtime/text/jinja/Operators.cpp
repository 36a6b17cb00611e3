// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic, comparison and access to members.
#include "runtime/text/jinja/Builtins.h"

#include <algorithm>
#include <cmath>

namespace fairy2::jinja {
namespace {

[[noreturn]] void failOn(const char *symbol, const Value &a, const Value &b) {
  for (const Value *value : {&a, &b})
    if (value->isUndefined())
      throw Error(*value->as<Undefined>().what + " is undefined");
  throw Error(std::string(symbol) +
              ": expected values that go together, "
              "found " +
              a.typeName() + " and " + b.typeName());
}

[[noreturn]] void failOverflow() {
  throw Error("expected integers of 64 bits, found a larger result");
}

Value floorDivide(const Value &a, const Value &b) {
  if (b.number() == 0)
    throw Error("expected a divisor other than 0, found 0");
  if (!a.isInteger() || !b.isInteger())
    return std::floor(a.number() / b.number());
  const int64_t x = a.integer(), y = b.integer();
  if (y == -1) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t(0), x, &result))
      failOverflow();
    return result;
  }
  return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

Value modulo(const Value &a, const Value &b) {
  if (b.number() == 0)
    throw Error("expected a divisor other than 0, found 0");
  if (a.isInteger() && b.isInteger()) {
    const int64_t y = b.integer();
    const int64_t rest = y == -1 ? 0 : a.integer() % y;
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
  const double rest = std::fmod(a.number(), b.number());
  if (rest == 0)
    return std::copysign(0.0, b.number());
  return (rest < 0) != (b.number() < 0) ? rest + b.number() : rest;
}

Value power(const Value &a, const Value &b) {
  if (!a.isInteger() || !b.isInteger() || b.integer() < 0) {
    if (a.number() == 0 && b.number() < 0)
      throw Error("expected a power other than a negative one of 0, found it");
    if (a.number() < 0 && std::floor(b.number()) != b.number())
      throw Error("expected a real number, found a power that is complex");
    return std::pow(a.number(), b.number());
  }
  int64_t result = 1, base = a.integer(), left = b.integer();
  if (base == 0 || base == 1 || left == 0)
    return left == 0 ? int64_t(1) : base;
  if (base == -1)
    return int64_t(left % 2 == 0 ? 1 : -1);
  for (; left > 0; --left)
    if (__builtin_mul_overflow(result, base, &result))
      failOverflow();
  return result;
}

Value repeat(const Value &sequence, int64_t times, Budget &budget) {
  times = std::clamp<int64_t>(times, 0, Budget::kMaxWork);
  if (sequence.isText()) {
    const Text &text = sequence.text();
    budget.spend(1 + int64_t(text.size()) * times);
    Text result;
    result.reserve(text.size() * size_t(times));
    for (int64_t i = 0; i < times && !text.empty(); ++i)
      result += text;
    return textLike(sequence, std::move(result));
  }
  const List &list = sequence.sequence();
  budget.spend(1 + Budget::kElement * int64_t(list.items.size()) * times);
  std::vector<Value> items;
  for (int64_t i = 0; i < times && !list.items.empty(); ++i)
    items.insert(items.end(), list.items.begin(), list.items.end());
  return Value::list(std::move(items), list.kind);
}

bool isSequence(const Value &value) {
  return value.isText() ||
         (value.isList() && (value.sequence().kind == List::Kind::List ||
                             value.sequence().kind == List::Kind::Tuple));
}

Value add(const Value &a, const Value &b, Budget &budget) {
  if (a.isText() && b.isText()) {
    budget.spend(int64_t(a.text().size() + b.text().size()));
    if (a.isMarkup() || b.isMarkup())
      return Value::markup(escapedText(a, budget) + escapedText(b, budget));
    return a.text() + b.text();
  }
  if (a.isList() && isSequence(a) && b.isList() &&
      a.sequence().kind == b.sequence().kind) {
    std::vector<Value> items = elementsOf(a, budget);
    const std::vector<Value> more = elementsOf(b, budget);
    items.insert(items.end(), more.begin(), more.end());
    return Value::list(std::move(items), a.sequence().kind);
  }
  failOn("+", a, b);
}

Value arithmetic(Operator op, const Value &a, const Value &b) {
  const bool isInteger = a.isInteger() && b.isInteger();
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
  case Operator::Add:
    if (!isInteger)
      return a.number() + b.number();
    overflows = __builtin_add_overflow(a.integer(), b.integer(), &result);
    break;
  case Operator::Subtract:
    if (!isInteger)
      return a.number() - b.number();
    overflows = __builtin_sub_overflow(a.integer(), b.integer(), &result);
    break;
  case Operator::Multiply:
    if (!isInteger)
      return a.number() * b.number();
    overflows = __builtin_mul_overflow(a.integer(), b.integer(), &result);
    break;
  case Operator::Divide:
    if (b.number() == 0)
      throw Error("expected a divisor other than 0, found 0");
    return a.number() / b.number();
  case Operator::FloorDivide:
    return floorDivide(a, b);
  case Operator::Modulo:
    return modulo(a, b);
  default:
    return power(a, b);
  }
  if (overflows)
    failOverflow();
  return result;
}

const char *symbolOf(Operator op) {
  switch (op) {
  case Operator::Subtract:
    return "-";
  case Operator::Multiply:
    return "*";
  case Operator::Divide:
    return "/";
  case Operator::FloorDivide:
    return "//";
  case Operator::Modulo:
    return "%";
  default:
    return "**";
  }
}

/// Python's clamping of one end of a slice.
int64_t sliceEnd(const Value &value, int64_t fallback, int64_t length,
                 bool backwards) {
  if (value.isNone())
    return fallback;
  int64_t at = requireInteger(value, "slice");
  if (at < 0)
    at = at < -length ? -1 : at + length;
  const int64_t low = backwards ? -1 : 0;
  return std::clamp(at, low, backwards ? length - 1 : length);
}

Value loopMember(const std::shared_ptr<Loop> &loop, const std::string &name) {
  if (name == "index")
    return loop->index0 + 1;
  if (name == "index0")
    return loop->index0;
  if (name == "revindex")
    return loop->length - loop->index0;
  if (name == "revindex0")
    return loop->length - loop->index0 - 1;
  if (name == "first")
    return loop->index0 == 0;
  if (name == "last")
    return loop->index0 + 1 == loop->length;
  if (name == "length")
    return loop->length;
  if (name == "depth") // of recursive loops alone
    return int64_t(1);
  if (name == "depth0")
    return int64_t(0);
  if (name == "previtem")
    return loop->previous;
  if (name == "nextitem")
    return loop->next;
  if (name == "cycle")
    return std::make_shared<const Callable>(
        Callable{"cycle", [index = loop->index0](const Arguments &arguments) {
                   arguments.require("cycle", 1, SIZE_MAX);
                   const auto &values = arguments.positional;
                   return values[size_t(index) % values.size()];
                 }});
  return Value::undefined("loop." + name);
}

std::string describeMember(const Value &object, const Value &key) {
  if (key.isText())
    return "'" + utf8Of(key.text().substr(0, 60)) + "' of a " +
           object.typeName();
  if (key.isInteger())
    return "element " + std::to_string(key.integer()) + " of a " +
           object.typeName();
  return std::string("a member of a ") + object.typeName();
}

/// What dict and index access give, or nothing.
std::optional<Value> findElement(const Value &object, const Value &key,
                                 Budget &budget) {
  if (object.isDict()) {
    budget.spend(1 + int64_t(object.mapping().members.size()));
    if (const Value *found = object.mapping().find(key))
      return *found;
  } else if (isSequence(object) && key.isInteger()) {
    const int64_t length = lengthOf(object);
    const int64_t at =
        key.integer() < 0 ? key.integer() + length : key.integer();
    if (at >= 0 && at < length)
      return object.isText()
                 ? textLike(object, Text(1, object.text()[size_t(at)]))
                 : object.sequence().items[size_t(at)];
  }
  return std::nullopt;
}

/// What dotted access gives, or nothing.
std::optional<Value> findMember(const Value &object, const std::string &name,
                                Budget &budget) {
  if (object.is<Namespace *>()) {
    const auto &members = object.as<Namespace *>()->members;
    const auto found = members.find(name);
    if (found == members.end())
      return std::nullopt;
    return found->second;
  }
  if (object.is<std::shared_ptr<Loop>>())
    return loopMember(object.as<std::shared_ptr<Loop>>(), name);
  return findMethod(object, name, budget);
}

} // namespace

void requireDefined(const Value &object) {
  if (object.isUndefined())
    throw Error(*object.as<Undefined>().what + " is undefined");
}

const Text &requireText(const Value &value, const char *function) {
  if (!value.isText())
    throw Error(std::string(function) + ": expected a str, found " +
                value.typeName());
  return value.text();
}

int64_t requireInteger(const Value &value, const char *function) {
  if (!value.isInteger())
    throw Error(std::string(function) + ": expected an int, found " +
                value.typeName());
  return value.integer();
}

Value apply(Operator op, const Value &left, const Value &right,
            Budget &budget) {
  switch (op) {
  case Operator::Equal:
    return equal(left, right, budget);
  case Operator::NotEqual:
    return !equal(left, right, budget);
  case Operator::Less:
    return less(left, right, budget);
  case Operator::LessEqual:
    return !less(right, left, budget);
  case Operator::Greater:
    return less(right, left, budget);
  case Operator::GreaterEqual:
    return !less(left, right, budget);
  case Operator::In:
    return contains(right, left, budget);
  case Operator::NotIn:
    return !contains(right, left, budget);
  case Operator::Concatenate:
    return stringOf(left, budget) + stringOf(right, budget);
  default:
    break;
  }
  if (left.isNumber() && right.isNumber())
    return arithmetic(op, left, right);
  if (op == Operator::Add)
    return add(left, right, budget);
  if (op == Operator::Multiply && isSequence(left) && right.isInteger())
    return repeat(left, right.integer(), budget);
  if (op == Operator::Multiply && left.isInteger() && isSequence(right))
    return repeat(right, left.integer(), budget);
  failOn(symbolOf(op), left, right);
}

Value subscript(const Value &object, const Value &key, Budget &budget) {
  requireDefined(object);
  if (auto element = findElement(object, key, budget))
    return *element;
  if (key.isText())
    if (auto member = findMember(object, utf8Of(key.text()), budget))
      return *member;
  return Value::undefined(describeMember(object, key));
}

Value attribute(const Value &object, const std::string &name, Budget &budget) {
  requireDefined(object);
  if (auto member = findMember(object, name, budget))
    return *member;
  const Value key = Value::trusted(name);
  if (auto element = findElement(object, key, budget))
    return *element;
  return Value::undefined(describeMember(object, key));
}

Value slice(const Value &object, const Value &begin, const Value &end,
            const Value &step, Budget &budget) {
  requireDefined(object);
  if (!isSequence(object))
    return Value::undefined(std::string("a slice of a ") + object.typeName());
  const int64_t stride = step.isNone() ? 1 : requireInteger(step, "slice");
  if (stride == 0)
    throw Error("slice: expected a step other than 0, found 0");
  const int64_t length = lengthOf(object);
  const bool backwards = stride < 0;
  const int64_t first =
      sliceEnd(begin, backwards ? length - 1 : 0, length, backwards);
  const int64_t last =
      sliceEnd(end, backwards ? -1 : length, length, backwards);
  budget.spend(1 + length);
  Text text;
  std::vector<Value> items;
  // A stride beyond the length takes one element; clamped, it cannot overflow.
  const int64_t move = std::clamp(stride, -length - 1, length + 1);
  for (int64_t at = first; backwards ? at > last : at < last; at += move) {
    if (object.isText())
      text += object.text()[size_t(at)];
    else
      items.push_back(object.sequence().items[size_t(at)]);
  }
  if (object.isText())
    return textLike(object, std::move(text));
  budget.spend(Budget::kElement * int64_t(items.size()));
  return Value::list(std::move(items), object.sequence().kind);
}

} // namespace fairy2::jinja
