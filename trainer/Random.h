// SPDX-License-Identifier: Apache-2.0
//
// Random numbers that are the same on every machine and depend on a name, not
// on the order of calls.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace fairy2::trainer {

/// The finalizer of splitmix64: a well-mixed function of x.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// FNV-1a.
constexpr uint64_t hashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name)
    hash = (hash ^ uint8_t(c)) * 0x100000001b3;
  return hash;
}

/// A stream of numbers for one tensor.
class RandomStream {
public:
  RandomStream(uint64_t seed, std::string_view name)
      : state(mix64(seed) ^ hashName(name)) {}

  /// In (0, 1).
  double uniform() {
    state += 0x9e3779b97f4a7c15;
    return (double(mix64(state) >> 11) + 0.5) * 0x1p-53;
  }
  double normal() {
    return std::sqrt(-2 * std::log(uniform())) *
           std::cos(2 * std::numbers::pi * uniform());
  }

private:
  uint64_t state;
};

} // namespace fairy2::trainer
