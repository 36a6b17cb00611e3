// SPDX-License-Identifier: Apache-2.0
//
// How kernels are tried: inputs, runs on every CPU level, near values.
#pragma once

#include "test/unit/codegen/CompiledModule.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fairy2 {

using Doubles = std::vector<double>;

/// Rows that the tables of small tests have, and tokens of their steps.
constexpr int64_t kTokens = 5;

Floats randomFloats(int64_t count, uint32_t seed, float deviation = 1);

/// tensor<?xFEATURESxELEMENT>
std::string tensor(int64_t features, const char *element = "f32");

/// "%name = rows of @name", inputs of a kernel.
std::string embed(const std::string &name, int64_t features);

/// Compiles for every level and demands equal bits for all levels and the forms
/// of sums that they have, splits into calls, which `splits` lists, and thread
/// counts: 1 and in turn 3 or 2. Returns the logits.
Floats runEverywhere(const std::string &module,
                     const std::vector<std::vector<Step>> &splits,
                     int64_t slots = 1, int64_t context = 16);
/// The same for tokens 0 to `tokens` - 1: in one call, one by one, and in
/// parts whose lengths are no multiples of any group.
Floats runEverywhere(const std::string &module, int64_t tokens = kTokens);

void expectNear(const Floats &got, const Doubles &expected, double tolerance);

} // namespace fairy2
