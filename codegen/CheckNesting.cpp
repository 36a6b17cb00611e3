// SPDX-License-Identifier: Apache-2.0
//
// Counts brackets in the text, before any parser of MLIR sees it.
#include "codegen/CheckNesting.h"

#include <algorithm>

namespace fairy2 {

std::optional<int64_t> lineNestedTooDeep(llvm::StringRef text) {
  int64_t depth = 0, line = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
    case '\n':
      ++line;
      break;
    case '"': // A string ends on its line.
      for (++i; i < text.size() && text[i] != '"' && text[i] != '\n'; ++i)
        if (text[i] == '\\')
          ++i;
      if (i < text.size() && text[i] == '\n')
        ++line;
      break;
    case '/':
      if (text.substr(i).starts_with("//"))
        i = std::min(text.find('\n', i), text.size()) - 1;
      break;
    case '-': // An arrow closes nothing.
      if (text.substr(i).starts_with("->"))
        ++i;
      break;
    case '{':
    case '(':
    case '[':
    case '<':
      if (++depth > kMaxNesting)
        return line;
      break;
    case '}':
    case ')':
    case ']':
    case '>':
      depth = std::max<int64_t>(depth - 1, 0);
      break;
    }
  }
  return std::nullopt;
}

} // namespace fairy2
