// SPDX-License-Identifier: Apache-2.0
//
// Data of contiguous tensors. at::Tensor's typed const accessor is a template
// whose name gcc, which built LibTorch, and clang mangle differently.
#pragma once

#include "trainer/kernels/BFloat16.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace fairy2::trainer {

inline const float *floatsOf(const at::Tensor &tensor) {
  return static_cast<const float *>(tensor.const_data_ptr());
}
inline const int64_t *integersOf(const at::Tensor &tensor) {
  return static_cast<const int64_t *>(tensor.const_data_ptr());
}

/// Values that are T, float or BFloat16; null of an undefined tensor.
template <typename T> const T *valuesOf(const at::Tensor &tensor) {
  return tensor.defined() ? static_cast<const T *>(tensor.const_data_ptr())
                          : nullptr;
}
template <typename T> T *mutableValuesOf(const at::Tensor &tensor) {
  return tensor.defined() ? static_cast<T *>(tensor.mutable_data_ptr())
                          : nullptr;
}

/// f(T()) with the type of activations that `type` names.
template <typename F> void withActivations(at::ScalarType type, const F &f) {
  if (type == at::kBFloat16)
    f(BFloat16());
  else
    f(float());
}

} // namespace fairy2::trainer
