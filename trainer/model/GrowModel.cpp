// SPDX-License-Identifier: Apache-2.0
//
// Which element of the small model each one of the large is, axis by axis, and
// the factors that keep sums equal.
#include "trainer/model/GrowModel.h"

#include "runtime/support/Error.h"
#include "trainer/Random.h"
#include "trainer/TensorData.h"
#include "trainer/model/Model.h"

#include <algorithm>
#include <cmath>

namespace fairy2::trainer {
namespace {

/// Each old group of `size` elements, repeated in place.
std::vector<int64_t> repeated(int64_t oldCount, int64_t newCount,
                              int64_t size) {
  std::vector<int64_t> map;
  for (int64_t i = 0; i < newCount; ++i)
    for (int64_t j = 0; j < size; ++j)
      map.push_back(i * oldCount / newCount * size + j);
  return map;
}

} // namespace

GrowthMaps::GrowthMaps(const HFConfig &small, const HFConfig &large)
    : small(small), large(large) {
  const auto fail = [](const std::string &what) {
    throw Error("initialize: cannot grow the model: expected " + what);
  };
  const auto multiple = [&](int64_t a, int64_t b, const char *what) {
    if (b < a || b % a)
      fail(std::string(what) + " to be a multiple of " + std::to_string(a) +
           ", found " + std::to_string(b));
  };
  multiple(small.hiddenSize, large.hiddenSize, "hidden_size");
  multiple(small.heads, large.heads, "num_attention_heads");
  multiple(small.kvHeads, large.kvHeads, "num_key_value_heads");
  if (small.heads * large.kvHeads != large.heads * small.kvHeads)
    fail("as many heads per key-value head in both models");
  if (small.layers != large.layers || small.headDim != large.headDim ||
      small.vocabSize != large.vocabSize ||
      small.architecture != large.architecture ||
      small.tieWordEmbeddings != large.tieWordEmbeddings)
    fail("the same architecture, layers, head_dim, vocab_size and "
         "tie_word_embeddings in both models");
  if (small.attentionScale != large.attentionScale ||
      small.embeddingMultiplier != large.embeddingMultiplier ||
      small.residualMultiplier != large.residualMultiplier ||
      small.logitsDivisor != large.logitsDivisor)
    fail("the same scales and multipliers in both models");
  if (large.intermediateSize < small.intermediateSize)
    fail("intermediate_size to be at least " +
         std::to_string(small.intermediateSize) + ", found " +
         std::to_string(large.intermediateSize));
  hidden = repeated(small.hiddenSize, large.hiddenSize, 1);
  queries = repeated(small.heads, large.heads, small.headDim);
  keys = repeated(small.kvHeads, large.kvHeads, small.headDim);
  units = repeated(small.intermediateSize, large.intermediateSize, 1);
  if (small.scalesEmbedding)
    embeddingFactor = std::sqrt(double(small.hiddenSize)) /
                      std::sqrt(double(large.hiddenSize));
  // A tied head reads each channel once per copy.
  if (small.tieWordEmbeddings)
    normFactor =
        double(small.hiddenSize) / double(large.hiddenSize) / embeddingFactor;
}

const GrowthMaps::Map *GrowthMaps::mapOf(Axis axis) const {
  switch (axis) {
  case Axis::Vocabulary:
  case Axis::HeadFeatures:
    return nullptr;
  case Axis::Hidden:
    return &hidden;
  case Axis::Queries:
    return &queries;
  case Axis::Keys:
    return &keys;
  case Axis::Units:
    return &units;
  }
  __builtin_unreachable();
}

GrowthMaps::Map GrowthMaps::rowsOf(const DecoderParameter &parameter) const {
  Map rows;
  int64_t oldBegin = 0;
  for (const Axis axis : parameter.rows) {
    const Map *map = mapOf(axis);
    for (int64_t i = 0; i < extentOf(axis, large); ++i)
      rows.push_back(oldBegin + (map ? (*map)[size_t(i)] : i));
    oldBegin += extentOf(axis, small);
  }
  return rows;
}

void GrowthMaps::grow(const Parameter &from, uint64_t seed,
                      Parameter &to) const {
  const int64_t rows = to.shape[0];
  const int64_t columns = to.columns ? to.shape[1] : 1;
  const int64_t oldColumns = from.columns ? from.shape[1] : 1;
  const Map rowMap = rowsOf(to);
  const Map *columnMap = to.columns ? mapOf(*to.columns) : nullptr;
  // A matrix that reads a repeated input shares its column out among the
  // copies; an embedding is read by token and has nothing to share.
  const bool shares = columnMap && to.role != ParameterRole::Embedding;
  std::vector<std::vector<int64_t>> copies(static_cast<size_t>(oldColumns));
  if (shares)
    for (int64_t j = 0; j < columns; ++j)
      copies[size_t((*columnMap)[size_t(j)])].push_back(j);
  const bool isFinalNorm = to.role == ParameterRole::Norm && to.layer < 0;
  const double factor = to.role == ParameterRole::Embedding ? embeddingFactor
                        : isFinalNorm                       ? normFactor
                                                            : 1;
  // A norm may multiply by 1 + weight.
  const double offset = isFinalNorm && large.block.unitOffset ? 1 : 0;
  const float *old = floatsOf(from.latent);
  float *values = to.latent.mutable_data_ptr<float>();
  RandomStream stream(seed, to.name);
  for (int64_t i = 0; i < rows; ++i) {
    const float *source = old + rowMap[size_t(i)] * oldColumns;
    float *row = values + i * columns;
    if (!shares) {
      for (int64_t j = 0; j < columns; ++j)
        row[j] = float(
            factor * (offset +
                      double(source[columnMap ? (*columnMap)[size_t(j)] : j])) -
            offset);
      continue;
    }
    for (int64_t j = 0; j < oldColumns; ++j) {
      const std::vector<int64_t> &group = copies[size_t(j)];
      std::vector<double> shares(group.size());
      double mean = 0;
      for (double &share : shares)
        mean += (share = stream.uniform() - 0.5) / double(group.size());
      for (size_t c = 0; c < group.size(); ++c)
        row[group[c]] =
            float((1 + shares[c] - mean) / double(group.size()) * source[j]);
    }
  }
}

} // namespace fairy2::trainer
