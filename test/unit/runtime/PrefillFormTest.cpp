// SPDX-License-Identifier: Apache-2.0
//
// How the form of prefill is chosen.
#include "runtime/PrefillForm.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

Variant variantWith(int64_t productsFrom) {
  Variant variant;
  variant.name = "fancy";
  variant.productsFrom = productsFrom;
  return variant;
}

TEST(PrefillFormTest, TheManifestDecides) {
  const PrefillForm both = choosePrefillForm(variantWith(8), nullptr);
  EXPECT_EQ(both.productsFrom, 8);
  EXPECT_EQ(both.text(), "prefill by products from 8 tokens on");
  const PrefillForm one = choosePrefillForm(variantWith(0), nullptr);
  EXPECT_EQ(one.productsFrom, INT64_MAX);
  EXPECT_EQ(one.text(), "prefill by look-ups");
}

TEST(PrefillFormTest, TheEnvironmentForcesAForm) {
  const PrefillForm lookup = choosePrefillForm(variantWith(8), "lookup");
  EXPECT_EQ(lookup.productsFrom, INT64_MAX);
  EXPECT_EQ(lookup.text(), "prefill by look-ups (environment)");
  // Single tokens stay without products.
  const PrefillForm products = choosePrefillForm(variantWith(8), "products");
  EXPECT_EQ(products.productsFrom, 2);
  EXPECT_EQ(products.text(),
            "prefill by products from 2 tokens on (environment)");
  EXPECT_EQ(choosePrefillForm(variantWith(0), "lookup").productsFrom,
            INT64_MAX);
}

TEST(PrefillFormTest, OtherWordsAreRefused) {
  for (const char *wrong : {"", "product", "lookups", "LOOKUP", "8"})
    EXPECT_EQ(errorOf([&] { choosePrefillForm(variantWith(8), wrong); }),
              std::string("FAIRY2_PREFILL: expected lookup or products, found "
                          "'") +
                  wrong + "'");
  EXPECT_EQ(errorOf([] { choosePrefillForm(variantWith(0), "products"); }),
            "FAIRY2_PREFILL: expected lookup, since this model's code for "
            "fancy holds no products, found 'products'");
}

} // namespace
