// SPDX-License-Identifier: Apache-2.0
//
// Stop strings are few and short, so plain searches of the held text do.
#include "runtime/StopMatcher.h"

#include "runtime/Status.h"

#include <algorithm>
#include <utility>

namespace fairy2 {

StopMatcher::StopMatcher(std::vector<std::string> stops)
    : stops(std::move(stops)) {
  for (const std::string &stop : this->stops)
    if (stop.empty())
      throw StatusError(FAIRY2_BAD_ARGUMENT,
                        "stop: expected text, found an empty string");
}

std::string StopMatcher::next(std::string_view piece) {
  if (found)
    return "";
  held += piece;
  // The one that ends first counts, and of several such the longest, so that
  // the cut of the text into pieces does not matter.
  size_t cut = std::string::npos, end = std::string::npos;
  for (const std::string &stop : stops) {
    const size_t begin = held.find(stop);
    if (begin == std::string::npos ||
        std::pair(begin + stop.size(), begin) > std::pair(end, cut))
      continue;
    cut = begin;
    end = begin + stop.size();
    found = true;
  }

  // Hold back the longest end of the text that may be a stop string's start.
  size_t kept = 0;
  for (const std::string &stop : stops)
    for (size_t length = std::min(stop.size() - 1, held.size()); length > kept;
         --length)
      if (held.ends_with(std::string_view(stop).substr(0, length)))
        kept = length;

  std::string shown = held.substr(0, found ? cut : held.size() - kept);
  held.erase(0, found ? held.size() : shown.size());
  return shown;
}

std::string StopMatcher::finish() { return std::exchange(held, ""); }

} // namespace fairy2
