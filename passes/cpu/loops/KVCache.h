// SPDX-License-Identifier: Apache-2.0
//
// How keys and values lie in the KV cache and how kernels read and write them.
//
// A context has C positions, a multiple of 16; a model L layers with H heads of
// d numbers. The cache, in its own elements:
//   [slot][layer][ keys [H][C / 16][d][16] | values [H][C][d]
//                | int8 alone: scales of keys [H][C], scales of values [H][C] ]
// Keys lie in blocks of 16 positions, position innermost, so that a vector
// holds the scores of 16 positions and no sum runs across lanes. An int8 key
// or value has one float32 scale, its largest magnitude over 127.
#pragma once

#include "passes/cpu/loops/Emitter.h"

namespace fairy2 {

class KVCacheLayout {
public:
  explicit KVCacheLayout(KVCacheType type) : type(type) {}

  int64_t heads() const { return type.getHeads(); }
  int64_t dim() const { return type.getDim(); }
  int64_t bytesPerPosition() const;
  /// What a slot consists of, layer after layer: so many arrays, each with so
  /// many bytes a position, whose first positions come first. Flat pairs.
  llvm::SmallVector<int64_t> planes() const;
  int64_t layers() const { return type.getLayers(); }
  /// f32, f16 or i8, as part of a kernel's name.
  std::string elementName() const;

  /// Where one head of one layer and slot begins, in elements. Scales are null
  /// unless the cache is int8.
  struct Head {
    mlir::Value keys, values, keyScales, valueScales;
  };
  Head head(Emitter &e, mlir::Value slot, mlir::Value layer, mlir::Value head,
            mlir::Value context) const;

  /// Stores the `dim` floats at source[from] as the key or the value of a
  /// position. Halves saturate at their largest finite magnitude.
  void writeKey(Emitter &e, mlir::Value source, mlir::Value from,
                mlir::Value cache, const Head &head,
                mlir::Value position) const;
  void writeValue(Emitter &e, mlir::Value source, mlir::Value from,
                  mlir::Value cache, const Head &head,
                  mlir::Value position) const;
  /// Scales of the 16 positions from `position` on; null unless int8.
  mlir::Value loadScales(Emitter &e, mlir::Value cache, mlir::Value scales,
                         mlir::Value position) const;

private:
  int64_t scaleElements() const; ///< of one scale; 0 unless int8
  int64_t headElements() const { return 2 * (dim() + scaleElements()); }
  int64_t elementBytes() const {
    return type.getElement().getIntOrFloatBitWidth() / 8;
  }
  void write(Emitter &e, mlir::Value source, mlir::Value from,
             mlir::Value cache, mlir::Value to, int64_t stride,
             mlir::Value scale) const;

  KVCacheType type;
};

} // namespace fairy2
