// SPDX-License-Identifier: Apache-2.0
//
// Values of the template language, with Python's meaning: what is true, what is
// equal, how it prints. Immutable but for namespaces, so that no value can
// contain itself. All work is counted against a Budget.
#pragma once

#include "runtime/support/Error.h"
#include "runtime/text/jinja/Text.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fairy2::jinja {

/// What a rendering may cost. A template from a stranger can ask for any amount
/// of work; these bounds keep time and memory of one rendering small.
class Budget {
public:
  /// One unit: a node evaluated, or a character made or looked at.
  static constexpr int64_t kMaxWork = int64_t(32) << 20;
  /// Elements weigh more than characters.
  static constexpr int64_t kElement = 8;

  /// Throws Error when the work is used up.
  void spend(int64_t units) {
    if ((used += units) > kMaxWork)
      throw Error("expected a rendering of at most " +
                  std::to_string(kMaxWork) + " steps, found more work to do");
  }

private:
  int64_t used = 0;
};

class Value;
struct Callable;
struct Loop;

/// A sequence; its kind is what Python would have made.
struct List {
  enum class Kind { List, Tuple, Generator, View };
  Kind kind = Kind::List;
  std::vector<Value> items;
  int depth = 1; ///< lists and dicts inside each other
};

/// Members in the order they were added; keys are compared as Python does.
struct Dict {
  std::vector<std::pair<Value, Value>> members;
  int depth = 1;

  const Value *find(const Value &key) const;
  const Value *find(std::string_view key) const;
};

/// The one mutable object. Owned by the interpreter, so cycles do not leak.
struct Namespace {
  std::map<std::string, Value, std::less<>> members;
};

/// The missing value; `what` says in an error what was missing.
struct Undefined {
  std::shared_ptr<const std::string> what;
};
struct None {};

using TextPointer = std::shared_ptr<const Text>;
using ListPointer = std::shared_ptr<const List>;
using DictPointer = std::shared_ptr<const Dict>;

class Value {
public:
  Value() : data(None{}) {}
  Value(None) : data(None{}) {}
  Value(bool value) : data(value) {}
  Value(int64_t value) : data(value) {}
  Value(double value) : data(value) {}
  Value(const char *) = delete; // not a bool
  Value(Text value) : data(std::make_shared<const Text>(std::move(value))) {}
  Value(TextPointer value) : data(std::move(value)) {}
  Value(ListPointer value) : data(std::move(value)) {}
  Value(DictPointer value) : data(std::move(value)) {}
  Value(Namespace *value) : data(value) {}
  Value(std::shared_ptr<Loop> value) : data(std::move(value)) {}
  Value(std::shared_ptr<const Callable> value) : data(std::move(value)) {}
  static Value undefined(std::string what);
  /// A string of the template or the engine.
  static Value trusted(std::string_view utf8) { return textOf(utf8, true); }

  /// A string that counts as escaped, Python's Markup: what is added to it is
  /// escaped. `|safe` makes one.
  static Value markup(Text text) {
    Value value(std::move(text));
    value.escaped = true;
    return value;
  }

  /// A sequence of these; throws Error when it nests too deep.
  static Value list(std::vector<Value> items,
                    List::Kind kind = List::Kind::List);
  static Value dict(std::vector<std::pair<Value, Value>> members);

  template <typename T> bool is() const {
    return std::holds_alternative<T>(data);
  }
  template <typename T> const T &as() const { return std::get<T>(data); }

  bool isUndefined() const { return is<Undefined>(); }
  bool isNone() const { return is<None>(); }
  bool isText() const { return is<TextPointer>(); }
  bool isMarkup() const { return escaped; }
  bool isList() const { return is<ListPointer>(); }
  bool isDict() const { return is<DictPointer>(); }
  bool isBool() const { return is<bool>(); }
  /// bool counts, as in Python.
  bool isInteger() const { return is<int64_t>() || is<bool>(); }
  bool isNumber() const { return isInteger() || is<double>(); }

  const Text &text() const { return *as<TextPointer>(); }
  const List &sequence() const { return *as<ListPointer>(); }
  const Dict &mapping() const { return *as<DictPointer>(); }
  int64_t integer() const { return is<bool>() ? as<bool>() : as<int64_t>(); }
  double number() const {
    return is<double>() ? as<double>() : double(integer());
  }

  bool truth() const;
  /// How deep lists and dicts nest in it.
  int depth() const;
  /// What Python calls its type.
  const char *typeName() const;

private:
  std::variant<None, Undefined, bool, int64_t, double, TextPointer, ListPointer,
               DictPointer, Namespace *, std::shared_ptr<Loop>,
               std::shared_ptr<const Callable>>
      data;
  bool escaped = false; ///< of a string
};

/// The arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument at a place or of a name, or null.
  const Value *find(size_t place, std::string_view name) const;
  /// Whether such an argument is there and true.
  bool flag(size_t place, std::string_view name) const {
    const Value *value = find(place, name);
    return value && value->truth();
  }
  /// Throws Error if there are more than `places` or others than `names`.
  void require(const char *function, size_t least, size_t places,
               std::initializer_list<std::string_view> names = {}) const;
};

struct Callable {
  std::string name;
  std::function<Value(const Arguments &)> call;
};

/// The variable `loop`.
struct Loop {
  int64_t index0 = 0, length = 0;
  Value previous, next;
};

/// `text` as a string that is Markup where `like` is, as methods of str make
/// it.
inline Value textLike(const Value &like, Text text) {
  return like.isMarkup() ? Value::markup(std::move(text))
                         : Value(std::move(text));
}
/// The text of a str for HTML, as markupsafe escapes it; of Markup as it is.
Text escapedText(const Value &value, Budget &budget);

/// ==; throws Error when it costs too much.
bool equal(const Value &a, const Value &b, Budget &budget);
/// Throws Error for what cannot be the key of a dict.
void requireHashable(const Value &value);
/// <; throws Error for values without order.
bool less(const Value &a, const Value &b, Budget &budget);
/// `item in container`.
bool contains(const Value &container, const Value &item, Budget &budget);

/// str(): what {{ }} prints.
Text stringOf(const Value &value, Budget &budget);
/// repr(): how it prints inside a list.
void appendRepr(Text &out, const Value &value, Budget &budget);
/// As Python prints a float.
std::string floatRepr(double value);

/// The elements that a `for` goes over: of a sequence, keys of a dict,
/// characters of a string, nothing of an undefined value. Throws Error.
std::vector<Value> elementsOf(const Value &value, Budget &budget);
/// len(); throws Error.
int64_t lengthOf(const Value &value);

} // namespace fairy2::jinja
