// SPDX-License-Identifier: Apache-2.0
//
// A Jinja template as chat models bring it: the language of Jinja 3.1 as
// transformers sets it up (trim_blocks, lstrip_blocks, loop controls,
// {% generation %}, raise_exception, strftime_now), without anything that reads
// files or changes values. Rendering is bounded in steps, size and depth.
#pragma once

#include "runtime/text/jinja/Syntax.h"

#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

namespace fairy2::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
public:
  /// Parses the template. Throws Error naming the line.
  explicit Template(std::string_view source) : body(parse(source)) {}

  /// Renders with these variables; `now` is what strftime_now tells, local
  /// time. Throws Error naming the line. Thread-safe.
  Text render(const Variables &variables, std::time_t now) const;

private:
  Body body;
};

} // namespace fairy2::jinja
