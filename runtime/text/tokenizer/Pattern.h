// SPDX-License-Identifier: Apache-2.0
//
// What normalizers, pre-tokenizers and decoders search text for: a literal, a
// regular expression, or a class of characters. A pattern cuts text into spans
// that match and spans between them, as `tokenizers` does.
#pragma once

#include "runtime/support/Json.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::tokenizer {

/// The bytes [begin, end) of a text.
struct Span {
  size_t begin;
  size_t end;
  bool matches;
};

class Pattern {
public:
  virtual ~Pattern() = default;
  /// Appends spans that cover `text` (valid UTF-8), in order: the matches and,
  /// where not empty, what lies between. Throws Error when a regular
  /// expression exceeds its limits on this text.
  virtual void split(std::string_view text, std::vector<Span> &spans) const = 0;
  /// Bytes of a match if all are alike in this, else 0.
  virtual size_t literalSize() const { return 0; }
};

/// Matches every occurrence of `literal`, which must not be empty.
std::unique_ptr<Pattern> makeLiteral(std::string literal);

/// Matches every single character for which `contains` is true.
std::unique_ptr<Pattern> makeCharacterClass(bool (*contains)(char32_t));

/// Matches a regular expression in Oniguruma's dialect. `field` holds its text
/// and is named in errors. Throws Error when it does not compile or uses a
/// construct that means something else in PCRE2.
std::unique_ptr<Pattern> makeRegex(const JsonField &field);

/// The pattern in a field {"String": ..} or {"Regex": ..}. Throws Error.
std::unique_ptr<Pattern> readPattern(const JsonField &field);

/// What becomes of the matches when text is split at them.
enum class SplitBehavior {
  Removed,
  Isolated,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous
};

/// Turns the spans of a pattern into pieces; empty ones are dropped.
void mergeSpans(std::vector<Span> &spans, SplitBehavior behavior);

} // namespace fairy2::tokenizer
