// SPDX-License-Identifier: Apache-2.0
//
// Evaluation in the order Jinja evaluates.
#include "runtime/text/jinja/Interpreter.h"

#include "runtime/text/jinja/Builtins.h"
#include "runtime/text/jinja/Lexer.h"

#include <algorithm>

namespace fairy2::jinja {
namespace {

using Kind = Expression::Kind;

constexpr int kMaxDepth = 600;
constexpr size_t kMaxOutput = size_t(8) << 20; // characters
constexpr int64_t kMaxRange = 100'000;         // jinja2.sandbox.MAX_RANGE

Value rangeOf(const Arguments &arguments, Budget &budget) {
  arguments.require("range", 1, 3);
  std::vector<int64_t> parts;
  for (const Value &value : arguments.positional)
    parts.push_back(requireInteger(value, "range"));
  const int64_t begin = parts.size() > 1 ? parts[0] : 0;
  const int64_t end = parts.size() > 1 ? parts[1] : parts[0];
  const int64_t step = parts.size() > 2 ? parts[2] : 1;
  if (step == 0)
    throw Error("range: expected a step other than 0, found 0");
  std::vector<Value> items;
  for (int64_t value = begin; step > 0 ? value < end : value > end;) {
    if (int64_t(items.size()) == kMaxRange)
      throw Error("range: expected at most " + std::to_string(kMaxRange) +
                  " elements, found more");
    items.push_back(value);
    if (__builtin_add_overflow(value, step, &value))
      break;
  }
  budget.spend(Budget::kElement * int64_t(items.size()));
  return Value::list(std::move(items));
}

Value dictOf(const Arguments &arguments, Budget &budget) {
  std::vector<std::pair<Value, Value>> members;
  if (arguments.positional.size() > 1)
    throw Error("dict: expected at most one argument, found " +
                std::to_string(arguments.positional.size()));
  if (!arguments.positional.empty()) {
    if (!arguments.positional[0].isDict())
      throw Error(std::string("dict: expected a dict, found ") +
                  arguments.positional[0].typeName());
    members = arguments.positional[0].mapping().members;
  }
  for (const auto &[name, value] : arguments.named) {
    budget.spend(Budget::kElement * int64_t(members.size() + 1));
    const auto same =
        std::find_if(members.begin(), members.end(), [&](const auto &member) {
          return member.first.isText() && utf8Of(member.first.text()) == name;
        });
    if (same != members.end())
      same->second = value;
    else
      members.emplace_back(Value::trusted(name), value);
  }
  return Value::dict(std::move(members));
}

Value timeText(const Arguments &arguments, std::time_t now) {
  arguments.require("strftime_now", 1, 1);
  const std::string format =
      utf8Of(requireText(arguments.positional[0], "strftime_now"));
  if (format.size() > 256 || format.find('\0') != std::string::npos)
    throw Error("strftime_now: expected a format of at most 256 characters");
  std::tm local = {};
  localtime_r(&now, &local);
  char text[4096];
  const size_t size = std::strftime(text, sizeof(text), format.c_str(), &local);
  return Value::trusted({text, size});
}

} // namespace

const Value *Scope::find(std::string_view name) const {
  for (const Scope *scope = this; scope; scope = scope->parent)
    if (const auto found = scope->variables.find(name);
        found != scope->variables.end())
      return &found->second;
  return nullptr;
}

Interpreter::Interpreter(const Variables &variables, std::time_t now) {
  defineFunctions(now);
  root.parent = &globals;
  for (const auto &[name, value] : variables)
    root.set(name, value);
}

void Interpreter::defineFunction(const char *name,
                                 std::function<Value(const Arguments &)> call) {
  globals.set(
      name, std::make_shared<const Callable>(Callable{name, std::move(call)}));
}

void Interpreter::defineFunctions(std::time_t now) {
  defineFunction("range", [this](const Arguments &arguments) {
    return rangeOf(arguments, budget);
  });
  defineFunction("dict", [this](const Arguments &arguments) {
    return dictOf(arguments, budget);
  });
  defineFunction("namespace", [this](const Arguments &arguments) -> Value {
    budget.spend(Budget::kElement);
    Namespace &made = namespaces.emplace_back();
    const Value members = dictOf(arguments, budget);
    for (const auto &[key, value] : members.mapping().members)
      made.members[utf8Of(requireText(key, "namespace"))] = value;
    return &made;
  });
  defineFunction(
      "raise_exception", [this](const Arguments &arguments) -> Value {
        arguments.require("raise_exception", 1, 1);
        throw Error(utf8Of(stringOf(arguments.positional[0], budget)));
      });
  defineFunction("strftime_now", [now](const Arguments &arguments) {
    return timeText(arguments, now);
  });
}

Text Interpreter::run(const Body &body) {
  try {
    if (execute(body, root) != Flow::Normal)
      throw Error("expected break and continue inside a loop");
  } catch (const Error &error) {
    failAt(line, error.what());
  }
  return std::move(output);
}

void Interpreter::print(const Text &text) {
  budget.spend(int64_t(text.size()));
  if (text.size() > kMaxOutput - output.size())
    throw Error("expected an output of at most " + std::to_string(kMaxOutput) +
                " characters, found more");
  output += text;
}

/// Goes one level deeper; an error ends the rendering, so only success needs to
/// come back.
void Interpreter::enter() {
  if (++depth > kMaxDepth)
    throw Error("expected blocks, calls and expressions nested at most " +
                std::to_string(kMaxDepth) + " deep, found more");
}

Interpreter::Flow Interpreter::execute(const Body &body, Scope &scope) {
  enter();
  Flow flow = Flow::Normal;
  for (size_t i = 0; i < body.size() && flow == Flow::Normal; ++i)
    flow = execute(body[i], scope);
  --depth;
  return flow;
}

Interpreter::Flow Interpreter::execute(const Statement &statement,
                                       Scope &scope) {
  budget.spend(1);
  line = statement.line;
  switch (statement.kind) {
  case Statement::Kind::Data:
    print(statement.data);
    break;
  case Statement::Kind::Print:
    print(stringOf(evaluate(*statement.expressions[0], scope), budget));
    break;
  case Statement::Kind::If:
    return executeIf(statement, scope);
  case Statement::Kind::For:
    return executeFor(statement, scope);
  case Statement::Kind::Set:
    store(statement, evaluate(*statement.expressions[0], scope), scope);
    break;
  case Statement::Kind::SetBlock:
    store(statement, blockValue(statement, scope), scope);
    break;
  case Statement::Kind::Macro:
    executeMacro(statement, scope);
    break;
  case Statement::Kind::FilterBlock:
    print(stringOf(blockValue(statement, scope), budget));
    break;
  case Statement::Kind::With:
    return executeWith(statement, scope);
  case Statement::Kind::Generation: {
    Scope inner{&scope, {}};
    return execute(statement.bodies[0], inner);
  }
  case Statement::Kind::Break:
    return Flow::Break;
  case Statement::Kind::Continue:
    return Flow::Continue;
  }
  return Flow::Normal;
}

Interpreter::Flow Interpreter::executeIf(const Statement &statement,
                                         Scope &scope) {
  size_t branch = 0;
  while (branch < statement.expressions.size() &&
         !evaluate(*statement.expressions[branch], scope).truth())
    ++branch;
  return branch < statement.bodies.size()
             ? execute(statement.bodies[branch], scope)
             : Flow::Normal;
}

Interpreter::Flow Interpreter::executeFor(const Statement &statement,
                                          Scope &scope) {
  std::vector<Value> items =
      elementsOf(evaluate(*statement.expressions[0], scope), budget);
  if (const ExpressionPointer &condition = statement.expressions[1])
    std::erase_if(items, [&](const Value &item) {
      Scope inner{&scope, {}};
      assign(statement.names, item, inner);
      return !evaluate(*condition, inner).truth();
    });
  if (items.empty())
    return statement.bodies.size() > 1 ? execute(statement.bodies[1], scope)
                                       : Flow::Normal;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto outside = [](const char *name) {
      return Value::undefined(name);
    };
    auto loop = std::make_shared<Loop>();
    loop->index0 = int64_t(i);
    loop->length = int64_t(items.size());
    loop->previous = i > 0 ? items[i - 1] : outside("loop.previtem");
    loop->next = i + 1 < items.size() ? items[i + 1] : outside("loop.nextitem");
    Scope inner{&scope, {}};
    inner.set("loop", std::move(loop));
    assign(statement.names, items[i], inner);
    budget.spend(Budget::kElement);
    if (execute(statement.bodies[0], inner) == Flow::Break)
      break;
  }
  return Flow::Normal;
}

