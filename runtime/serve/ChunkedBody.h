// SPDX-License-Identifier: Apache-2.0
//
// A body that comes in chunks (RFC 9112, section 7.1). Beast's parser waits for
// the end of a quoted extension beyond its line, and counts the chunk's size
// again with every byte until then; two readers must never disagree on where a
// request ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fairy2::serve {

class ChunkedBody {
public:
  explicit ChunkedBody(uint64_t most) : most(most) {}

  enum class Step {
    More,    ///< the bytes do not suffice
    Whole,   ///< the trailer has ended too
    TooLong, ///< more than `most` bytes
    Bad      ///< these are no chunks
  };
  /// Goes on with the next bytes and removes those that it took. What it leaves
  /// comes again, with more behind it. Extensions and trailer are skipped.
  Step take(std::string_view &bytes);

  std::string &text() { return body; }

private:
  enum class Part { Size, Data, DataEnd, Trailer };

  Step takeSize(std::string_view line);

  const uint64_t most;
  Part part = Part::Size;
  uint64_t left = 0; ///< of the chunk
  uint64_t trailerBytes = 0;
  std::string body;
};

} // namespace fairy2::serve
