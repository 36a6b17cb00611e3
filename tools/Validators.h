// SPDX-License-Identifier: Apache-2.0
//
// Checks of command lines that CLI11 lacks: it clamps whole numbers that do not
// fit into 64 bits, and takes a negative number for a large one.
#pragma once

#include "runtime/support/Error.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace fairy2 {

/// Refuses what is no whole number from `least` to `most`.
template <typename T>
CLI::Validator wholeNumber(T least = std::numeric_limits<T>::min(),
                           T most = std::numeric_limits<T>::max()) {
  return CLI::Validator(
      [least, most](const std::string &text) -> std::string {
        T value;
        const char *end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        if (read.ec == std::errc() && read.ptr == end && value >= least &&
            value <= most)
          return "";
        return "expected a whole number from " + std::to_string(least) +
               " to " + std::to_string(most) + ", found '" + text + "'";
      },
      "");
}

/// Refuses what is no number from `least` to `most`; also NaN, which a range of
/// CLI11 lets through.
inline CLI::Validator number(double least, double most) {
  return CLI::Validator(
      [least, most](const std::string &text) -> std::string {
        double value;
        const char *end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        if (read.ec == std::errc() && read.ptr == end && value >= least &&
            value <= most)
          return "";
        std::ostringstream sentence;
        sentence << "expected a number from " << least << " to " << most
                 << ", found '" << text << "'";
        return sentence.str();
      },
      "");
}

/// An option that takes `values` as one word with commas between them, which
/// --help shows as `shown`; each has to pass `check`. CLI11's own lists lose
/// items that are empty.
template <typename T>
CLI::Option *addList(CLI::App &app, const std::string &name,
                     std::vector<T> &values, const std::string &shown,
                     const std::string &description,
                     const CLI::Validator &check) {
  const auto add = [&values, name, check](std::string item) {
    if (const std::string fault = check(item); !fault.empty())
      throw CLI::ValidationError(name, fault);
    if constexpr (std::is_integral_v<T>)
      std::from_chars(item.data(), item.data() + item.size(),
                      values.emplace_back());
    else
      values.push_back(item);
  };
  return app
      .add_option_function<std::vector<std::string>>(
          name,
          [&values, add](const std::vector<std::string> &words) {
            values.clear();
            for (const std::string &word : words)
              for (size_t begin = 0, end = 0; end != word.npos;
                   begin = end + 1) {
                end = word.find(',', begin);
                add(word.substr(begin, end - begin));
              }
          },
          description)
      ->allow_extra_args(false)
      ->option_text(shown);
}

/// Refuses a list that names something twice.
template <typename T>
void requireDifferent(const std::string &option, std::vector<T> values) {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice == values.end())
    return;
  std::ostringstream text;
  text << "expected each value once, found '" << *twice << "' twice";
  throw CLI::ValidationError(option, text.str());
}

/// Runs a library's check of options: what the command line alone shows to be
/// out of range is wrong usage.
inline void checkUsage(const std::function<void()> &check) {
  try {
    check();
  } catch (const Error &error) {
    throw CLI::ValidationError(error.what());
  }
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
