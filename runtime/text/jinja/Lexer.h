// SPDX-License-Identifier: Apache-2.0
//
// Cuts a template into text and the tokens of its tags, as Jinja 3.1 does with
// trim_blocks and lstrip_blocks on: the newline after a block tag goes, and so
// do the blanks before one on its line.
#pragma once

#include "runtime/text/jinja/Text.h"

#include <string_view>
#include <vector>

namespace fairy2::jinja {

struct Token {
  enum class Kind {
    Data,          ///< text between tags
    VariableBegin, ///< {{
    VariableEnd,
    BlockBegin, ///< {%
    BlockEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End ///< of the template
  };
  Kind kind = Kind::End;
  Text text; ///< data, name, operator; a string's content
  int64_t integer = 0;
  double number = 0;
  int line = 0;

  bool isOperator(std::string_view text) const;
  bool isName(std::string_view text) const;
};

/// The tokens of a template, an End last. Throws Error naming the line.
std::vector<Token> tokenize(std::string_view source);

/// Throws Error: "line LINE: WHAT".
[[noreturn]] void failAt(int line, const std::string &what);

} // namespace fairy2::jinja
