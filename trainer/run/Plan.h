// SPDX-License-Identifier: Apache-2.0
//
// What a run will need, before it starts: --dry-run.
#pragma once

#include "trainer/run/Recipe.h"

#include <cstdint>
#include <string>

namespace fairy2 {
struct HFConfig;
}

namespace fairy2::trainer {

class Method;

/// Bytes that each rank holds, by purpose. The formula is in trainer/README.md.
struct MemoryPlan {
  int64_t program = 0;   ///< libraries, threads and what malloc keeps
  int64_t latents = 0;   ///< float32
  int64_t gradients = 0; ///< float32
  int64_t optimizer = 0; ///< its states, float32
  int64_t quantized = 0; ///< effective weights of the quantized layers
  int64_t teacher = 0;   ///< its weights, float32
  int64_t gathered = 0;  ///< of ZeRO-3: whole units while they compute
  /// The larger of activations with the loss's logits, and activations with
  /// Gloo's copies of what is exchanged.
  int64_t working = 0;

  int64_t total() const {
    return program + latents + gradients + optimizer + quantized + teacher +
           gathered + working;
  }
};

/// `teacher` is its config, or null without one.
MemoryPlan planMemory(const HFConfig &config, const Recipe &recipe,
                      int64_t ranks, const HFConfig *teacher = nullptr);

/// Bytes that a run writes.
struct DiskPlan {
  int64_t state = 0;    ///< one
  int64_t states = 0;   ///< that are there at one time
  int64_t exported = 0; ///< at most

  int64_t total() const { return states * state + exported; }
};
DiskPlan planDisk(const HFConfig &config, const Recipe &recipe, int64_t steps);

/// What a parameter of the layers' matrices takes where a method stores them,
/// scales included; 32 where it does not.
double bitsPerParameter(const HFConfig &config, const Method *method);

/// Parameters, memory of each rank, tokens, steps and an estimate of the time,
/// as lines of text. Reads config.json only. Throws Error.
std::string describePlan(const Recipe &recipe, int64_t ranks);

} // namespace fairy2::trainer
