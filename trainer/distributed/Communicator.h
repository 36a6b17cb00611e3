// SPDX-License-Identifier: Apache-2.0
//
// The processes of one run, and what they say to each other. Gloo on the CPU,
// through LibTorch's c10d.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fairy2 {

class Communicator {
public:
  /// Joins the run that the environment names: RANK, WORLD_SIZE, MASTER_ADDR
  /// and MASTER_PORT as torchrun and --nproc set them, or SLURM_PROCID and
  /// SLURM_NTASKS for the first two. Without any, the run has one process. All
  /// ranks must call it. Throws Error.
  static std::unique_ptr<Communicator> fromEnvironment();
  /// A run of one process.
  static std::unique_ptr<Communicator> alone();

  virtual ~Communicator() = default;

  int rank() const { return ownRank; }
  int size() const { return count; }

  /// Replaces the contiguous tensor by its sum over all ranks.
  virtual void sum(at::Tensor &tensor) = 0;
  /// Returns when all ranks have called it.
  virtual void barrier() = 0;

  /// The sums over all ranks of a few numbers.
  std::vector<double> sums(const std::vector<double> &values);

  /// Bytes of tensors that this rank gave to sum() so far.
  int64_t bytesReduced() const { return reduced; }

protected:
  Communicator(int rank, int size) : ownRank(rank), count(size) {}
  int64_t reduced = 0;

private:
  int ownRank, count;
};

} // namespace fairy2
