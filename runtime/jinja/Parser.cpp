// SPDX-License-Identifier: Apache-2.0
//
// A parser by recursive descent with the precedences of jinja2.parser. Nesting
// is bounded, because the interpreter and the tree's destruction recurse.
#include "runtime/jinja/Lexer.h"
#include "runtime/jinja/Syntax.h"

#include <algorithm>
#include <initializer_list>

namespace fairy2::jinja {
namespace {

using Kind = Expression::Kind;

constexpr int kMaxExpressionDepth = 200;
constexpr int kMaxStatementDepth = 50;

class Parser {
public:
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

void Parser::failExpected(const std::string &what) const {
  std::string found;
  switch (token().kind) {
  case Token::Kind::Data:
    found = "text";
    break;
  case Token::Kind::VariableBegin:
    found = "{{";
    break;
  case Token::Kind::VariableEnd:
    found = "}}";
    break;
  case Token::Kind::BlockBegin:
    found = "{% " + utf8Of(token(1).text.substr(0, 40));
    break;
  case Token::Kind::BlockEnd:
    found = "%}";
    break;
  case Token::Kind::Integer:
  case Token::Kind::Float:
    found = "a number";
    break;
  case Token::Kind::String:
    found = "a string";
    break;
  case Token::Kind::End:
    found = "the end of the template";
    break;
  case Token::Kind::Name:
  case Token::Kind::Operator:
    found = "'" + utf8Of(token().text.substr(0, 40)) + "'";
    break;
  }
  fail("expected " + what + ", found " + found);
}

Body Parser::parseBody(std::initializer_list<std::string_view> ends) {
  const Level level(statementDepth);
  if (statementDepth > kMaxStatementDepth)
    fail("expected blocks nested at most " +
         std::to_string(kMaxStatementDepth) + " deep, found more");
  Body body;
  while (true) {
    const Token &first = token();
    switch (first.kind) {
    case Token::Kind::Data: {
      Statement &data = body.emplace_back(
          Statement{Statement::Kind::Data, first.line, {}, {}, {}, {}, {}, {}});
      data.data = std::move(tokens[position++].text);
      break;
    }
    case Token::Kind::VariableBegin: {
      ++position;
      Statement &print = body.emplace_back(Statement{
          Statement::Kind::Print, first.line, {}, {}, {}, {}, {}, {}});
      print.expressions.push_back(parseTuple());
      expectEnd(Token::Kind::VariableEnd);
      break;
    }
    case Token::Kind::BlockBegin:
      for (const std::string_view end : ends)
        if (token(1).isName(end))
          return body;
      ++position;
      parseStatement(body);
      break;
    default:
      return body;
    }
  }
}

Body Parser::parseBodyUntil(std::string_view end) {
  Body body = parseBody({end});
  if (token().kind != Token::Kind::BlockBegin)
    failExpected("{% " + std::string(end) + " %}");
  ++position;
  if (!skipName(end))
    failExpected("'" + std::string(end) + "'");
  return body;
}

void Parser::parseStatement(Body &body) {
  const int line = token().line;
  const auto plain = [&](Statement::Kind kind) {
    return Statement{kind, line, {}, {}, {}, {}, {}, {}};
  };
  if (skipName("if")) {
    body.push_back(parseIf());
  } else if (skipName("for")) {
    body.push_back(parseFor());
  } else if (skipName("set")) {
    body.push_back(parseSet());
  } else if (skipName("macro")) {
    body.push_back(parseMacro());
  } else if (skipName("with")) {
    body.push_back(parseWith());
  } else if (skipName("break")) {
    body.push_back(plain(Statement::Kind::Break));
  } else if (skipName("continue")) {
    body.push_back(plain(Statement::Kind::Continue));
  } else if (skipName("generation")) {
    Statement statement = plain(Statement::Kind::Generation);
    expectEnd(Token::Kind::BlockEnd);
    statement.bodies.push_back(parseBodyUntil("endgeneration"));
    body.push_back(std::move(statement));
  } else if (skipName("filter")) {
    Statement statement = plain(Statement::Kind::FilterBlock);
    ExpressionPointer filters = parseFilter(make(Kind::BlockText));
    while (skipOperator("|"))
      filters = parseFilter(std::move(filters));
    statement.expressions.push_back(std::move(filters));
    expectEnd(Token::Kind::BlockEnd);
    statement.bodies.push_back(parseBodyUntil("endfilter"));
    body.push_back(std::move(statement));
  } else {
    const std::string name = expectName("a statement");
    failAt(line, "expected a statement that chat templates use, found {% " +
                     name.substr(0, 40) + " %}, which is not supported");
  }
  expectEnd(Token::Kind::BlockEnd);
}

Statement Parser::parseIf() {
  Statement statement{
      Statement::Kind::If, token().line, {}, {}, {}, {}, {}, {}};
  do {
    statement.expressions.push_back(parseTuple(false));
    expectEnd(Token::Kind::BlockEnd);
    statement.bodies.push_back(parseBody({"elif", "else", "endif"}));
    if (token().kind != Token::Kind::BlockBegin)
      failExpected("{% endif %}");
    ++position;
  } while (skipName("elif"));
  if (skipName("else")) {
    expectEnd(Token::Kind::BlockEnd);
    statement.bodies.push_back(parseBodyUntil("endif"));
  } else if (!skipName("endif")) {
    failExpected("'endif'");
  }
  return statement;
}

std::vector<std::string> Parser::parseNames() {
  std::vector<std::string> names;
  const bool hasParentheses = skipOperator("(");
  do
    names.push_back(expectName());
  while (skipOperator(",") && token().kind == Token::Kind::Name &&
         !token().isName("in"));
  if (hasParentheses)
    expectOperator(")");
  return names;
}

Statement Parser::parseFor() {
  Statement statement{
      Statement::Kind::For, token().line, {}, {}, {}, {}, {}, {}};
  statement.names = parseNames();
  if (!skipName("in"))
    failExpected("'in'");
  statement.expressions.push_back(parseTuple(false));
  statement.expressions.push_back(skipName("if") ? parseExpression() : nullptr);
  if (token().isName("recursive"))
    fail("{% for .. recursive %} is not supported");
  expectEnd(Token::Kind::BlockEnd);
  statement.bodies.push_back(parseBody({"else", "endfor"}));
  if (token().kind != Token::Kind::BlockBegin)
    failExpected("{% endfor %}");
  ++position;
  if (skipName("else")) {
    expectEnd(Token::Kind::BlockEnd);
    statement.bodies.push_back(parseBodyUntil("endfor"));
  } else if (!skipName("endfor")) {
    failExpected("'endfor'");
  }
  return statement;
}

Statement Parser::parseSet() {
  Statement statement{
      Statement::Kind::Set, token().line, {}, {}, {}, {}, {}, {}};
  statement.names = parseNames();
  if (statement.names.size() == 1 && skipOperator("."))
    statement.attribute = expectName();
  if (skipOperator("=")) {
    statement.expressions.push_back(parseTuple());
    return statement;
  }
  statement.kind = Statement::Kind::SetBlock;
  ExpressionPointer filters = make(Kind::BlockText);
  while (skipOperator("|"))
    filters = parseFilter(std::move(filters));
  statement.expressions.push_back(std::move(filters));
  expectEnd(Token::Kind::BlockEnd);
  statement.bodies.push_back(parseBodyUntil("endset"));
  return statement;
}

Statement Parser::parseMacro() {
  Statement statement{
      Statement::Kind::Macro, token().line, {}, {}, {}, {}, {}, {}};
  statement.names.push_back(expectName());
  expectOperator("(");
  while (!skipOperator(")")) {
    if (!statement.parameters.empty())
      expectOperator(",");
    Parameter parameter{expectName(), nullptr};
    if (skipOperator("="))
      parameter.defaultValue = parseExpression();
    statement.parameters.push_back(std::move(parameter));
  }
  expectEnd(Token::Kind::BlockEnd);
  statement.bodies.push_back(parseBodyUntil("endmacro"));
  return statement;
}

Statement Parser::parseWith() {
  Statement statement{
      Statement::Kind::With, token().line, {}, {}, {}, {}, {}, {}};
  while (token().kind != Token::Kind::BlockEnd) {
    if (!statement.names.empty())
      expectOperator(",");
    statement.names.push_back(expectName());
    expectOperator("=");
    statement.expressions.push_back(parseExpression());
  }
  expectEnd(Token::Kind::BlockEnd);
  statement.bodies.push_back(parseBodyUntil("endwith"));
  return statement;
}

bool Parser::atTupleEnd() const {
  return token().kind == Token::Kind::VariableEnd ||
         token().kind == Token::Kind::BlockEnd || token().isOperator(")") ||
         token().isName("recursive");
}

ExpressionPointer Parser::parseTuple(bool withConditional) {
  const Rule rule =
      withConditional ? &Parser::parseExpression : &Parser::parseOr;
  ExpressionPointer first = (this->*rule)();
  if (!token().isOperator(","))
    return first;
  auto tuple = make(Kind::Tuple);
  add(*tuple, std::move(first));
  while (skipOperator(",") && !atTupleEnd())
    add(*tuple, (this->*rule)());
  return tuple;
}

ExpressionPointer Parser::parseExpression() {
  const Level level(expressionDepth);
  if (expressionDepth > kMaxExpressionDepth)
    failDepth();
  ExpressionPointer value = parseOr();
  while (skipName("if")) {
    auto node = make(Kind::Conditional);
    add(*node, std::move(value));
    add(*node, parseOr());
    add(*node, skipName("else") ? parseExpression() : nullptr);
    value = std::move(node);
  }
  return value;
}

ExpressionPointer Parser::parseOr() {
  ExpressionPointer left = parseAnd();
  while (skipName("or"))
    left = binary(Kind::Or, std::move(left), parseAnd());
  return left;
}

ExpressionPointer Parser::parseAnd() {
  ExpressionPointer left = parseNot();
  while (skipName("and"))
    left = binary(Kind::And, std::move(left), parseNot());
  return left;
}

ExpressionPointer Parser::parseNot() {
  if (!skipName("not"))
    return parseCompare();
  const Level level(expressionDepth);
  if (expressionDepth > kMaxExpressionDepth)
    failDepth();
  auto node = make(Kind::Not);
  add(*node, parseNot());
  return node;
}

ExpressionPointer Parser::parseCompare() {
  static constexpr std::pair<std::string_view, Operator> kComparisons[] = {
      {"==", Operator::Equal},     {"!=", Operator::NotEqual},
      {"<=", Operator::LessEqual}, {">=", Operator::GreaterEqual},
      {"<", Operator::Less},       {">", Operator::Greater}};
  ExpressionPointer left = parseSum();
  auto node = make(Kind::Compare);
  while (true) {
    const auto *found = std::find_if(
        std::begin(kComparisons), std::end(kComparisons),
        [&](const auto &entry) { return skipOperator(entry.first); });
    if (found != std::end(kComparisons)) {
      node->operators.push_back(found->second);
    } else if (skipName("in")) {
      node->operators.push_back(Operator::In);
    } else if (token().isName("not") && token(1).isName("in")) {
      position += 2;
      node->operators.push_back(Operator::NotIn);
    } else {
      break;
    }
    if (node->operands.empty())
      add(*node, std::move(left));
    add(*node, parseSum());
  }
  return node->operands.empty() ? std::move(left) : std::move(node);
}

ExpressionPointer Parser::parseChain(
    Rule next,
    std::initializer_list<std::pair<std::string_view, Operator>> list) {
  ExpressionPointer left = (this->*next)();
  while (true) {
    const auto *found =
        std::find_if(list.begin(), list.end(), [&](const auto &entry) {
          return skipOperator(entry.first);
        });
    if (found == list.end())
      return left;
    left = binary(Kind::Binary, std::move(left), (this->*next)());
    left->operators.push_back(found->second);
  }
}

ExpressionPointer Parser::parseSum() {
  return parseChain(&Parser::parseConcatenation,
                    {{"+", Operator::Add}, {"-", Operator::Subtract}});
}

ExpressionPointer Parser::parseConcatenation() {
  return parseChain(&Parser::parseProduct, {{"~", Operator::Concatenate}});
}

ExpressionPointer Parser::parseProduct() {
  return parseChain(&Parser::parsePower, {{"*", Operator::Multiply},
                                          {"//", Operator::FloorDivide},
                                          {"/", Operator::Divide},
                                          {"%", Operator::Modulo}});
}

ExpressionPointer Parser::parsePower() {
  ExpressionPointer left = parseUnary();
  while (skipOperator("**")) {
    left = binary(Kind::Binary, std::move(left), parseUnary());
    left->operators.push_back(Operator::Power);
  }
  return left;
}

ExpressionPointer Parser::parseUnary(bool withFilters) {
  const Level level(expressionDepth);
  if (expressionDepth > kMaxExpressionDepth)
    failDepth();
  ExpressionPointer node;
  if (token().isOperator("-") || token().isOperator("+")) {
    node = make(token().isOperator("-") ? Kind::Negate : Kind::Positive);
    ++position;
    add(*node, parseUnary(false));
  } else {
    node = parsePrimary();
  }
  node = parsePostfix(std::move(node));
  return withFilters ? parseFilters(std::move(node)) : std::move(node);
}

ExpressionPointer Parser::parsePrimary() {
  const Token &first = token();
  auto node = make(Kind::Constant);
  switch (first.kind) {
  case Token::Kind::Integer:
    node->constant = first.integer;
    ++position;
    return node;
  case Token::Kind::Float:
    node->constant = first.number;
    ++position;
    return node;
  case Token::Kind::String: {
    Text text;
    for (; token().kind == Token::Kind::String; ++position)
      text += token().text;
    node->constant = std::move(text);
    return node;
  }
  case Token::Kind::Name:
    ++position;
    if (first.isName("true") || first.isName("True"))
      node->constant = true;
    else if (first.isName("false") || first.isName("False"))
      node->constant = false;
    else if (!first.isName("none") && !first.isName("None")) {
      node->kind = Kind::Name;
      node->name = utf8Of(first.text);
    }
    return node;
  default:
    break;
  }
  if (skipOperator("(")) {
    if (skipOperator(")")) {
      node->kind = Kind::Tuple;
      return node;
    }
    node = parseTuple();
    expectOperator(")");
    return node;
  }
  if (skipOperator("[")) {
    node->kind = Kind::List;
    parseElements(*node, "]");
    return node;
  }
  if (skipOperator("{"))
    return parseDict();
  failExpected("an expression");
}

void Parser::parseElements(Expression &into, std::string_view close) {
  while (!skipOperator(close)) {
    if (!into.operands.empty()) {
      expectOperator(",");
      if (skipOperator(close))
        return;
    }
    add(into, parseExpression());
  }
}

ExpressionPointer Parser::parseDict() {
  auto node = make(Kind::Dict);
  while (!skipOperator("}")) {
    if (!node->operands.empty()) {
      expectOperator(",");
      if (skipOperator("}"))
        break;
    }
    add(*node, parseExpression());
    expectOperator(":");
    add(*node, parseExpression());
  }
  return node;
}

ExpressionPointer Parser::parsePostfix(ExpressionPointer operand) {
  while (true) {
    if (skipOperator(".")) {
      auto node = make(Kind::Attribute);
      add(*node, std::move(operand));
      if (token().kind == Token::Kind::Integer) {
        node->kind = Kind::Subscript;
        auto key = make(Kind::Constant);
        key->constant = tokens[position++].integer;
        add(*node, std::move(key));
      } else {
        node->name = expectName();
      }
      operand = std::move(node);
    } else if (skipOperator("[")) {
      operand = parseSubscript(std::move(operand));
    } else if (token().isOperator("(")) {
      auto node = make(Kind::Call);
      add(*node, std::move(operand));
      parseArguments(*node);
      operand = std::move(node);
    } else {
      return operand;
    }
  }
}

ExpressionPointer Parser::parseSubscript(ExpressionPointer operand) {
  auto node = make(Kind::Subscript);
  add(*node, std::move(operand));
  const auto atPartEnd = [&] {
    return token().isOperator(":") || token().isOperator("]");
  };
  ExpressionPointer first = atPartEnd() ? nullptr : parseExpression();
  if (token().isOperator(":"))
    node->kind = Kind::Slice;
  else if (!first)
    failExpected("an expression");
  add(*node, std::move(first));
  while (node->operands.size() < 4 && skipOperator(":"))
    add(*node, atPartEnd() ? nullptr : parseExpression());
  expectOperator("]");
  if (node->kind == Kind::Slice)
    node->operands.resize(4);
  return node;
}

void Parser::parseArguments(Expression &call) {
  expectOperator("(");
  bool isFirst = true;
  while (!skipOperator(")")) {
    if (!isFirst) {
      expectOperator(",");
      if (skipOperator(")"))
        return;
    }
    isFirst = false;
    if (token().isOperator("*") || token().isOperator("**"))
      fail("'*' before an argument is not supported");
    if (token().kind == Token::Kind::Name && token(1).isOperator("=")) {
      std::string name = expectName();
      ++position;
      ExpressionPointer value = parseExpression();
      grow(call, value);
      call.named.emplace_back(std::move(name), std::move(value));
    } else if (!call.named.empty()) {
      fail("expected positional arguments before named ones");
    } else {
      add(call, parseExpression());
    }
  }
}

ExpressionPointer Parser::parseFilters(ExpressionPointer operand) {
  while (true) {
    if (skipOperator("|"))
      operand = parseFilter(std::move(operand));
    else if (skipName("is"))
      operand = parseTest(std::move(operand));
    else if (token().isOperator("("))
      operand = parsePostfix(std::move(operand));
    else
      return operand;
  }
}

ExpressionPointer Parser::parseFilter(ExpressionPointer operand) {
  auto node = make(Kind::Filter);
  add(*node, std::move(operand));
  node->name = expectName("a filter");
  if (token().isOperator("("))
    parseArguments(*node);
  return node;
}

ExpressionPointer Parser::parseTest(ExpressionPointer operand) {
  const bool negated = skipName("not");
  auto node = make(Kind::Test);
  add(*node, std::move(operand));
  node->name = expectName("a test");
  const Token &next = token();
  if (next.isOperator("(")) {
    parseArguments(*node);
  } else if ((next.kind == Token::Kind::Name && !next.isName("else") &&
              !next.isName("or") && !next.isName("and") && !next.isName("is") &&
              !next.isName("if")) ||
             next.kind == Token::Kind::String ||
             next.kind == Token::Kind::Integer ||
             next.kind == Token::Kind::Float || next.isOperator("[") ||
             next.isOperator("{")) {
    add(*node, parsePostfix(parsePrimary()));
  }
  if (!negated)
    return node;
  auto inverse = make(Kind::Not);
  add(*inverse, std::move(node));
  return inverse;
}

} // namespace

Body parse(std::string_view source) { return Parser(tokenize(source)).run(); }

} // namespace fairy2::jinja
