// SPDX-License-Identifier: Apache-2.0
//
// The training step's loops that ATen has no fused CPU operator for.
// Kernels.inc is compiled once per instruction set; kernels() picks the best
// table this machine can run. Sums have a fixed order within one table, so a
// run repeats bit for bit on the same machine. Rows and heads are the callers'
// unit of parallel work: no function here starts a thread or allocates.
#pragma once

#include <cstdint>

namespace fairy2::trainer {

/// Causal attention of one key-value head and the query heads that share it,
/// over one sequence of `positions` tokens. Matrices are row-major.
struct AttentionHead {
  int64_t positions = 0;
  int64_t dim = 0; ///< even, at most 256
  float scale = 1;
  float softCap = 0; ///< of the scaled scores; 0: none
  /// first[i]: the first position that position i attends to, at most i, and
  /// never less than first[i - 1].
  const int32_t *first = nullptr;
};

struct Kernels {
  const char *name;

  /// out = softmax(cap(scale q k^T)) v for rows of length dim, with k and v
  /// transposed to [dim, positions]; logSums[i] = log of the softmax's sum.
  /// scratch: attentionScratch(positions) floats.
  void (*attentionForward)(const AttentionHead &head, const float *q,
                           const float *kT, const float *vT, float *out,
                           float *logSums, float *scratch);
  /// Gradients of the same: writes dq [positions, dim], adds to dkT and dvT
  /// [dim, positions].
  void (*attentionBackward)(const AttentionHead &head, const float *q,
                            const float *kT, const float *vT, const float *out,
                            const float *logSums, const float *dOut, float *dq,
                            float *dkT, float *dvT, float *scratch);

  /// y = x * inverse * weight with inverse = 1 / sqrt(mean(x^2) + epsilon);
  /// returns inverse.
  float (*rmsNormRow)(const float *x, const float *weight, int64_t n,
                      float epsilon, float *y);
  /// dx of the same; adds to dWeight.
  void (*rmsNormRowBackward)(const float *x, const float *weight, int64_t n,
                             float inverse, const float *dy, float *dx,
                             float *dWeight);

  /// y = silu(gate) * up.
  void (*swiGlu)(const float *gate, const float *up, int64_t n, float *y);
  void (*swiGluBackward)(const float *gate, const float *up, const float *dy,
                         int64_t n, float *dGate, float *dUp);

  /// y = round(x * 127 / max |x|) * (max |x| / 127), ties to even: what the
  /// compiled model's int8 activations stand for.
  void (*fakeQuantizeRow)(const float *x, int64_t n, float *y);

  /// Replaces logits by softmax(logits / temperature); returns
  /// log(sum(exp(logits / temperature))).
  float (*softmaxRow)(float *logits, int64_t n, float temperature);

  /// Replaces logits by cap * tanh(logits / cap).
  void (*softCapRow)(float *logits, int64_t n, float cap);
  /// Multiplies the gradient by the slope of the same, from its results.
  void (*softCapRowBackward)(const float *capped, int64_t n, float cap,
                             float *gradient);
};

constexpr int64_t kAttentionRows = 4;
constexpr int64_t kAttentionLanes = 32;
// Internal linkage, or the linker could take one instruction set's copy for
// all.
static inline constexpr int64_t roundUpToLanes(int64_t n) {
  return (n + kAttentionLanes - 1) / kAttentionLanes * kAttentionLanes;
}
/// kT, vT, dkT and dvT have rows of roundUpToLanes(positions) floats.
static inline constexpr int64_t attentionScratch(int64_t positions) {
  return 2 * kAttentionRows * roundUpToLanes(positions);
}

/// The best table for this machine.
const Kernels &kernels();
/// All tables this machine can run, the plainest first: for tests.
const Kernels *const *runnableKernels(int &count);

} // namespace fairy2::trainer
