// SPDX-License-Identifier: Apache-2.0
//
// The bodies on CUDA: one __global__ function each. nvcc sees nothing of
// LibTorch.
#include "trainer/cuda/Kernels.h"

#include "trainer/cuda/Bodies.h"

namespace {

using namespace fairy2::trainer;

/// Blocks.h says what it provides.
struct DeviceBlock {
  const int64_t index;
  const int threads;

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
  DeviceBlock block{blockIdx.x, int(blockDim.x)};
  Body::run(block, call);
}

/// A row of the grid per matrix; those of smaller matrices end early.
template <typename Body>
__global__ void batchKernel(const PhaseCall *calls, int stage) {
  const PhaseCall call = calls[blockIdx.y];
  if (blockIdx.x >= Body::grid(call).blocks)
    return;
  DeviceBlock block{blockIdx.x, int(blockDim.x)};
  Body::run(block, call, stage);
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
  template <typename Body>
  void batch(const PhaseBatchCall &batch, int stage) const {
    GridShape most = Body::grid(batch.calls[0]);
    for (int64_t i = 1; i < batch.count; ++i)
      most.blocks = Larger()(most.blocks, Body::grid(batch.calls[i]).blocks);
    batchKernel<Body>
        <<<dim3(unsigned(most.blocks), unsigned(batch.count)),
           dim3(unsigned(most.threads)), size_t(most.sharedBytes), stream>>>(
            batch.onDevice, stage);
  }
};

/// Has startOnCuda() compiled for each of the calls.
template <typename... Calls>
constexpr auto startersOf(const DeviceKernelTable<Calls...> *) {
  return std::make_tuple(&startOnCuda<Calls>...);
}

} // namespace

template <typename Call>
int fairy2::trainer::startOnCuda(const Call &call, void *stream) {
  startBodies(call, Launch{static_cast<cudaStream_t>(stream)});
  return int(cudaGetLastError());
}

namespace fairy2::trainer {
/// Kept, and with it what it names.
extern const auto kStarters =
    startersOf(static_cast<const DeviceKernels *>(nullptr));
} // namespace fairy2::trainer
