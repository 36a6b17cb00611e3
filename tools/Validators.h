// SPDX-License-Identifier: Apache-2.0
//
// Checks of command lines that CLI11 lacks: it clamps whole numbers that do not
// fit into 64 bits, and takes a negative number for a large one.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <limits>
#include <string>

namespace fairy2 {

/// Refuses what is no whole number that a T holds.
template <typename T> CLI::Validator wholeNumber() {
  return CLI::Validator(
      [](const std::string &text) -> std::string {
        T value;
        const char *end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        if (read.ec == std::errc() && read.ptr == end)
          return "";
        return "expected a whole number from " +
               std::to_string(std::numeric_limits<T>::min()) + " to " +
               std::to_string(std::numeric_limits<T>::max()) + ", found '" +
               text + "'";
      },
      "");
}

/// Refuses an empty name, which would mean that no file is asked for.
inline CLI::Validator fileName() {
  return CLI::Validator(
      [](const std::string &text) -> std::string {
        return text.empty() ? "expected the name of a file, found nothing" : "";
      },
      "");
}

} // namespace fairy2
