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

namespace fairy2::trainer {
namespace {

bool contains(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

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

GrowthMaps::GrowthMaps(const HFConfig &small, const HFConfig &large) {
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
  if (large.intermediateSize < small.intermediateSize)
    fail("intermediate_size to be at least " +
         std::to_string(small.intermediateSize) + ", found " +
         std::to_string(large.intermediateSize));
  hidden = repeated(small.hiddenSize, large.hiddenSize, 1);
  queries = repeated(small.heads, large.heads, small.headDim);
  keys = repeated(small.kvHeads, large.kvHeads, small.headDim);
  units = repeated(small.intermediateSize, large.intermediateSize, 1);
  if (small.tieWordEmbeddings)
    logitFactor = double(large.hiddenSize) / double(small.hiddenSize);
}

const GrowthMaps::Map *GrowthMaps::mapOf(const std::string &name,
                                         int dim) const {
  if (contains(name, "q_norm") || contains(name, "k_norm"))
    return nullptr;
  if (contains(name, "embed_tokens") || contains(name, "lm_head"))
    return dim == 0 ? nullptr : &hidden;
  if (contains(name, "q_proj"))
    return dim == 0 ? &queries : &hidden;
  if (contains(name, "k_proj") || contains(name, "v_proj"))
    return dim == 0 ? &keys : &hidden;
  if (contains(name, "o_proj"))
    return dim == 0 ? &hidden : &queries;
  if (contains(name, "gate_proj") || contains(name, "up_proj"))
    return dim == 0 ? &units : &hidden;
  if (contains(name, "down_proj"))
    return dim == 0 ? &hidden : &units;
  return &hidden; // norms
}

void GrowthMaps::grow(const Parameter &from, uint64_t seed,
                      Parameter &to) const {
  const int64_t rows = to.shape[0];
  const int64_t columns = to.shape.size() == 2 ? to.shape[1] : 1;
  const int64_t oldColumns = from.shape.size() == 2 ? from.shape[1] : 1;
  const Map *rowMap = mapOf(to.name, 0);
  const Map *columnMap = to.shape.size() == 2 ? mapOf(to.name, 1) : nullptr;
  // A matrix that reads a repeated input shares its column out among the
  // copies; an embedding is read by token and has nothing to share.
  const bool shares = columnMap && !contains(to.name, "embed_tokens");
  std::vector<std::vector<int64_t>> copies(static_cast<size_t>(oldColumns));
  if (shares)
    for (int64_t j = 0; j < columns; ++j)
      copies[size_t((*columnMap)[size_t(j)])].push_back(j);
  const double factor = to.name == "model.norm.weight" ? 1 / logitFactor : 1;
  const float *old = floatsOf(from.latent);
  float *values = to.latent.mutable_data_ptr<float>();
  RandomStream stream(seed, to.name);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t oldRow = rowMap ? (*rowMap)[size_t(i)] : i;
    const float *source = old + oldRow * oldColumns;
    float *row = values + i * columns;
    if (!shares) {
      for (int64_t j = 0; j < columns; ++j)
        row[j] = float(factor *
                       double(source[columnMap ? (*columnMap)[size_t(j)] : j]));
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
