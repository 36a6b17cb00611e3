// SPDX-License-Identifier: Apache-2.0
//
// Read-only data of contiguous CPU tensors. at::Tensor's typed const accessor
// is a template whose name gcc, which built LibTorch, and clang mangle
// differently.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace fairy2 {

inline const float *floatsOf(const at::Tensor &tensor) {
  return static_cast<const float *>(tensor.const_data_ptr());
}
inline const int64_t *integersOf(const at::Tensor &tensor) {
  return static_cast<const int64_t *>(tensor.const_data_ptr());
}

} // namespace fairy2
