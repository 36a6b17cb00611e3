// SPDX-License-Identifier: Apache-2.0
//
// Where the ranks of a run keep latents, gradients and the optimizer's states:
// each rank all of them (DDP), states divided (ZeRO-1), or everything divided
// (ZeRO-3, Rajbhandari et al., arXiv 1910.02054). The parameters of a unit (see
// Model::units()) are one flat vector, and rank r owns its r-th part.
#pragma once

#include "trainer/distributed/Communicator.h"
#include "trainer/model/Model.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace fairy2::trainer {

enum class Sharding { None, Moments, All };

/// The sharding called none, zero1 or zero3. Throws Error.
Sharding shardingOf(const std::string &name);

/// The length of each of `parts` parts of a unit of `total` values; the last
/// ones are padded.
int64_t partLength(int64_t total, int64_t parts);

/// A piece of a parameter that this rank's optimizer updates.
struct Slice {
  at::Tensor values, gradient; ///< flat, of equal length
  std::vector<int64_t> shape;  ///< of the whole parameter
  int64_t begin = 0;           ///< of the slice among the parameter's values
  size_t unit = 0;
  int64_t offset = 0; ///< in the unit's part

  bool isOfMatrix() const { return shape.size() == 2; }
};

/// What this rank owns of a unit's flat vector.
struct OwnPart {
  int64_t total = 0; ///< of the unit, over all ranks
  int64_t begin = 0;
  at::Tensor latents; ///< values [begin, begin + length)
};

class ShardedWeights : public WeightSource {
public:
  /// Gives all parameters of `model` their place and their values. With
  /// Sharding::All the model's own latents stay undefined. All tensors are on
  /// `device`; `fill` writes to host memory.
  ShardedWeights(Model &model, Communicator &ranks, Sharding sharding,
                 bool recompute, const FillParameter &fill,
                 at::Device device = at::kCPU);

  // All ranks call the following functions in the same order.

  /// Computes effective weights from the latents, once for any number of
  /// passes.
  void quantize(const Numerics &numerics);
  /// Around each pass. With `training`, gradients are added up; with `last`
  /// they are the step's last, and are summed over the ranks as soon as each
  /// unit's are complete.
  void beginPass(bool training, bool last);
  void endPass();
  /// Moves the slices' latents by `share` of the way to what quantize() made of
  /// them. Before they change otherwise.
  void dampen(double share);
  /// To call when the latents of the slices have changed.
  void publish();
  /// All of a parameter's latent.
  at::Tensor latent(size_t parameter);

  /// Whether the ranks own different slices.
  bool divides() const { return sharding != Sharding::None; }
  at::Device device() const { return home; }
  std::vector<Slice> slices();
  std::vector<OwnPart> ownParts();
  /// The slices' gradients with what lies between them, zeros: flat, one per
  /// unit.
  std::vector<at::Tensor> gradientParts() const;
  void clearGradients();
  /// All of a unit's flat vector, given each rank's part of it: latents, or
  /// anything else that there is of each value. All ranks call it together.
  at::Tensor gathered(size_t unit, const at::Tensor &part);

  const Weights &weights() const override { return current; }
  bool recomputes() const override {
    return recompute || sharding == Sharding::All;
  }
  void acquire(size_t unit, bool forBackward) override;
  void release(size_t unit) override;
  void gradientsDone(size_t unit) override;

private:
  struct Unit {
    std::vector<size_t> parameters;
    std::vector<int64_t> offsets; ///< of each parameter in the flat vector
    int64_t total = 0;
    int64_t length = 0; ///< of a rank's part; the last ones are padded
    int64_t begin = 0;  ///< of this rank's part
    at::Tensor latents; ///< flat: all, or with Sharding::All the part
    /// All that backward adds up; with Sharding::All what was summed of it.
    at::Tensor gradients;
    at::Tensor part; ///< ZeRO-1: sum over the ranks of this rank's part
    // With Sharding::All:
    at::Tensor effective;        ///< the part
    at::Tensor gathered, adding; ///< flat, while a layer needs them
    Pending gathering;           ///< of `gathered`, when under way
  };
  /// A sum of gradients under way.
  struct Reduction {
    size_t unit = 0;
    at::Tensor whole, part;
    Pending pending;
  };

  at::TensorOptions floats() const {
    return at::TensorOptions(home).dtype(at::kFloat);
  }
  /// Values of a unit's flat vector.
  struct Overlap {
    int64_t begin, end;
  };

  bool shardsAll() const { return sharding == Sharding::All; }
  int64_t paddedLength(const Unit &unit) const {
    return unit.length * ranks.size();
  }
  at::Tensor viewOf(const at::Tensor &flat, const Unit &unit, size_t i) const;
  /// What this rank's part has of parameter `i` of the unit; maybe nothing.
  Overlap overlapOf(const Unit &unit, size_t i) const;
  void place(Unit &unit, const FillParameter &fill);
  void startGathering(size_t unit);
  void finishReduction();

  Model &model;
  Communicator &ranks;
  const Sharding sharding;
  const bool recompute;
  const at::Device home;
  std::vector<Unit> units;
  Weights current;
  bool isTraining = false, isLast = false;
  std::deque<Pending> sums;
  Reduction reduction;
  size_t cachedUnit = 0; ///< of latent()
  at::Tensor cached;
};

} // namespace fairy2::trainer
