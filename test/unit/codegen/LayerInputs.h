// SPDX-License-Identifier: Apache-2.0
//
// Inputs of the exact kernels of quantized layers.
#pragma once

#include "test/unit/codegen/CompiledModule.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace fairy2 {

/// Rows of `width` values in int8 range, each with one of magnitude 127 or all
/// zero, so that quantization changes none of them: random ones, and the
/// corners of the look-up tables. 16, so that products take groups of tokens
/// of all sizes.
inline std::vector<Floats> quantizedInputs(int64_t width,
                                           std::mt19937 &random) {
  std::vector<Floats> inputs;
  std::uniform_int_distribution<int> byte(-127, 127);
  for (int token = 0; token < 10; ++token) {
    Floats x(width);
    for (float &v : x)
      v = float(byte(random));
    x[token % width] = 127;
    inputs.push_back(x);
  }
  inputs.push_back(Floats(width, 127));  // Every block is wide ..
  inputs.push_back(Floats(width, -127)); // .. with either sign
  Floats alternating(width);
  for (int64_t i = 0; i < width; ++i)
    alternating[i] = i % 2 ? -127.0f : 127.0f;
  inputs.push_back(alternating);
  inputs.push_back(Floats(width, 0));
  Floats oneWideBlock(width, 1);
  for (int64_t i = 0; i < std::min<int64_t>(width, 4); ++i)
    oneWideBlock[i] = 127;
  inputs.push_back(oneWideBlock);
  Floats atTheLimit(width); // Groups of four whose sums are 255 and 256.
  const float limits[8] = {127, 64, 64, 0, 127, 64, 64, 1};
  for (int64_t i = 0; i < width; ++i)
    atTheLimit[i] = limits[i % 8];
  inputs.push_back(atTheLimit);
  return inputs;
}

/// Row `token` of [token][features].
inline Floats rowOf(const Floats &all, int64_t token, int64_t features) {
  return Floats(all.begin() + token * features,
                all.begin() + (token + 1) * features);
}

} // namespace fairy2
