// SPDX-License-Identifier: Apache-2.0
//
// A block's threads are run one after the other between barriers, and its
// shared memory begins as garbage.
#include "test/unit/trainer/SerialKernels.h"

#include "trainer/cuda/Bodies.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace fairy2::trainer {
namespace {

/// What DeviceBlock of Kernels.cu is to CUDA. Shared memory begins as garbage,
/// and threads run in no natural order between barriers.
struct SerialBlock {
  int64_t index;
  int threads;
  std::vector<double> memory;

  template <typename F> void each(const F &f) {
    // No number of warps has the factor 17, so each thread has its turn.
    for (int i = 0; i < threads; ++i)
      f((17 * i + 5) % threads);
  }

  template <typename F, typename Op> auto reduce(const F &f, const Op &op) {
    std::vector<decltype(f(0))> values;
    for (int t = 0; t < threads; ++t)
      values.push_back(f(t));
    auto total = values[0];
    for (int warp = 0; warp < threads / kWarp; ++warp) {
      auto *lanes = values.data() + warp * kWarp;
      for (int offset = kWarp / 2; offset > 0; offset /= 2)
        for (int lane = 0; lane < offset; ++lane)
          lanes[lane] = op(lanes[lane], lanes[lane + offset]);
      total = warp == 0 ? lanes[0] : op(total, lanes[0]);
    }
    return total;
  }

  template <typename T> struct Local {
    std::vector<T> values;
    explicit Local(const SerialBlock &block) : values(size_t(block.threads)) {}
    T &operator[](int t) { return values[size_t(t)]; }
  };

  template <typename T> T *shared() {
    return reinterpret_cast<T *>(memory.data());
  }

  void lower(int64_t *place, int64_t value) {
    *place = std::min(*place, value);
  }
};

struct Launch {
  template <typename Body, typename... Arguments>
  static void runGrid(const GridShape &grid, const Arguments &...arguments) {
    for (int64_t b = 0; b < grid.blocks; ++b) {
      SerialBlock block{
          b, grid.threads,
          std::vector<double>(
              size_t(ceilDivide(grid.sharedBytes, sizeof(double))), -1e30)};
      Body::run(block, arguments...);
    }
  }
  template <typename Body, typename Call>
  void operator()(const Call &call) const {
    runGrid<Body>(Body::grid(call), call);
  }
  template <typename Body>
  void batch(const PhaseBatchCall &batch, int stage) const {
    for (int64_t i = 0; i < batch.count; ++i)
      runGrid<Body>(Body::grid(batch.onDevice[i]), batch.onDevice[i], stage);
  }
};

struct Starter {
  template <typename Call> static void start(const Call &call) {
    startBodies(call, Launch());
  }
};

} // namespace

const DeviceKernels kSerialKernels = deviceKernelsOf<Starter>();

} // namespace fairy2::trainer
