// SPDX-License-Identifier: Apache-2.0
//
// The bodies on CUDA: one __global__ function each. Plain CUDA C++ with a C
// interface, so that nvcc sees nothing of LibTorch.
#include "trainer/cuda/Kernels.h"

#include "trainer/cuda/PhaseBodies.h"

namespace {

using namespace fairy2;

/// Bodies.h says what it provides.
struct DeviceBlock {
  const int64_t index = blockIdx.x;
  const int threads = int(blockDim.x);

  template <typename F> __device__ void each(const F &f) {
    f(int(threadIdx.x));
    __syncthreads();
  }

  /// Within warps by shuffles, whose first lane adds lanes 16, 8, 4, 2 and 1
  /// apart, and then over the warps in order.
  template <typename F, typename Op>
  __device__ auto reduce(const F &f, const Op &op) {
    auto value = f(int(threadIdx.x));
    __shared__ decltype(value) ofWarps[kWarp];
    for (int offset = kWarp / 2; offset > 0; offset /= 2)
      value = op(value, __shfl_down_sync(~0u, value, offset));
    if (threadIdx.x % kWarp == 0)
      ofWarps[threadIdx.x / kWarp] = value;
    __syncthreads();
    auto total = ofWarps[0];
    for (int warp = 1; warp < threads / kWarp; ++warp)
      total = op(total, ofWarps[warp]);
    // The next reduction of the kind overwrites what has just been read.
    __syncthreads();
    return total;
  }

  template <typename T> struct Local {
    T value{};
    __device__ explicit Local(const DeviceBlock &) {}
    __device__ T &operator[](int) { return value; }
  };

  template <typename T> __device__ T *shared() {
    extern __shared__ double memory[];
    return reinterpret_cast<T *>(memory);
  }

  __device__ void lower(int64_t *place, int64_t value) {
    atomicMin(reinterpret_cast<long long *>(place), (long long)(value));
  }
};

template <typename Body, typename Call> __global__ void kernel(Call call) {
  DeviceBlock block;
  Body::run(block, call);
}

struct Launch {
  cudaStream_t stream;

  template <typename Body, typename Call>
  void operator()(const Call &call) const {
    const GridShape grid = Body::grid(call);
    if (grid.blocks > 0)
      kernel<Body><<<dim3(unsigned(grid.blocks)), dim3(unsigned(grid.threads)),
                     size_t(grid.sharedBytes), stream>>>(call);
  }
};

template <typename... Bodies, typename Call>
int run(const Call *call, void *stream) {
  const Launch launch{static_cast<cudaStream_t>(stream)};
  (launch.template operator()<Bodies>(*call), ...);
  return int(cudaGetLastError());
}

} // namespace

int fairy2CudaNorm(const NormCall *call, void *stream) {
  return run<NormBody>(call, stream);
}
int fairy2CudaNormBackward(const NormBackwardCall *call, void *stream) {
  return run<NormBackwardBody, NormWeightBody>(call, stream);
}
int fairy2CudaGated(const GatedCall *call, void *stream) {
  return run<GatedBody>(call, stream);
}
int fairy2CudaGatedBackward(const GatedBackwardCall *call, void *stream) {
  return run<GatedBackwardBody>(call, stream);
}
int fairy2CudaFakeQuantize(const FakeQuantizeCall *call, void *stream) {
  return run<FakeQuantizeBody>(call, stream);
}
int fairy2CudaRotate(const RotateCall *call, void *stream) {
  return run<RotateBody>(call, stream);
}
int fairy2CudaCrossEntropy(const CrossEntropyCall *call, void *stream) {
  return run<CrossEntropyBody>(call, stream);
}
int fairy2CudaDistill(const DistillCall *call, void *stream) {
  return run<DistillBody>(call, stream);
}
int fairy2CudaSumOfSquares(const SumOfSquaresCall *call, void *stream) {
  return run<SumOfSquaresBody>(call, stream);
}
int fairy2CudaQuantizePhases(const PhaseCall *call, void *stream) {
  quantizePhasesInStages(*call, Launch{static_cast<cudaStream_t>(stream)});
  return int(cudaGetLastError());
}
