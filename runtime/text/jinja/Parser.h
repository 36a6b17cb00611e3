// SPDX-License-Identifier: Apache-2.0
//
// A parser by recursive descent with the precedences of jinja2.parser. Nesting
// is bounded, because the interpreter and the tree's destruction recurse.
#pragma once

#include "runtime/text/jinja/Lexer.h"
#include "runtime/text/jinja/Syntax.h"

#include <algorithm>
#include <initializer_list>

namespace fairy2::jinja {

class Parser {
public:
  static constexpr int kMaxExpressionDepth = 200;
  static constexpr int kMaxStatementDepth = 50;

  explicit Parser(std::vector<Token> list) : tokens(std::move(list)) {}

  Body run() {
    Body body = parseBody({});
    if (token().kind != Token::Kind::End)
      failExpected("the end of the template");
    return body;
  }

private:
  const Token &token(size_t ahead = 0) const {
    return tokens[std::min(position + ahead, tokens.size() - 1)];
  }
  bool skipOperator(std::string_view text) {
    const bool found = token().isOperator(text);
    position += found;
    return found;
  }
  bool skipName(std::string_view text) {
    const bool found = token().isName(text);
    position += found;
    return found;
  }
  void expectOperator(std::string_view text) {
    if (!skipOperator(text))
      failExpected("'" + std::string(text) + "'");
  }
  std::string expectName(const char *what = "a name") {
    if (token().kind != Token::Kind::Name)
      failExpected(what);
    return utf8Of(tokens[position++].text);
  }
  void expectEnd(Token::Kind kind) {
    if (token().kind != kind)
      failExpected(kind == Token::Kind::BlockEnd ? "%}" : "}}");
    ++position;
  }
  [[noreturn]] void failExpected(const std::string &what) const;
  [[noreturn]] void fail(const std::string &what) const {
    failAt(token().line, what);
  }

  // Statements.
  Body parseBody(std::initializer_list<std::string_view> ends);
  void parseStatement(Body &body);
  /// Reads a body up to {% end.. %}, which is consumed.
  Body parseBodyUntil(std::string_view end);
  Statement parseIf();
  Statement parseFor();
  Statement parseSet();
  Statement parseMacro();
  Statement parseWith();
  std::vector<std::string> parseNames();

  // Expressions, loosest first.
  ExpressionPointer parseTuple(bool withConditional = true);
  ExpressionPointer parseExpression();
  ExpressionPointer parseOr();
  ExpressionPointer parseAnd();
  ExpressionPointer parseNot();
  ExpressionPointer parseCompare();
  ExpressionPointer parseSum();
  ExpressionPointer parseConcatenation();
  ExpressionPointer parseProduct();
  ExpressionPointer parsePower();
  ExpressionPointer parseUnary(bool withFilters = true);
  ExpressionPointer parsePrimary();
  ExpressionPointer parsePostfix(ExpressionPointer operand);
  ExpressionPointer parseFilters(ExpressionPointer operand);
  ExpressionPointer parseFilter(ExpressionPointer operand);
  ExpressionPointer parseTest(ExpressionPointer operand);
  ExpressionPointer parseSubscript(ExpressionPointer operand);
  ExpressionPointer parseDict();
  /// The elements up to a closing bracket.
  void parseElements(Expression &into, std::string_view close);
  void parseArguments(Expression &call);
  bool atTupleEnd() const;

  using Kind = Expression::Kind;
  ExpressionPointer make(Kind kind) const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->line = token().line;
    return node;
  }
  /// Puts `operand`, which may be null, under `node`.
  void add(Expression &node, ExpressionPointer operand) const {
    grow(node, operand);
    node.operands.push_back(std::move(operand));
  }
  void grow(Expression &node, const ExpressionPointer &below) const {
    if (!below)
      return;
    node.depth = std::max(node.depth, below->depth + 1);
    if (node.depth > kMaxExpressionDepth)
      failDepth();
  }
  [[noreturn]] void failDepth() const {
    fail("expected an expression nested at most " +
         std::to_string(kMaxExpressionDepth) + " deep, found more");
  }
  ExpressionPointer binary(Kind kind, ExpressionPointer left,
                           ExpressionPointer right) const {
    auto node = make(kind);
    add(*node, std::move(left));
    add(*node, std::move(right));
    return node;
  }
  /// left (op right)*, for operators of one precedence.
  using Rule = ExpressionPointer (Parser::*)();
  ExpressionPointer
  parseChain(Rule next,
             std::initializer_list<std::pair<std::string_view, Operator>> list);

  std::vector<Token> tokens;
  size_t position = 0;
  int expressionDepth = 0, statementDepth = 0;
};

/// Counts a level of recursion for as long as it lives.
class Level {
public:
  explicit Level(int &depth) : depth(depth) { ++depth; }
  ~Level() { --depth; }
  Level(const Level &) = delete;
  Level &operator=(const Level &) = delete;

private:
  int &depth;
};

} // namespace fairy2::jinja
