// SPDX-License-Identifier: Apache-2.0
//
// A parsed template.
#pragma once

#include "runtime/text/jinja/Value.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairy2::jinja {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

enum class Operator {
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
  Concatenate,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  In,
  NotIn
};

struct Expression {
  enum class Kind {
    Constant,
    Name,
    List,      ///< operands: the elements
    Tuple,     ///< the same
    Dict,      ///< operands: key, value, key, value, ..
    Attribute, ///< operand . name
    Subscript, ///< operands: object, key
    Slice,     ///< operands: object, begin, end, step; null where absent
    Call,      ///< operands: function, arguments ..; named
    Filter,    ///< operands: input, arguments ..; name; named
    Test,      ///< the same
    BlockText, ///< the input of the filters of a block
    Negate,
    Positive,
    Not,
    And,
    Or,
    Binary,      ///< operators[0]
    Compare,     ///< a < b <= c: operators between operands
    Conditional, ///< operands: value, condition, otherwise or null
  };

  Kind kind;
  int line;
  int depth = 1; ///< of the tree below
  Value constant;
  std::string name;
  std::vector<ExpressionPointer> operands;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
  std::vector<Operator> operators;
};

struct Statement;
using Body = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExpressionPointer defaultValue; ///< or null
};

struct Statement {
  enum class Kind {
    Data,
    Print,       ///< expressions[0]
    If,          ///< expressions: conditions; bodies: theirs, then the else
    For,         ///< expressions: what to go over, which to take or null;
                 ///< bodies: each, none; names: targets
    Set,         ///< expressions[0]; names, or names[0] . attribute
    SetBlock,    ///< expressions[0]: filters over BlockText; bodies[0]
    Macro,       ///< names[0], parameters, bodies[0]
    FilterBlock, ///< as SetBlock, printed
    With,        ///< names and expressions; bodies[0]
    Generation,  ///< bodies[0], what the assistant said
    Break,
    Continue
  };

  Kind kind;
  int line;
  Text data;
  std::vector<std::string> names;
  std::string attribute;
  std::vector<ExpressionPointer> expressions;
  std::vector<Body> bodies;
  std::vector<Parameter> parameters;
};

/// Parses a template. Throws Error naming the line and what is not understood.
Body parse(std::string_view source);

} // namespace fairy2::jinja
