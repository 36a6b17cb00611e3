// SPDX-License-Identifier: Apache-2.0
//
// Which form of their sums layers take for many tokens at once. Kernels hold
// both, with equal results; which is faster depends on the number of tokens.
#pragma once

#include "runtime/Manifest.h"

#include <cstdint>
#include <string>

namespace fairy2 {

struct PrefillForm {
  /// Tokens of a call from which layers multiply.
  int64_t productsFrom = INT64_MAX;
  bool isForced = false; ///< by the environment

  bool operator==(const PrefillForm &) const = default;
  /// In a few words for people.
  std::string text() const;
};

/// FAIRY2_PREFILL if it is set, lookup or products, or what the variant's
/// compiler chose. Single tokens are always looked up. Throws StatusError
/// naming FAIRY2_PREFILL.
PrefillForm choosePrefillForm(const Variant &variant, const char *environment);

} // namespace fairy2