void Interpreter::assign(const std::vector<std::string> &names,
                         const Value &value, Scope &scope) {
  if (names.size() == 1)
    return scope.set(names[0], value);
  const std::vector<Value> parts = elementsOf(value, budget);
  if (parts.size() != names.size())
    throw Error("expected " + std::to_string(names.size()) +
                " values to take apart, found " + std::to_string(parts.size()));
  for (size_t i = 0; i < names.size(); ++i)
    scope.set(names[i], parts[i]);
}

void Interpreter::store(const Statement &statement, Value value, Scope &scope) {
  if (statement.attribute.empty())
    return assign(statement.names, value, scope);
  const Value *object = scope.find(statement.names[0]);
  if (!object || !object->is<Namespace *>())
    throw Error("expected '" + statement.names[0] +
                "' to be a namespace, whose members can be set");
  object->as<Namespace *>()->members[statement.attribute] = std::move(value);
}

Value Interpreter::blockValue(const Statement &statement, Scope &scope) {
  Text before = std::move(output);
  output.clear();
  Scope inner{&scope, {}};
  if (execute(statement.bodies[0], inner) != Flow::Normal)
    throw Error("expected no break or continue inside a block's text");
  std::swap(before, output);
  blockTexts.push_back(std::move(before));
  Value value = evaluate(*statement.expressions[0], scope);
  blockTexts.pop_back();
  return value;
}

