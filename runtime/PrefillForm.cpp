// SPDX-License-Identifier: Apache-2.0
//
// The environment's word on the form of prefill, and the manifest's.
#include "runtime/PrefillForm.h"

#include "runtime/Status.h"

#include <string_view>

namespace fairy2 {
namespace {

/// Decode of a single token has no products.
constexpr int64_t kFewestTokens = 2;

[[noreturn]] void fail(const std::string &expected, std::string_view found) {
  throw StatusError(FAIRY2_BAD_ARGUMENT, "FAIRY2_PREFILL: expected " +
                                             expected + ", found '" +
                                             std::string(found) + "'");
}

} // namespace

std::string PrefillForm::text() const {
  const std::string source = isForced ? " (environment)" : "";
  if (productsFrom == INT64_MAX)
    return "prefill by look-ups" + source;
  return "prefill by products from " + std::to_string(productsFrom) +
         " tokens on" + source;
}

PrefillForm choosePrefillForm(const Variant &variant, const char *environment) {
  if (!environment)
    return variant.productsFrom ? PrefillForm{variant.productsFrom}
                                : PrefillForm();
  const std::string_view form = environment;
  if (form == "lookup")
    return {INT64_MAX, true};
  if (form != "products")
    fail("lookup or products", form);
  if (!variant.productsFrom)
    fail("lookup, since this model's code for " + variant.name +
             " holds no products",
         form);
  return {kFewestTokens, true};
}

} // namespace fairy2
