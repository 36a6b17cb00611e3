// SPDX-License-Identifier: Apache-2.0
//
// Upper and lower case as Python's str has them, where one character may become
// several. Each has the mark of the one that it comes from.
#pragma once

#include "runtime/text/jinja/Text.h"

namespace fairy2::jinja {

Text upper(TextView text);
/// A capital sigma that ends a word becomes a final one.
Text lower(TextView text);
/// The first character in title case, the others in lower case.
Text capitalize(TextView text);
/// The same of every word; it begins after what has no case.
Text title(TextView text);

} // namespace fairy2::jinja
