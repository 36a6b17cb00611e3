// SPDX-License-Identifier: Apache-2.0
//
// What is stored decides about ties, because trainers (DeepSpeed, FSDP) leave
// config.json as it was when they untie a head.
#include "frontend/DecoderCheckpoint.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace fairy2 {
namespace {

/// Whether two tensors of one shape have equal values, bit by bit as float32.
bool areEqual(const Checkpoint &checkpoint, const TensorInfo &a,
              const TensorInfo &b) {
  constexpr int64_t kChunk = int64_t(1) << 16;
  std::vector<float> left(kChunk), right(kChunk);
  int64_t count = 1;
  for (const int64_t extent : a.shape)
    count *= extent;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, count);
    checkpoint.readFloats(a, begin, end, left.data());
    checkpoint.readFloats(b, begin, end, right.data());
    if (std::memcmp(left.data(), right.data(),
                    size_t(end - begin) * sizeof(float)) != 0)
      return false;
  }
  return true;
}

bool holdsNothing(const StoredTensor &tensor) {
  return tensor.bytes == 0 || isRotaryBuffer(tensor.name);
}

/// The tensor of that name, or null; trainers that divide weights leave some
/// without values.
const TensorInfo *find(const Checkpoint &checkpoint, const char *name) {
  const auto place = checkpoint.tensors().find(name);
  return place == checkpoint.tensors().end() || holdsNothing(place->second)
             ? nullptr
             : &place->second;
}

void settleTies(Checkpoint &checkpoint, HFConfig &config) {
  if (!config.tieWordEmbeddings)
    return;
  const TensorInfo *head = find(checkpoint, kHeadName),
                   *table = find(checkpoint, kTableName);
  // A head of phases is never its embedding.
  const bool isPacked = checkpoint.otherTensors().count("lm_head.codes");
  if (isPacked ||
      (head && table &&
       (head->shape != table->shape || !areEqual(checkpoint, *head, *table))))
    config.tieWordEmbeddings = false;
  else if (head && !table)
    checkpoint.share(kHeadName, kTableName);
}

} // namespace

DecoderCheckpoint DecoderCheckpoint::open(const ModelFolder &folder) {
  HFConfig config = HFConfig::read(folder);
  Checkpoint checkpoint = Checkpoint::open(folder);
  settleTies(checkpoint, config);
  return {std::move(config), std::move(checkpoint)};
}

void requireNoOthers(const Checkpoint &checkpoint,
                     const PackedCheckpoint *packed, const HFConfig &config) {
  std::set<std::string> names;
  for (const DecoderParameter &parameter : DecoderPlan(config).parameters)
    names.insert(parameter.name);
  const auto require = [&](const std::string &name,
                           const StoredTensor &tensor) {
    if (!names.contains(name) && !holdsNothing(tensor))
      throw Error((checkpoint.directory() / tensor.file).string() +
                  ": tensor '" + tensor.name + "' is not part of a " +
                  config.architecture + " with this config.json");
  };
  if (packed)
    for (const auto &[name, weight] : packed->weights()) {
      require(name, weight.codes);
      names.insert(weight.scales.name);
      if (weight.rowFactors)
        names.insert(weight.rowFactors->name);
      if (weight.units)
        names.insert(weight.units->name);
    }
  // Stored once more, or in the embedding's place.
  if (config.tieWordEmbeddings)
    names.insert(kHeadName);
  for (const auto &[name, tensor] : checkpoint.tensors())
    require(name, tensor);
}

} // namespace fairy2
