// SPDX-License-Identifier: Apache-2.0
//
// Checks of command lines that CLI11 lacks: it clamps whole numbers that do not
// fit into 64 bits, and takes a negative number for a large one.
#pragma once

#include <CLI/CLI.hpp>

#include <algorithm>
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

/// Makes 010 ten, as scripts that pad their numbers mean it; CLI11 would make
/// it eight. Call it when `app` has all of its options.
inline void readPaddedNumbers(CLI::App &app) {
  auto withoutZeros = [](const std::string &text) {
    const bool isNumber =
        !text.empty() && text.find_first_not_of("0123456789") == text.npos;
    return isNumber ? text.substr(std::min(text.find_first_not_of('0'),
                                           text.size() - 1))
                    : text;
  };
  for (CLI::Option *option : app.get_options())
    for (const char *type : {"INT", "UINT"})
      if (option->get_type_name().rfind(type, 0) == 0)
        option->transform(withoutZeros, "", "padded");
  for (CLI::App *group : app.get_subcommands({}))
    readPaddedNumbers(*group);
}

} // namespace fairy2
