// SPDX-License-Identifier: Apache-2.0
//
// Text to token ids and back, from a Hugging Face tokenizer.json or what
// frontend/TokenizerFolder made of the other files that hold a tokenizer. Equal
// to the `tokenizers` library (0.23) on every input; anything in the file that
// is not understood is refused by name. Plain C++: compiler, runtime and
// trainer share it. A Tokenizer is immutable and safe to use from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// A part of a text: bytes [begin, end).
struct ByteRange {
  size_t begin, end;
  friend bool operator==(const ByteRange &, const ByteRange &) = default;
};

class Tokenizer {
public:
  /// Builds the tokenizer from the text of a tokenizer.json. `origin` names the
  /// file in errors. Throws fairy2::Error.
  static std::unique_ptr<Tokenizer> fromJson(std::string_view json,
                                             const std::string &origin);
  virtual ~Tokenizer() = default;

  /// Token ids of UTF-8 text (invalid bytes are replaced by U+FFFD). With
  /// `addSpecial` the file's post-processor adds its tokens, such as BOS.
  /// With `parseSpecial` off, text that spells a special token stays text: use
  /// it for what a user typed.
  virtual std::vector<int32_t> encode(std::string_view text, bool addSpecial,
                                      bool parseSpecial = true) const = 0;

  /// What `addSpecial` puts around the ids of a text.
  struct Frame {
    std::vector<int32_t> before, after;
  };
  virtual const Frame &frame() const = 0;

  /// As encode(text, false) for a text put together from a program's own text
  /// and `untrusted` parts of others (valid UTF-8; ranges sorted and disjoint):
  /// a special token is found only where all of its text is trusted.
  virtual std::vector<int32_t>
  encodeMixed(std::string_view text,
              std::span<const ByteRange> untrusted) const = 0;

  /// Text of the ids, as `tokenizers` decodes them (UTF-8, U+FFFD for broken
  /// sequences). Ids outside the vocabulary are skipped.
  virtual std::string decode(std::span<const int32_t> ids,
                             bool skipSpecial = true) const = 0;

  /// What the id stands for in the midst of a text, which need not be valid
  /// UTF-8: of a special token its content, of none nothing.
  virtual std::string bytesOf(int32_t id) const = 0;

  /// Number of ids, added tokens included: 1 + the largest id.
  virtual int64_t vocabSize() const = 0;
  /// The id of a token by its exact content, or -1.
  virtual int32_t idOf(std::string_view token) const = 0;
  /// Whether the id is an added token marked special.
  virtual bool isSpecial(int32_t id) const = 0;

  /// The state of decoding one sequence of ids.
  class Decoding {
  public:
    virtual ~Decoding() = default;
    /// Appends an id, and to `text` what has become certain.
    virtual void next(int32_t id, std::string &text) = 0;
    /// Appends what is left to `text`; nothing may follow.
    virtual void finish(std::string &text) = 0;
  };
  /// Starts decoding; the tokenizer must outlive the result.
  virtual std::unique_ptr<Decoding> startDecoding(bool skipSpecial) const = 0;
};

/// Decodes a stream of ids piece by piece: what next() returned so far always
/// is valid UTF-8 and, after finish(), equals decode() of all ids. Text is
/// returned as soon as no later id can change it: at once for most tokens,
/// after the last of its bytes for a character made of several tokens. Each id
/// is looked at once.
class StreamDecoder {
public:
  /// `tokenizer` must outlive the decoder.
  explicit StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial = true)
      : decoding(tokenizer.startDecoding(skipSpecial)) {}
  /// Appends an id; returns the text that became certain.
  std::string next(int32_t id) {
    std::string text;
    decoding->next(id, text);
    return text;
  }
  /// Returns what is left, broken sequences as U+FFFD. Nothing may follow.
  std::string finish() {
    std::string text;
    decoding->finish(text);
    return text;
  }

private:
  std::unique_ptr<Tokenizer::Decoding> decoding;
};

} // namespace fairy2
