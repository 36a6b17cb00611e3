// SPDX-License-Identifier: Apache-2.0
//
// Tiles for the kernels, and substitution with the Cholesky factor.
#include "dialect/phase/CoderProducts.h"

#include <algorithm>
#include <vector>

namespace fairy2 {
namespace {

/// Rows and columns of b that are packed at a time: half of a core's cache.
constexpr int64_t kPackedRows = 256, kPackedColumns = 4 * kTileColumns;

/// A tile that is cut short, by way of a whole one.
void multiplyCut(const CoderKernels &kernels, const float *a, int64_t aStride,
                 int64_t rows, const float *b, int64_t inner, bool subtract,
                 float *c, int64_t cStride, int64_t columns) {
  float whole[kTileRows * kTileColumns] = {};
  std::vector<float> wholeA;
  if (rows < kTileRows) {
    wholeA.resize(size_t(kTileRows * inner));
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(a + r * aStride, inner, wholeA.data() + r * inner);
    a = wholeA.data();
    aStride = inner;
  }
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(c + r * cStride, columns, whole + r * kTileColumns);
  kernels.multiplyTile(a, aStride, b, inner, subtract, whole, kTileColumns);
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(whole + r * kTileColumns, columns, c + r * cStride);
}

/// Of b's part, one tile's columns after the other's, with zeros behind them.
void pack(const Strided &b, int64_t inner, int64_t columns,
          std::vector<float> &packed) {
  const int64_t tiles = (columns + kTileColumns - 1) / kTileColumns;
  packed.assign(size_t(tiles * inner * kTileColumns), 0.f);
  for (int64_t j = 0; j < columns; ++j) {
    float *to = packed.data() + j / kTileColumns * inner * kTileColumns +
                j % kTileColumns;
    const float *from = b.values + j * b.columnStride;
    for (int64_t k = 0; k < inner; ++k)
      to[k * kTileColumns] = from[k * b.rowStride];
  }
}

/// The same where rows of b are contiguous.
void packRows(const Strided &b, int64_t inner, int64_t columns,
              std::vector<float> &packed) {
  const int64_t tiles = (columns + kTileColumns - 1) / kTileColumns;
  packed.assign(size_t(tiles * inner * kTileColumns), 0.f);
  for (int64_t t = 0; t < tiles; ++t)
    for (int64_t k = 0; k < inner; ++k)
      std::copy_n(b.values + k * b.rowStride + t * kTileColumns,
                  std::min(kTileColumns, columns - t * kTileColumns),
                  packed.data() + (t * inner + k) * kTileColumns);
}

} // namespace

void addProduct(const CoderKernels &kernels, const Rows &a, const Strided &b,
                int64_t inner, int64_t columns, const Rows &c, bool subtract) {
  std::vector<float> packed;
  for (int64_t j = 0; j < columns; j += kPackedColumns)
    for (int64_t k = 0; k < inner; k += kPackedRows) {
      const int64_t width = std::min(kPackedColumns, columns - j);
      const int64_t depth = std::min(kPackedRows, inner - k);
      const Strided part = {b.values + k * b.rowStride + j * b.columnStride,
                            b.rowStride, b.columnStride};
      if (b.columnStride == 1)
        packRows(part, depth, width, packed);
      else
        pack(part, depth, width, packed);
      for (int64_t r = 0; r < a.count; r += kTileRows)
        for (int64_t t = 0; t < width; t += kTileColumns) {
          const float *tile = packed.data() + t * depth;
          const float *from = a.row(r) + k;
          float *to = c.row(r) + j + t;
          const int64_t rows = std::min(kTileRows, a.count - r);
          const int64_t tileWidth = std::min(kTileColumns, width - t);
          if (rows == kTileRows && tileWidth == kTileColumns)
            kernels.multiplyTile(from, a.stride, tile, depth, subtract, to,
                                 c.stride);
          else
            multiplyCut(kernels, from, a.stride, rows, tile, depth, subtract,
                        to, c.stride, tileWidth);
        }
    }
}

void divideByTransposed(const CoderKernels &kernels, const float *lower,
                        int64_t stride, int64_t size, const Rows &x,
                        float *transposed) {
  for (int64_t p = 0; p < size; ++p)
    for (int64_t j = p; j < size; ++j)
      transposed[p * size + j] = lower[j * stride + p];
  for (int64_t r = 0; r < x.count; ++r) {
    float *row = x.row(r);
    for (int64_t p = 0; p < size; ++p) {
      row[p] /= lower[p * (stride + 1)];
      const float taken = -row[p];
      const int32_t place = 0;
      kernels.addSelected(&taken, &place, 1, transposed + p * size + p + 1,
                          size, row + p + 1, size - p - 1);
    }
  }
}

void divideByMoments(const CoderKernels &kernels, const InputMetric &inputs,
                     const Rows &d) {
  const int64_t columns = inputs.columns();
  const float *lower = inputs.factor();
  std::vector<float> transposed(size_t(kTriangle * kTriangle));
  // d (L L^T)^-1: first d L^-T, then that L^-1.
  for (int64_t begin = 0; begin < columns; begin += kTriangle) {
    const int64_t width = std::min(kTriangle, columns - begin);
    const Rows part = d.columnsFrom(begin);
    addProduct(kernels, d, {lower + begin * columns, 1, columns}, begin, width,
               part, true);
    divideByTransposed(kernels, lower + begin * (columns + 1), columns, width,
                       part, transposed.data());
  }
  const int64_t last = (columns - 1) / kTriangle * kTriangle;
  for (int64_t begin = last; begin >= 0; begin -= kTriangle) {
    const int64_t width = std::min(kTriangle, columns - begin);
    const int64_t end = begin + width;
    const Rows part = d.columnsFrom(begin);
    addProduct(kernels, d.columnsFrom(end),
               {lower + end * columns + begin, columns, 1}, columns - end,
               width, part, true);
    for (int64_t r = 0; r < d.count; ++r) {
      float *row = part.row(r);
      for (int64_t p = width - 1; p >= 0; --p) {
        const float *of = lower + (begin + p) * columns + begin;
        row[p] /= of[p];
        const float taken = -row[p];
        const int32_t place = 0;
        kernels.addSelected(&taken, &place, 1, of, columns, row, p);
      }
    }
  }
}

} // namespace fairy2
