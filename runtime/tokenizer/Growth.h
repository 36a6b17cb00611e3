// SPDX-License-Identifier: Apache-2.0
//
// A file may chain steps that each make text longer; without a bound forty of
// them turn one letter into a terabyte. Every step knows its factor, and the
// product is checked when the file is read.
#pragma once

#include "runtime/tokenizer/JsonField.h"

namespace fairy2::tokenizer {

/// Throws Error if text may grow by more than is sensible.
inline void requireModestGrowth(const JsonField &field, double growth) {
  constexpr double most = 1024;
  if (growth > most)
    field.refuse("expected steps that make text at most 1024 times longer, "
                 "found more");
}

/// The factor of replacing matches by `content`; `literal` is empty for a
/// regular expression, which may match between any two bytes.
inline double growthOfReplacing(size_t literal, size_t content) {
  if (literal == 0)
    return 1 + 2 * double(content);
  return content > literal ? double(content) / double(literal) : 1;
}

} // namespace fairy2::tokenizer
