// SPDX-License-Identifier: Apache-2.0
//
// What --tune=TOKENS does when all is coded: codes stay, and factors of rows
// and norms move so that the coded model predicts what the float model does.
#pragma once

#include "trainer/quantize/CalibrationText.h"
#include "trainer/quantize/WorkFolder.h"

#include <map>

namespace fairy2::trainer {

struct TuningOptions {
  double learningRate = 1e-2; ///< of logarithms, at its highest
  uint64_t seed = 0;
  int threads = 1;
};

/// The rate for so many bits per weight: coarse codes gain by large steps.
double tuningRate(double bits);

struct Tuned {
  /// By the parameter's index: of coded matrices their factors of rows, of
  /// norms what they multiply with.
  std::map<size_t, std::vector<float>> values;
  /// Mean KL divergence of the coded model's predictions from those of the
  /// float model, nats per token, over the first and the last eighth of the
  /// steps.
  double firstDivergence = 0, lastDivergence = 0;
};

/// Minimizes the KL divergence over `sequences`, each once, with fairy2-train's
/// loss, AdamW and schedule. Factors are powers of 2^(1/16) in every step. Goes
/// on from what `work` has of it. The result is the same for any number of
/// threads.
Tuned tune(const Model &model, const std::map<size_t, PhaseMatrix> &coded,
           const Sequences &sequences, const TuningOptions &options,
           const WorkFolder &work);

} // namespace fairy2::trainer
