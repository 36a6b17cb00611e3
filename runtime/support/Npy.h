// SPDX-License-Identifier: Apache-2.0
//
// Writes a float32 matrix as NumPy's .npy, row by row, for other software to
// compare with.
#pragma once

#include "runtime/support/File.h"

#include <cstdint>
#include <filesystem>
#include <span>

namespace fairy2 {

class NpyWriter {
public:
  /// A matrix of the given shape, format version 1.0, C order.
  NpyWriter(const std::filesystem::path &path, int64_t rows, int64_t columns);
  /// Appends elements in row-major order.
  void append(std::span<const float> values);
  /// Puts the file in place; all elements must have been appended.
  void commit();

private:
  OutputFile file;
};

} // namespace fairy2
