// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints that are quantized at rest: safetensors whose linear weights are
// phases. In place of the tensor P.weight stand
//
//   P.codes        U8 [2T, n, b]: set s, complex row i; byte j holds the k of
//                  codes i^k of columns 4j .. 4j+3, two bits each, lowest
//                  first. b is ceil(m / 4) rounded up to 8; bits past column m
//                  are 0.
//   P.scales       F32 [tiles down, tiles across, 2T, 2]: re and im of each
//                  set; one tile unless the scales are per tile
//   P.shape        I64 [2]: 2n, 2m
//   P.stages       I64 [1]: T of this matrix; absent: the header's
//   P.row_factors  F32 [2n], with scales per row
//   P.units        F32 [tiles down, tiles across], on the grid int8
//   P.integers     I16 [tiles down, tiles across, 2T, 2], on the grid int8;
//                  P.scales are units times integers, in float32
//
// and the header's metadata says "fairy2.format": "1" or "2", "fairy2.method":
// "complex_phase", "fairy2.stages": T and "fairy2.scales": "tensor", "row" or
// "tile"; version 2 also "fairy2.stage_scales": "mean" or "binary" and
// "fairy2.scale_grid": "float" or "int8", which are "mean" and "float" in
// version 1. All else is as in any checkpoint. Plain C++: the trainer writes
// it, the compiler reads it.
#pragma once

#include "dialect/phase/Phase.h"
#include "frontend/Checkpoint.h"

#include <optional>

namespace fairy2 {

/// One tensor of the checkpoint to write, by the name that it has, or would
/// have, unquantized.
struct PackedItem {
  std::string name;
  std::vector<int64_t> shape;
  bool isQuantized = false; ///< a matrix P.weight that becomes phases
  DType type = DType::F32;  ///< of a tensor that does not
  int stages = 0;           ///< of one that does; 0: the scheme's
};

/// Writes one safetensors file, which appears under its name when complete.
/// Asks once for each item, in order: for the phases of those that are
/// quantized, all of `scheme`, and for the stored bytes of the others. Throws
/// Error naming file and tensor.
void writePackedCheckpoint(
    const std::filesystem::path &file, PhaseScheme scheme,
    const std::vector<PackedItem> &items,
    const std::function<PhaseMatrix(size_t)> &phasesOf,
    const std::function<std::vector<uint8_t>(size_t)> &bytesOf);

/// Where the parts of a quantized weight are.
struct PackedWeight {
  int64_t rows = 0, columns = 0; ///< of the real matrix: 2n, 2m
  PhaseScheme scheme;            ///< the checkpoint's, with stages of its own
  OtherTensor codes;
  TensorInfo scales;
  std::optional<TensorInfo> rowFactors;
  std::optional<TensorInfo> units;     ///< on the int8 grid
  std::optional<OtherTensor> integers; ///< likewise
};

class PackedCheckpoint {
public:
  /// Finds and checks all quantized weights; nothing when the checkpoint's
  /// metadata does not speak of fairy2. Keeps a reference to `checkpoint`.
  /// Throws Error naming file and tensor.
  static std::optional<PackedCheckpoint> find(const Checkpoint &checkpoint);

  /// The header's; a weight may have another number of stages.
  PhaseScheme scheme() const { return phaseScheme; }
  /// By the name of the weight that each stands for, P.weight.
  const std::map<std::string, PackedWeight> &weights() const {
    return packedWeights;
  }
  /// Reads the phases of one weight. Throws Error, also when a scale or factor
  /// is none.
  PhaseMatrix read(const std::string &name,
                   const ParallelFor &parallelFor = serialFor) const;

private:
  explicit PackedCheckpoint(const Checkpoint &checkpoint)
      : checkpoint(&checkpoint) {}

  [[noreturn]] void fail(const std::string &tensor,
                         const std::string &text) const;
  void readGrid(const PackedWeight &weight, PhaseMatrix &q) const;
  void requireBinary(const PackedWeight &weight, const PhaseMatrix &q) const;

  const Checkpoint *checkpoint;
  PhaseScheme phaseScheme;
  std::map<std::string, PackedWeight> packedWeights;
};

} // namespace fairy2
