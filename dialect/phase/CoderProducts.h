// SPDX-License-Identifier: Apache-2.0
//
// Products of row-major matrices in the order of sums that CoderKernels.h
// keeps. A part of PhaseCoder.cpp.
#pragma once

#include "dialect/phase/CoderKernels.h"
#include "dialect/phase/PhaseCoder.h"

namespace fairy2 {

/// Rows of a matrix in memory, or of a part of one.
struct Rows {
  float *values;
  int64_t count, stride;

  float *row(int64_t r) const { return values + r * stride; }
  Rows columnsFrom(int64_t column) const {
    return {values + column, count, stride};
  }
};

/// Element (k, j) of a matrix is values[k * rowStride + j * columnStride].
struct Strided {
  const float *values;
  int64_t rowStride, columnStride;
};

/// c += a b, or c -= a b, where a has `inner` columns and b `columns`.
void addProduct(const CoderKernels &kernels, const Rows &a, const Strided &b,
                int64_t inner, int64_t columns, const Rows &c,
                bool subtract = false);

/// Makes d H^-1 of d, whose columns are in the order of coding.
void divideByMoments(const CoderKernels &kernels, const InputMetric &inputs,
                     const Rows &d);

/// Makes x L^-T of x, for a lower triangular L of `size` columns, at most
/// kTriangle. `transposed` is room for as many squared.
constexpr int64_t kTriangle = 64;
void divideByTransposed(const CoderKernels &kernels, const float *lower,
                        int64_t stride, int64_t size, const Rows &x,
                        float *transposed);

} // namespace fairy2