void Interpreter::executeMacro(const Statement &statement, Scope &scope) {
  // A macro sees the variables around it, which must outlive it.
  if (&scope != &root)
    throw Error("expected macros outside of loops, blocks and macros");
  scope.set(statement.names[0],
            std::make_shared<const Callable>(Callable{
                statement.names[0], [this, &statement](const Arguments &args) {
                  return callMacro(statement, args);
                }}));
}

Value Interpreter::callMacro(const Statement &macro,
                             const Arguments &arguments) {
  const std::string &name = macro.names[0];
  if (arguments.positional.size() > macro.parameters.size())
    throw Error("macro '" + name + "': expected at most " +
                std::to_string(macro.parameters.size()) + " arguments, found " +
                std::to_string(arguments.positional.size()));
  for (const auto &argument : arguments.named)
    if (std::none_of(macro.parameters.begin(), macro.parameters.end(),
                     [&](const Parameter &parameter) {
                       return parameter.name == argument.first;
                     }))
      throw Error("macro '" + name + "': unknown argument '" + argument.first +
                  "'");
  const int callLine = line;
  Scope inner{&root, {}};
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter &parameter = macro.parameters[i];
    if (const Value *given = arguments.find(i, parameter.name))
      inner.set(parameter.name, *given);
    else if (parameter.defaultValue)
      inner.set(parameter.name, evaluate(*parameter.defaultValue, inner));
    else
      inner.set(parameter.name, Value::undefined("'" + parameter.name + "'"));
  }
  Text before = std::move(output);
  output.clear();
  if (execute(macro.bodies[0], inner) != Flow::Normal)
    throw Error("expected break and continue inside a loop");
  std::swap(before, output);
  line = callLine;
  return before;
}

Interpreter::Flow Interpreter::executeWith(const Statement &statement,
                                           Scope &scope) {
  Scope inner{&scope, {}};
  // Values are those of outside, whatever the names before them.
  for (size_t i = 0; i < statement.names.size(); ++i)
    inner.set(statement.names[i], evaluate(*statement.expressions[i], scope));
  return execute(statement.bodies[0], inner);
}

Value Interpreter::evaluate(const Expression &node, Scope &scope) {
  budget.spend(1);
  line = node.line;
  enter();
  Value value = evaluateNode(node, scope);
  --depth;
  return value;
}

std::vector<Value> Interpreter::evaluateAll(const Expression &node,
                                            Scope &scope) {
  std::vector<Value> values;
  for (const ExpressionPointer &operand : node.operands)
    values.push_back(operand ? evaluate(*operand, scope) : Value());
  return values;
}

