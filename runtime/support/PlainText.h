// SPDX-License-Identifier: Apache-2.0
//
// What every reader of text takes for text, decided once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fairy2 {

/// Looks at the bytes of a text as they come. Text is UTF-8 without a byte
/// order mark and without zero bytes. The mark is refused and not dropped:
/// Python and the libraries that models are trained with keep it as a
/// character, so that dropping it would give other tokens than theirs, and
/// keeping it tokens that nobody wants. UTF-16 without a mark is refused where
/// its bytes are not also UTF-8: a single space, newline or Latin letter has a
/// zero byte, and most ideographs have bytes above 0x7F that fit nowhere. A few
/// ideographs alone may be bytes of plain ASCII, and are then taken for that.
class PlainTextCheck {
public:
  /// `name` is that of the file in errors.
  explicit PlainTextCheck(std::string name) : name(std::move(name)) {}

  /// The next bytes. Throws Error that names the line and the byte, from 0.
  void add(std::string_view bytes);
  /// To call at the end of the text. Throws Error like add().
  void finish();

private:
  void checkStart();
  void checkHeld();
  [[noreturn]] void fail(const std::string &sentence) const;
  [[noreturn]] void failAt(size_t place, const std::string &what) const;

  std::string name;
  std::string held; ///< what is not yet decided, a few bytes between calls
  bool started = false;
  uint64_t offset = 0; ///< of `held` in the text
  uint64_t line = 1;   ///< where `held` begins
};

/// Throws Error unless `text` is a whole text.
void requirePlainText(std::string_view text, const std::string &name);

} // namespace fairy2
