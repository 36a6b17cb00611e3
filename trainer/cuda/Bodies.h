// SPDX-License-Identifier: Apache-2.0
//
// The kernels of DeviceKernels.h as grids of blocks of threads, written once
// for CUDA (Kernels.cu) and for the tests' serial execution on a CPU
// (test/unit/trainer/SerialKernels.cpp). Each body states the grid that it
// needs; startBodies() says which bodies are a call's work.
#pragma once

#include "trainer/cuda/LayerBodies.h"
#include "trainer/cuda/LossBodies.h"
#include "trainer/cuda/PhaseBodies.h"

namespace fairy2::trainer {

/// The work of a call; launch.template operator()<Body>(call) runs a grid.
template <typename X, typename Y, typename Launch>
void startBodies(const NormCall<X, Y> &call, const Launch &launch) {
  launch.template operator()<NormBody>(call);
}
template <typename X, typename Y, typename Launch>
void startBodies(const NormBackwardCall<X, Y> &call, const Launch &launch) {
  launch.template operator()<NormBackwardBody>(call);
  launch.template operator()<NormWeightBody>(call);
}
template <typename T, typename Launch>
void startBodies(const GatedCall<T> &call, const Launch &launch) {
  launch.template operator()<GatedBody>(call);
}
template <typename T, typename Launch>
void startBodies(const GatedBackwardCall<T> &call, const Launch &launch) {
  launch.template operator()<GatedBackwardBody>(call);
}
template <typename T, typename Launch>
void startBodies(const FakeQuantizeCall<T> &call, const Launch &launch) {
  launch.template operator()<FakeQuantizeBody>(call);
}
template <typename T, typename Launch>
void startBodies(const RotateCall<T> &call, const Launch &launch) {
  launch.template operator()<RotateBody>(call);
}
template <typename T, typename Launch>
void startBodies(const CrossEntropyCall<T> &call, const Launch &launch) {
  launch.template operator()<CrossEntropyBody>(call);
}
template <typename T, typename Launch>
void startBodies(const DistillCall<T> &call, const Launch &launch) {
  launch.template operator()<DistillBody>(call);
}
template <typename Launch>
void startBodies(const SumOfSquaresCall &call, const Launch &launch) {
  launch.template operator()<SumOfSquaresBody>(call);
}
/// All matrices of the batch at once; launch.template batch<Body>(batch, stage)
/// runs the grids of all.
template <typename Launch>
void startBodies(const PhaseBatchCall &batch, const Launch &launch) {
  if (batch.count == 0)
    return;
  const PhaseCall &like = batch.calls[0];
  if (like.dividesRows)
    launch.template batch<PhaseFactorsBody>(batch, 0);
  launch.template batch<PhaseReadBody>(batch, 0);
  for (int stage = 0; stage < like.stages; ++stage) {
    launch.template batch<PhaseSumBody>(batch, stage);
    launch.template batch<PhaseScalesBody>(batch, stage);
    if (stage + 1 < like.stages)
      launch.template batch<PhaseSubtractBody>(batch, stage);
  }
  launch.template batch<PhaseWriteBody>(batch, 0);
}

} // namespace fairy2::trainer
