// SPDX-License-Identifier: Apache-2.0
//
// Tokens and statements.
#include "runtime/text/jinja/Parser.h"

namespace fairy2::jinja {

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

Body parse(std::string_view source) { return Parser(tokenize(source)).run(); }

} // namespace fairy2::jinja
