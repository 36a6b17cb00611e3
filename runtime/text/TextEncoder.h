// SPDX-License-Identifier: Apache-2.0
//
// Tokens of documents of any length in memory that does not grow with them: the
// ids that Tokenizer::encode() gives for each whole document.
#pragma once

#include "runtime/text/Tokenizer.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// A long document is encoded in parts. Each part is encoded once more with the
/// end of the part before it in front, and the two are joined where both tell
/// the same tokens around the cut; otherwise they are one part. Nothing is
/// assumed of the tokenizer but that what is far from a cut does not decide
/// which tokens are at it.
class TextEncoder {
public:
  /// Takes ids of one document after the other, `ends` with a document's last.
  using Use = std::function<void(std::span<const int32_t> ids, bool ends)>;

  /// `origin` names the text in errors, `threads` encode it, `parseSpecial` is
  /// encode()'s. The tokenizer must outlive this.
  TextEncoder(const Tokenizer &tokenizer, std::string origin, bool parseSpecial,
              int threads, Use use);

  /// The next bytes of a document: any, of valid UTF-8 in all. Throws Error
  /// when a text is too long that cannot be cut anywhere.
  void append(std::string_view text);
  void endDocument();
  /// To call after the last document.
  void finish();

private:
  struct Part {
    std::string text;
    size_t context = 0; ///< bytes of `text` that the part before ends with
    bool ends = false;  ///< a document
    std::vector<int32_t> ids;
    std::vector<int32_t> contextIds; ///< of the context alone
    bool begins = true;              ///< `ids` begins with `contextIds`
    bool isStale = false;            ///< `text` has grown since it was encoded
    size_t least = 0;                ///< bytes before it is encoded again
  };

  void encode(Part &part) const;
  void closePart(size_t at);
  void encodeBatch();
  void join(Part next);
  void hand(Part part);

  const Tokenizer &tokenizer;
  const std::string origin;
  const bool parseSpecial;
  const int threads;
  const Use use;
  Part open;               ///< grows by append()
  std::vector<Part> batch; ///< complete, not yet encoded
  size_t batchBytes = 0;
  std::optional<Part> last; ///< encoded; what follows it may have to join it
};

} // namespace fairy2
