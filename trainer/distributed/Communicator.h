// SPDX-License-Identifier: Apache-2.0
//
// The processes of one run, and what they say to each other, through LibTorch's
// c10d: Gloo between CPUs, NCCL between GPUs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fairy2::trainer {

/// An operation under way: call it to wait for its result. Throws Error when a
/// rank does not answer.
using Pending = std::function<void()>;

class Communicator {
public:
  /// Joins the run that the environment names: RANK, WORLD_SIZE, MASTER_ADDR
  /// and MASTER_PORT as torchrun and --nproc set them, or SLURM_PROCID and
  /// SLURM_NTASKS for the first two. Without any, the run has one process. All
  /// ranks must call it, and later operations are on tensors of `device`.
  /// Throws Error.
  static std::unique_ptr<Communicator>
  fromEnvironment(at::Device device = at::kCPU);
  /// A run of one process.
  static std::unique_ptr<Communicator> alone();
  /// The number of ranks that the environment names, 1 without any. Throws
  /// Error.
  static int64_t sizeFromEnvironment();
  /// This process's number among those of its machine: LOCAL_RANK or
  /// SLURM_LOCALID, 0 without either. Throws Error.
  static int64_t localRankFromEnvironment();

  virtual ~Communicator() = default;

  int rank() const { return ownRank; }
  int size() const { return count; }

  // All ranks must start the same operations in the same order. Tensors are
  // contiguous and stay untouched until the operation is waited for.

  /// Replaces the tensor by its sum over all ranks.
  virtual Pending startSum(at::Tensor tensor) = 0;
  /// Cuts `whole` into as many equal parts as there are ranks and sets `own`
  /// to the sum over all ranks of the part of this rank's number.
  virtual Pending startScatterSum(at::Tensor whole, at::Tensor own) = 0;
  /// Sets `whole` to the `own` of all ranks, one after the other.
  virtual Pending startGather(at::Tensor own, at::Tensor whole) = 0;
  /// Returns when all ranks have called it.
  virtual void barrier() = 0;

  /// The sums over all ranks of a few numbers.
  std::vector<double> sums(const std::vector<double> &values);

  /// Runs `action` on all ranks; when it throws on one, all throw: that one
  /// what it threw, and the others Error with that text.
  void together(const std::string &otherRanksFailure,
                const std::function<void()> &action);
  /// Rank 0's text on every rank.
  std::string ofRankZero(const std::string &text);

  /// Bytes that this rank has sent, counted as a ring needs them: (N - 1) / N
  /// of a tensor to gather or to scatter it, twice that to sum it.
  int64_t bytesSent() const { return sent; }

protected:
  Communicator(int rank, int size) : ownRank(rank), count(size) {}
  /// Where the tensors of sums() are.
  virtual at::Device tensorDevice() const { return at::kCPU; }
  void countBytes(const at::Tensor &whole, int64_t turns) {
    sent += turns * int64_t(whole.nbytes()) * (count - 1) / count;
  }

private:
  int ownRank, count;
  int64_t sent = 0;
};

} // namespace fairy2::trainer
