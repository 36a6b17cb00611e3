// SPDX-License-Identifier: Apache-2.0
//
// Whitespace control follows jinja2.lexer.Lexer.tokeniter step by step.
#include "runtime/text/jinja/Lexer.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace fairy2::jinja {
namespace {

bool is(TextView text, std::string_view ascii) {
  return std::equal(text.begin(), text.end(), ascii.begin(), ascii.end(),
                    [](char32_t a, char b) { return a == char32_t(b); });
}

class Lexer {
public:
  explicit Lexer(Text text) : source(std::move(text)) {}

  std::vector<Token> run();

private:
  enum class Tag { Variable, Block, Comment, Raw };

  bool at(std::string_view ascii) const { return is(ahead(ascii), ascii); }
  TextView ahead(std::string_view ascii) const {
    return TextView(source).substr(position, ascii.size());
  }
  void advance(size_t count) {
    for (; count > 0; --count)
      line += source[position++] == '\n';
  }
  void skipSpaces() {
    while (position < source.size() && isSpace(source[position]))
      advance(1);
  }
  void push(Token::Kind kind, TextView text = {}) {
    tokens.push_back({kind, Text(text), 0, 0, line});
  }

  void addData(size_t begin, size_t end, bool stripAll, bool stripLine);
  /// Moves `at` over blanks, `word` and blanks; returns whether it was there.
  bool skipWord(size_t &at, std::string_view word) const;
  /// Whether {% raw %} is at `begin`, and where its content begins.
  bool isRaw(size_t begin, size_t &end) const;
  void readRaw(size_t begin, size_t contentBegin);
  void readComment(size_t begin);
  void readTag(bool isBlock);
  void readToken();
  void readNumber();
  void readString(char32_t quote);
  void appendEscape(Text &out);
  void appendCodePoint(Text &out, int digits);
  /// Skips a block's end, `+%}`, `-%}` and blanks, or `%}` and a newline.
  bool skipEnd(char kind, bool trimsNewline);