Value Interpreter::evaluateNode(const Expression &node, Scope &scope) {
  const auto operand = [&](size_t i) {
    return evaluate(*node.operands[i], scope);
  };
  switch (node.kind) {
  case Kind::Constant:
    return node.constant;
  case Kind::Name:
    if (const Value *found = scope.find(node.name))
      return *found;
    return Value::undefined("'" + node.name + "'");
  case Kind::List:
  case Kind::Tuple:
    budget.spend(Budget::kElement * int64_t(node.operands.size()));
    return Value::list(evaluateAll(node, scope), node.kind == Kind::List
                                                     ? List::Kind::List
                                                     : List::Kind::Tuple);
  case Kind::Dict: {
    std::vector<std::pair<Value, Value>> members;
    for (size_t i = 0; i < node.operands.size(); i += 2) {
      Value key = operand(i), value = operand(i + 1);
      const auto same =
          std::find_if(members.begin(), members.end(), [&](const auto &member) {
            return equal(member.first, key, budget);
          });
      if (same != members.end())
        same->second = std::move(value);
      else
        members.emplace_back(std::move(key), std::move(value));
    }
    return Value::dict(std::move(members));
  }
  case Kind::Attribute:
    return attribute(operand(0), node.name, budget);
  case Kind::Subscript: {
    const Value object = operand(0);
    return subscript(object, operand(1), budget);
  }
  case Kind::Slice: {
    const std::vector<Value> parts = evaluateAll(node, scope);
    return slice(parts[0], parts[1], parts[2], parts[3], budget);
  }
  case Kind::Call:
    return evaluateCall(node, scope);
  case Kind::Filter: {
    const Value input = operand(0);
    return callFilter(node.name, input, evaluateArguments(node, 1, scope),
                      budget);
  }
  case Kind::Test: {
    const Value input = operand(0);
    return callTest(node.name, input, evaluateArguments(node, 1, scope),
                    budget);
  }
  case Kind::BlockText:
    return blockTexts.back();
  case Kind::Negate: {
    const Value value = operand(0);
    if (value.is<double>())
      return -value.number(); // 0 - 0.0 is not -0.0
    return apply(Operator::Subtract, Value(int64_t(0)), value, budget);
  }
  case Kind::Positive:
    return apply(Operator::Add, Value(int64_t(0)), operand(0), budget);
  case Kind::Not:
    return !operand(0).truth();
  case Kind::And: {
    Value left = operand(0);
    return left.truth() ? operand(1) : left;
  }
  case Kind::Or: {
    Value left = operand(0);
    return left.truth() ? left : operand(1);
  }
  case Kind::Binary: {
    const Value left = operand(0);
    return apply(node.operators[0], left, operand(1), budget);
  }
  case Kind::Compare:
    return evaluateCompare(node, scope);
  case Kind::Conditional:
    if (operand(1).truth())
      return operand(0);
    if (node.operands[2])
      return operand(2);
    return Value::undefined("the value of an if without else");
  }
  return {};
}

Value Interpreter::evaluateCompare(const Expression &node, Scope &scope) {
  Value left = evaluate(*node.operands[0], scope);
  for (size_t i = 0; i < node.operators.size(); ++i) {
    Value right = evaluate(*node.operands[i + 1], scope);
    if (!apply(node.operators[i], left, right, budget).truth())
      return false;
    left = std::move(right);
  }
  return true;
}

Arguments Interpreter::evaluateArguments(const Expression &node, size_t first,
                                         Scope &scope) {
  Arguments arguments;
  for (size_t i = first; i < node.operands.size(); ++i)
    arguments.positional.push_back(evaluate(*node.operands[i], scope));
  for (const auto &[name, value] : node.named)
    arguments.named.emplace_back(name, evaluate(*value, scope));
  return arguments;
}

Value Interpreter::evaluateCall(const Expression &node, Scope &scope) {
  const Value function = evaluate(*node.operands[0], scope);
  if (function.isUndefined())
    throw Error(*function.as<Undefined>().what + " is undefined");
  if (!function.is<std::shared_ptr<const Callable>>())
    throw Error(std::string("expected a function to call, found ") +
                function.typeName());
  const auto callable = function.as<std::shared_ptr<const Callable>>();
  const Arguments arguments = evaluateArguments(node, 1, scope);
  line = node.line;
  return callable->call(arguments);
}

Text Template::render(const Variables &variables, std::time_t now) const {
  return Interpreter(variables, now).run(body);
}

} // namespace fairy2::jinja
