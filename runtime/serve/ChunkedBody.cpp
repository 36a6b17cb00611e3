// SPDX-License-Identifier: Apache-2.0
//
// Whatever pieces the bytes come in, the verdict is that of all at once: a line
// is looked at from its beginning until it is whole.
#include "runtime/serve/ChunkedBody.h"

#include <algorithm>
#include <charconv>

namespace fairy2::serve {
namespace {

constexpr size_t kMostLine = 4096, kMostTrailer = 16 << 10;

/// A line and its CRLF at the beginning of `bytes`.
struct Line {
  ChunkedBody::Step step; ///< Whole, More or Bad
  std::string_view text = {};
};

Line lineOf(std::string_view bytes) {
  const auto isControl = [](char c) {
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
  };
  const size_t size =
      size_t(std::ranges::find_if(bytes, isControl) - bytes.begin());
  if (size > kMostLine)
    return {ChunkedBody::Step::Bad};
  if (size == bytes.size() || bytes.substr(size) == "\r")
    return {ChunkedBody::Step::More};
  if (!bytes.substr(size).starts_with("\r\n"))
    return {ChunkedBody::Step::Bad};
  return {ChunkedBody::Step::Whole, bytes.substr(0, size)};
}

} // namespace

ChunkedBody::Step ChunkedBody::takeSize(std::string_view line) {
  const char *end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data(), end, left, 16);
  if (error != std::errc())
    return Step::Bad;
  // What follows is an extension, with blanks before it or without.
  const std::string_view after(rest, size_t(end - rest));
  const size_t extension = after.find_first_not_of(" \t");
  if (extension == after.npos ? !after.empty() : after[extension] != ';')
    return Step::Bad;
  if (left > most - body.size())
    return Step::TooLong;
  part = left > 0 ? Part::Data : Part::Trailer;
  return Step::Whole;
}

ChunkedBody::Step ChunkedBody::take(std::string_view &bytes) {
  while (true) {
    if (part == Part::Data) {
      const size_t size = size_t(std::min<uint64_t>(left, bytes.size()));
      body += bytes.substr(0, size);
      bytes.remove_prefix(size);
      left -= size;
      if (left > 0)
        return Step::More;
      part = Part::DataEnd;
    }
    const auto [step, line] = lineOf(bytes);
    if (step != Step::Whole)
      return step;
    bytes.remove_prefix(line.size() + 2);
    if (part == Part::Size) {
      if (const Step wrong = takeSize(line); wrong != Step::Whole)
        return wrong;
    } else if (part == Part::DataEnd) {
      if (!line.empty())
        return Step::Bad;
      part = Part::Size;
    } else {
      trailerBytes += line.size() + 2;
      if (trailerBytes > kMostTrailer)
        return Step::Bad;
      if (line.empty())
        return Step::Whole;
    }
  }
}

} // namespace fairy2::serve
