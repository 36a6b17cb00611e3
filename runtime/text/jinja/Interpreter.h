// SPDX-License-Identifier: Apache-2.0
//
// One rendering of a template: walks the tree, keeps the variables of each
// block, and collects the output.
#pragma once

#include "runtime/text/jinja/Template.h"

#include <deque>

namespace fairy2::jinja {

/// The variables of a block. What is set inside a loop or macro ends with it.
struct Scope {
  Scope *parent = nullptr;
  std::map<std::string, Value, std::less<>> variables;

  void set(const std::string &name, Value value) {
    variables.insert_or_assign(name, std::move(value));
  }
  const Value *find(std::string_view name) const;
};

class Interpreter {
public:
  Interpreter(const Variables &variables, std::time_t now);

  Text run(const Body &body);

private:
  enum class Flow { Normal, Break, Continue };

  void enter();
  Flow execute(const Body &body, Scope &scope);
  Flow execute(const Statement &statement, Scope &scope);
  Flow executeIf(const Statement &statement, Scope &scope);
  Flow executeFor(const Statement &statement, Scope &scope);
  /// Sets the statement's names, or its member of a namespace.
  void store(const Statement &statement, Value value, Scope &scope);
  void executeMacro(const Statement &statement, Scope &scope);
  Flow executeWith(const Statement &statement, Scope &scope);
  /// The body's output as a value, run through the statement's filters.
  Value blockValue(const Statement &statement, Scope &scope);
  void assign(const std::vector<std::string> &names, const Value &value,
              Scope &scope);
  Value callMacro(const Statement &macro, const Arguments &arguments);
  void print(const Text &text);

  Value evaluate(const Expression &node, Scope &scope);
  Value evaluateNode(const Expression &node, Scope &scope);
  Value evaluateCompare(const Expression &node, Scope &scope);
  Value evaluateCall(const Expression &node, Scope &scope);
  Arguments evaluateArguments(const Expression &node, size_t first,
                              Scope &scope);
  std::vector<Value> evaluateAll(const Expression &node, Scope &scope);

  void defineFunction(const char *name,
                      std::function<Value(const Arguments &)> call);
  void defineFunctions(std::time_t now);

  Budget budget;
  Scope globals; ///< functions; below them the template's own variables
  Scope root;
  std::deque<Namespace> namespaces;
  Text output;
  std::vector<Value> blockTexts; ///< inputs of the filters being evaluated
  int depth = 0;                 ///< of expressions, bodies and calls together
  int line = 1;
};

} // namespace fairy2::jinja
