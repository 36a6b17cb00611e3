// SPDX-License-Identifier: Apache-2.0
//
// Normalizers, pre-tokenizers and decoders are steps: a tokenizer.json names
// their types, and a "Sequence" chains them. Each step may make text longer;
// without a bound forty of them turn one letter into a terabyte. So every step
// knows its factor, and the product is checked when the file is read.
#pragma once

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"

#include <memory>
#include <string>
#include <vector>

namespace fairy2::tokenizer {

/// A name that the "type" of a step may have, and how such a step is read.
template <typename Step> struct StepType {
  std::string_view name;
  std::unique_ptr<Step> (*read)(const JsonField &field);

  /// Steps that read their settings themselves.
  template <typename T> static StepType of(std::string_view name) {
    return {name, [](const JsonField &field) -> std::unique_ptr<Step> {
              return std::make_unique<T>(field);
            }};
  }
  /// Steps without settings.
  template <typename T> static StepType plain(std::string_view name) {
    return {name, [](const JsonField &field) -> std::unique_ptr<Step> {
              field.requireKeys({"type"});
              return std::make_unique<T>();
            }};
  }
};

/// The step in `field`. Throws Error when its type is not in the table; `what`
/// says what the table lists.
template <typename Step, size_t count>
std::unique_ptr<Step> readStep(const JsonField &field, std::string_view what,
                               const StepType<Step> (&types)[count]) {
  const std::string name = field["type"].string();
  for (const StepType<Step> &type : types)
    if (type.name == name)
      return type.read(field);
  field["type"].refuse("the " + std::string(what) + " " + quoteName(name, '"') +
                       " is not supported");
}

/// The steps of a "Sequence", which the file lists under `key`.
template <typename Step> class StepSequence : public Step {
public:
  StepSequence(const JsonField &field, std::string_view key,
               std::unique_ptr<Step> (*read)(const JsonField &field)) {
    field.requireKeys({"type", key});
    for (const JsonField &element : field[key].elements())
      steps.push_back(read(element));
  }
  double growth() const override {
    double product = 1;
    for (const std::unique_ptr<Step> &step : steps)
      product *= step->growth();
    return product;
  }

protected:
  std::vector<std::unique_ptr<Step>> steps;
};

/// `step`, read from `field`. Throws Error if text may grow by more than is
/// sensible.
template <typename Step>
std::unique_ptr<Step> requireModestGrowth(const JsonField &field,
                                          std::unique_ptr<Step> step) {
  constexpr double most = 1024;
  if (step->growth() > most)
    field.refuse("expected steps that make text at most 1024 times longer, "
                 "found more");
  return step;
}

/// Throws Error when a text has become too long: the steps may make a long one
/// 1024 times longer.
inline void requireModestText(size_t bytes) {
  constexpr size_t most = size_t(1) << 30;
  if (bytes > most)
    throw Error("tokenizer: expected text of at most " + std::to_string(most) +
                " bytes after its normalizer and pre-tokenizer, found more");
}

/// The factor of replacing matches by `content`; `literal` is empty for a
/// regular expression, which may match between any two bytes.
inline double growthOfReplacing(size_t literal, size_t content) {
  if (literal == 0)
    return 1 + 2 * double(content);
  return content > literal ? double(content) / double(literal) : 1;
}

} // namespace fairy2::tokenizer
