// SPDX-License-Identifier: Apache-2.0
//
// Looks at one character at a time; only control characters are replaced.
#include "runtime/support/VisibleText.h"

#include "runtime/support/Utf8.h"

#include <cstdint>
#include <cstdio>
#include <iostream>

#include <unistd.h>

namespace fairy2 {
namespace {

/// The character at the start of `text`, also one in more bytes than it needs,
/// as careless terminals read it. Bytes that are no UTF-8 stand for themselves,
/// and so do those of characters in four, none of which needs an escape.
CodePoint firstOf(std::string_view text) {
  const uint8_t lead = uint8_t(text[0]);
  const unsigned length = lead >= 0xe0 && lead < 0xf0   ? 3
                          : lead >= 0xc0 && lead < 0xe0 ? 2
                                                        : 1;
  for (unsigned i = 1; i < length; ++i)
    if (i == text.size() || !isContinuation(text[i]))
      return {lead, 1};
  return length == 1 ? CodePoint{lead, 1} : codePointAt(text.data());
}

bool isHidden(CodePoint c) {
  if (c.length == 1)
    return (c.value < 0x20 && c.value != '\n' && c.value != '\t') ||
           c.value == 0x7f;
  return c.value < 0xa0 || // C1, or a control character in too many bytes
         (c.value >= 0x202a && c.value <= 0x202e) ||
         (c.value >= 0x2066 && c.value <= 0x2069);
}

} // namespace

std::string visibleText(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const CodePoint c = firstOf(text);
    if (isHidden(c)) {
      char escape[8];
      std::snprintf(escape, sizeof(escape),
                    c.length == 1 ? "\\x%02x" : "\\u%04x", unsigned(c.value));
      shown += escape;
    } else {
      shown += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return shown;
}

std::function<void(std::string_view)> standardOutput() {
  return [isTerminal = isatty(STDOUT_FILENO) != 0](std::string_view text) {
    if (isTerminal)
      std::cout << visibleText(text);
    else
      std::cout << text;
    std::cout << std::flush;
  };
}

} // namespace fairy2