  Text source;
  size_t position = 0;
  int line = 1;
  /// Whether the text read next begins a line.
  bool startsLine = true;
  std::vector<Token> tokens;
};

constexpr std::array<std::string_view, 28> kOperators = {
    "**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]",
    "(",  ")",  "{",  "}",  ">",  "<",  "=", ".", ":", "|", ",", ";", "!", "@"};

void Lexer::addData(size_t begin, size_t end, bool stripAll, bool stripLine) {
  TextView data = TextView(source).substr(begin, end - begin);
  if (stripAll) {
    data = strip(data, nullptr, false, true);
  } else if (stripLine) {
    const size_t newline = data.rfind(U'\n');
    const size_t lineBegin = newline == TextView::npos ? 0 : newline + 1;
    if ((lineBegin > 0 || startsLine) &&
        strip(data.substr(lineBegin), nullptr).empty())
      data = data.substr(0, lineBegin);
  }
  if (!data.empty())
    push(Token::Kind::Data, data);
}

bool Lexer::skipWord(size_t &at, std::string_view word) const {
  while (at < source.size() && isSpace(source[at]))
    ++at;
  if (!is(TextView(source).substr(at, word.size()), word))
    return false;
  at += word.size();
  while (at < source.size() && isSpace(source[at]))
    ++at;
  return true;
}

bool Lexer::isRaw(size_t begin, size_t &end) const {
  size_t at = begin + 2;
  if (at < source.size() && (source[at] == '-' || source[at] == '+'))
    ++at;
  if (!skipWord(at, "raw"))
    return false;
  const TextView rest = TextView(source).substr(at);
  if (is(rest.substr(0, 2), "%}")) {
    end = at + 2;
    return true;
  }
  if (!is(rest.substr(0, 3), "-%}"))
    return false;
  end = at + 3;
  while (end < source.size() && isSpace(source[end]))
    ++end;
  return true;
}

void Lexer::readRaw(size_t begin, size_t contentBegin) {
  advance(contentBegin - begin);
  for (size_t at = contentBegin; at < source.size(); ++at) {
    if (!is(TextView(source).substr(at, 2), "{%"))
      continue;
    size_t end = at + 2;
    const char32_t sign = end < source.size() ? source[end] : 0;
    end += sign == '-' || sign == '+';
    if (!skipWord(end, "endraw"))
      continue;
    const TextView rest = TextView(source).substr(end);
    if (!is(rest.substr(0, 2), "%}") && !is(rest.substr(0, 3), "-%}") &&
        !is(rest.substr(0, 3), "+%}"))
      continue;
    // As at every block's begin, blanks on the line of the tag go.
    startsLine = source[contentBegin - 1] == '\n';
    addData(contentBegin, at, sign == '-', sign != '+');
    advance(end - position);
    skipEnd('%', true);
    return;
  }
  failAt(line, "expected {% endraw %}, found the end of the template");
}

void Lexer::readComment(size_t begin) {
  advance(2);
  const size_t end = source.find(U"#}", position);
  if (end == Text::npos)
    failAt(line, "expected #}, found the end of the template");
  const bool hasSign =
      end > begin + 2 && (source[end - 1] == '-' || source[end - 1] == '+');
  advance(end - hasSign - position);
  skipEnd('#', true);
}

bool Lexer::skipEnd(char kind, bool trimsNewline) {
  const char end[] = {kind, '}', 0};
  const size_t before = position;
  if (trimsNewline && at(std::string("+") + end)) {
    advance(3);
  } else if (at(std::string("-") + end)) {
    advance(3);
    skipSpaces();
  } else if (at(end)) {
    advance(2);
    if (trimsNewline && at("\n"))
      advance(1);
  } else {
    return false;
  }
  startsLine = position > before && source[position - 1] == '\n';
  return true;
}

std::vector<Token> Lexer::run() {
  while (position < source.size()) {
    size_t begin = position;
    for (; begin < source.size(); ++begin) {
      const TextView two = TextView(source).substr(begin, 2);
      if (is(two, "{{") || is(two, "{%") || is(two, "{#"))
        break;
    }
    if (begin == source.size()) {
      push(Token::Kind::Data, TextView(source).substr(position));
      advance(begin - position);
      break;
    }
    const char32_t kind = source[begin + 1];
    const char32_t sign = begin + 2 < source.size() ? source[begin + 2] : 0;
    addData(position, begin, sign == '-', sign != '+' && kind != '{');
    const size_t afterSign = begin + 2 + (sign == '-' || sign == '+');
    advance(begin - position);
    size_t rawEnd = 0;
    if (kind == '%' && isRaw(begin, rawEnd)) {
      readRaw(begin, rawEnd);
    } else if (kind == '#') {
      readComment(begin);
    } else {
      push(kind == '{' ? Token::Kind::VariableBegin : Token::Kind::BlockBegin);
      advance(afterSign - begin);
      readTag(kind == '%');
    }
  }
  push(Token::Kind::End);
  return std::move(tokens);
}

void Lexer::readTag(bool isBlock) {
  size_t open = 0; // brackets, inside which %} and }} end nothing
  while (true) {
    skipSpaces();
    if (position == source.size())
      failAt(line, std::string("expected ") + (isBlock ? "%}" : "}}") +
                       ", found the end of the template");
    if (open == 0 && skipEnd(isBlock ? '%' : '}', isBlock)) {
      push(isBlock ? Token::Kind::BlockEnd : Token::Kind::VariableEnd);
      return;
    }
    const char32_t c = source[position];
    if (c == '(' || c == '[' || c == '{')
      ++open;
    else if ((c == ')' || c == ']' || c == '}') && open > 0)
      --open;
    readToken();
  }
}

void Lexer::readToken() {
  const char32_t c = source[position];
  if (c == '"' || c == '\'')
    return readString(c);
  if (isDigit(c))
    return readNumber();
  if (isWordCharacter(c)) {
    size_t end = position;
    while (end < source.size() && isWordCharacter(source[end]))
      ++end;
    push(Token::Kind::Name, TextView(source).substr(position, end - position));
    return advance(end - position);
  }
  for (const std::string_view text : kOperators)
    if (at(text)) {
      push(Token::Kind::Operator, ahead(text));
      return advance(text.size());
    }
  failAt(line, "expected an expression, found '" + utf8Of(Text(1, c)) + "'");
}

void Lexer::readNumber() {
  std::string digits;
  const auto takeDigits = [&] {
    while (position < source.size() &&
           (isDigit(source[position]) || source[position] == '_')) {
      if (source[position] != '_')
        digits += char(source[position]);
      advance(1);
    }
  };
  const auto digitAt = [&](size_t place) {
    return place < source.size() && isDigit(source[place]);
  };
  takeDigits();
  bool isFloat = false;
  if (at(".") && digitAt(position + 1)) {
    isFloat = true;
    digits += '.';
    advance(1);
    takeDigits();
  }
  if (at("e") || at("E")) {
    const bool hasSign =
        position + 1 < source.size() &&
        (source[position + 1] == '+' || source[position + 1] == '-');
    if (digitAt(position + 1 + hasSign)) {
      isFloat = true;
      digits += 'e';
      if (hasSign)
        digits += char(source[position + 1]);
      advance(1 + hasSign);
      takeDigits();
    }
  }
  push(isFloat ? Token::Kind::Float : Token::Kind::Integer);
  Token &token = tokens.back();
  const char *end = digits.data() + digits.size();
  const auto result = isFloat
                          ? std::from_chars(digits.data(), end, token.number)
                          : std::from_chars(digits.data(), end, token.integer);
  if (result.ec != std::errc() || result.ptr != end)
    failAt(line,
           "expected a number in range, found '" + digits.substr(0, 30) + "'");
}

void Lexer::readString(char32_t quote) {
  advance(1);
  Text content;
  while (position < source.size() && source[position] != quote) {
    if (source[position] == '\\') {
      appendEscape(content);
      continue;
    }
    content += source[position];
    advance(1);
  }
  if (position == source.size())
    failAt(line, "expected a string's closing quote, found the end of the "
                 "template");
  advance(1);
  push(Token::Kind::String, content);
}

void Lexer::appendEscape(Text &out) {
  advance(1);
  if (position == source.size())
    return;
  const char32_t c = source[position];
  advance(1);
  static constexpr std::pair<char, char> kSimple[] = {
      {'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'\\', '\\'}, {'\'', '\''},
      {'"', '"'},  {'a', '\a'}, {'b', '\b'}, {'f', '\f'},  {'v', '\v'}};
  for (const auto &[letter, value] : kSimple)
    if (c == char32_t(letter)) {
      out += char32_t(value);
      return;
    }
  if (c == '\n')
    return;
  if (c == 'x' || c == 'u' || c == 'U')
    return appendCodePoint(out, c == 'x' ? 2 : c == 'u' ? 4 : 8);
  if (c >= '0' && c <= '7') {
    char32_t value = c - '0';
    for (int i = 0; i < 2 && position < source.size() &&
                    source[position] >= '0' && source[position] <= '7';
         ++i) {
      value = value * 8 + source[position] - '0';
      advance(1);
    }
    out += value;
    return;
  }
  out += U'\\';
  out += c;
}

void Lexer::appendCodePoint(Text &out, int digits) {
  const std::string hex =
      utf8Of(TextView(source).substr(position, size_t(digits)));
  uint32_t value = 0;
  const auto result =
      std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  if (hex.size() != size_t(digits) || result.ptr != hex.data() + digits ||
      value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
    failAt(line, "expected " + std::to_string(digits) +
                     " hexadecimal digits of a character after a backslash, "
                     "found '" +
                     hex + "'");
  out += char32_t(value);
  advance(size_t(digits));
}

} // namespace

bool Token::isOperator(std::string_view ascii) const {
  return kind == Kind::Operator && is(text, ascii);
}

bool Token::isName(std::string_view ascii) const {
  return kind == Kind::Name && is(text, ascii);
}

void failAt(int line, const std::string &what) {
  throw Error("line " + std::to_string(line) + ": " + what);
}

std::vector<Token> tokenize(std::string_view source) {
  Text text;
  const Text whole = textOf(source, true);
  text.reserve(whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] == '\r') {
      text += U'\n';
      i += i + 1 < whole.size() && whole[i + 1] == '\n';
    } else {
      text += whole[i];
    }
  }
  // One newline at the very end is not part of the template.
  if (text.ends_with(U'\n'))
    text.pop_back();
  return Lexer(std::move(text)).run();
}

} // namespace fairy2::jinja
