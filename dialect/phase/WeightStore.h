// SPDX-License-Identifier: Apache-2.0
//
// How the compiler reads the weights that the IR only names. The frontend
// implements it on a checkpoint; what writes the weight section never learns
// about file formats. Plain C++. Safe to use from many threads.
#pragma once

#include "dialect/phase/Phase.h"

namespace fairy2 {

class WeightStore {
public:
  virtual ~WeightStore() = default;

  /// Elements [begin, end) of the tensor, row-major, as float32. Throws Error
  /// naming file and tensor.
  virtual void readFloats(const std::string &name, int64_t begin, int64_t end,
                          float *out) const = 0;
  /// Bytes [begin, end) of the tensor as stored.
  virtual void readBytes(const std::string &name, int64_t begin, int64_t end,
                         uint8_t *out) const = 0;
  /// The phases of a matrix that is stored as such. readFloats and readBytes
  /// give the values of that matrix as float32.
  virtual PhaseMatrix readPhases(const std::string &name,
                                 const ParallelFor &parallelFor) const = 0;
};

} // namespace fairy2
