// SPDX-License-Identifier: Apache-2.0
//
// Expressions, loosest first.
#include "runtime/text/jinja/Parser.h"

namespace fairy2::jinja {

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

} // namespace fairy2::jinja
