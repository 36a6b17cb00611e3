// SPDX-License-Identifier: Apache-2.0
//
// Options of passes whose values are an enumeration's, under their names.
#pragma once

#include "dialect/Fairy2Enums.h"
#include "dialect/Stages.h"
#include "dialect/phase/Signs.h"

#include "llvm/Support/CommandLine.h"

#include <array>

namespace fairy2 {

inline constexpr std::array kScaleGranularities = {
    ScaleGranularity::Tensor, ScaleGranularity::Row, ScaleGranularity::Tile};
inline constexpr std::array kQuantizeModes = {QuantizeMode::Canonical,
                                              QuantizeMode::OfficialBF16};
inline constexpr std::array kActivationKinds = {ActivationKind::Int8,
                                                ActivationKind::Float};
inline const char *nameOf(ActivationKind kind) {
  return stringifyActivationKind(kind).data(); // a literal
}

/// What a number of the KV cache is stored as.
enum class CacheKind { F32, F16, Int8 };
inline constexpr std::array kCacheKinds = {CacheKind::F32, CacheKind::F16,
                                           CacheKind::Int8};
/// "f32", "f16" or "int8", on command lines and in the manifest.
const char *nameOf(CacheKind cache);

/// What a number of the embedding is stored as.
enum class EmbeddingKind { Keep, Int8, Int4 };
inline constexpr std::array kEmbeddingKinds = {
    EmbeddingKind::Keep, EmbeddingKind::Int8, EmbeddingKind::Int4};
/// Those that are not the checkpoint's own.
inline constexpr std::array kIntegerEmbeddings = {EmbeddingKind::Int8,
                                                  EmbeddingKind::Int4};
/// "keep", "int8" or "int4", on command lines and in the manifest.
const char *nameOf(EmbeddingKind embedding);

/// The largest number of tokens of one step.
constexpr int64_t kMaxBatch = 4096;

/// What llvm::cl::values is for a list that is written out: the values of an
/// enumeration, each under nameOf(value).
template <typename Enum, size_t count> struct Choices {
  const std::array<Enum, count> &values;

  explicit Choices(const std::array<Enum, count> &values) : values(values) {}
  template <typename Option> void apply(Option &option) const {
    for (Enum value : values)
      option.getParser().addLiteralOption(nameOf(value), value, "");
  }
};

} // namespace fairy2
