// SPDX-License-Identifier: Apache-2.0
//
// Rewrites text before it is cut into pieces: the "normalizer" field of a
// tokenizer.json.
#pragma once

#include "runtime/support/Json.h"

#include <memory>
#include <string>

namespace fairy2::tokenizer {

class Normalizer {
public:
  virtual ~Normalizer() = default;
  /// Rewrites valid UTF-8 in place, to valid UTF-8.
  virtual void apply(std::string &text) const = 0;
  /// By what factor text may become longer.
  virtual double growth() const { return 1; }
};

/// The normalizer in `field`, null when the field is. Throws Error when its
/// type is unknown.
std::unique_ptr<Normalizer> readNormalizer(const JsonField &field);

} // namespace fairy2::tokenizer
