// SPDX-License-Identifier: Apache-2.0
//
// Cuts normalized text into the pieces that the model encodes one by one: the
// "pre_tokenizer" of a tokenizer.json.
#pragma once

#include "runtime/support/Json.h"
#include "runtime/text/tokenizer/Pattern.h"
#include "runtime/text/tokenizer/Steps.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::tokenizer {

/// Text and the pieces of it that are left, in order.
class Pieces {
public:
  /// One piece: all of `text`, which must outlive this. `startsInput` says
  /// whether it is the beginning of what the user gave.
  Pieces(std::string_view text, bool startsInput)
      : text(text), startsInput(startsInput) {
    if (!text.empty())
      spans.push_back({0, text.size(), false});
  }
  Pieces(const Pieces &) = delete;
  Pieces &operator=(const Pieces &) = delete;

  size_t size() const { return spans.size(); }
  std::string_view operator[](size_t i) const {
    return text.substr(spans[i].begin, spans[i].end - spans[i].begin);
  }
  /// Whether piece `i` begins where the input does.
  bool startsInputAt(size_t i) const { return startsInput && i == 0; }

  /// Cuts each piece at the matches of a pattern.
  void split(const Pattern &pattern, SplitBehavior behavior,
             bool invert = false);

  /// Replaces each piece: `rewrite(i, piece, out)` appends its new text.
  template <typename Rewrite> void rewrite(Rewrite rewrite) {
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    for (size_t i = 0; i < spans.size(); ++i) {
      const size_t begin = out.size();
      rewrite(i, (*this)[i], out);
      requireModestText(out.size());
      spans[i] = {begin, out.size(), false};
    }
    owned = std::move(out);
    text = owned;
  }

private:
  std::string_view text;
  std::string owned; // what text is a view of after a rewrite
  std::vector<Span> spans, scratch;
  bool startsInput;
};

class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces &pieces) const = 0;

  /// By what factor the text of all pieces may become longer.
  virtual double growth() const { return 1; }

  /// Whether the last thing apply() does is to spell bytes as characters, and
  /// applyToBytes() leaves that out: then the pieces are raw UTF-8.
  virtual bool endsInBytes() const { return false; }
  virtual void applyToBytes(Pieces &pieces) const { apply(pieces); }
};

/// The pre-tokenizer in `field`, null when the field is. Throws Error when its
/// type is unknown.
std::unique_ptr<PreTokenizer> readPreTokenizer(const JsonField &field);

} // namespace fairy2::tokenizer
