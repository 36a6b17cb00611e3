// SPDX-License-Identifier: Apache-2.0
//
// Entry points of Kernels.cu, one per member of DeviceKernels. `stream` is a
// cudaStream_t; the result is the cudaError_t of the launches.
#pragma once

#include "trainer/kernels/DeviceKernels.h"

extern "C" {

int fairy2CudaNorm(const fairy2::NormCall *call, void *stream);
int fairy2CudaNormBackward(const fairy2::NormBackwardCall *call, void *stream);
int fairy2CudaGated(const fairy2::GatedCall *call, void *stream);
int fairy2CudaGatedBackward(const fairy2::GatedBackwardCall *call,
                            void *stream);
int fairy2CudaFakeQuantize(const fairy2::FakeQuantizeCall *call, void *stream);
int fairy2CudaRotate(const fairy2::RotateCall *call, void *stream);
int fairy2CudaCrossEntropy(const fairy2::CrossEntropyCall *call, void *stream);
int fairy2CudaDistill(const fairy2::DistillCall *call, void *stream);
int fairy2CudaSumOfSquares(const fairy2::SumOfSquaresCall *call, void *stream);
int fairy2CudaQuantizePhases(const fairy2::PhaseCall *call, void *stream);

} // extern "C"
