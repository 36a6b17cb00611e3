// SPDX-License-Identifier: Apache-2.0
//
// Where a tensor or a kernel's scratch lies in the workspace.
#pragma once

#include "mlir/IR/Types.h"

#include <cstdint>

namespace fairy2 {

/// One row per token. `stride` counts elements from row to row; `shift`
/// elements from the buffer's start to the first row (results of a grouped
/// layer are columns of one buffer).
struct Buffer {
  int64_t offset = 0; ///< bytes from the start of the workspace
  int64_t rows = 1;
  int64_t stride = 1;
  int64_t shift = 0;
  mlir::Type element;

  int64_t elements() const { return rows * stride; }
  int64_t elementBytes() const {
    return (element.getIntOrFloatBitWidth() + 7) / 8;
  }
  int64_t bytes() const { return elements() * elementBytes(); }
};

} // namespace fairy2
