// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a config.json. Whatever it is, the reader refuses it with an
// Error, or the model it describes can be laid out: sizes that divide as they
// must, frequencies that are numbers, and tensors of which a checkpoint can be
// made.
#include "frontend/DecoderPlan.h"
#include "frontend/HFConfig.h"
#include "frontend/Safetensors.h"
#include "runtime/support/Error.h"
#include "test/fuzz/Fuzzer.h"

#include <algorithm>
#include <cmath>

using namespace fairy2;
using namespace fairy2::fuzz;

namespace {

void checkFrequencies(const std::vector<float> &frequencies, int64_t dim) {
  REQUIRE(int64_t(frequencies.size()) * 2 == dim && dim > 0);
  for (const float frequency : frequencies)
    REQUIRE(std::isfinite(frequency));
}

void checkRope(const RopeConfig &rope, int64_t headDim) {
  const int64_t dim = rope.rotaryDim(headDim);
  REQUIRE(dim <= headDim);
  REQUIRE(std::isfinite(float(rope.magnitude)) && rope.magnitude > 0);
  checkFrequencies(rope.inverseFrequencies(headDim), dim);
  if (rope.scaling == RopeConfig::Scaling::LongRope)
    checkFrequencies(rope.longInverseFrequencies(headDim), dim);
}

void checkConfig(const HFConfig &config) {
  for (const int64_t size :
       {config.hiddenSize, config.intermediateSize, config.layers, config.heads,
        config.kvHeads, config.headDim, config.vocabSize, config.maxPositions})
    REQUIRE(size > 0);
  REQUIRE(config.headDim % 2 == 0);
  REQUIRE(config.heads % config.kvHeads == 0);
  REQUIRE(std::isfinite(config.rmsNormEpsilon) && config.rmsNormEpsilon > 0);
  for (const int64_t token : config.eosTokens)
    REQUIRE(token >= 0 && token < config.vocabSize);
  REQUIRE(int64_t(config.layerAttention.size()) == config.layers);
  for (int64_t i = 0; i < std::min<int64_t>(config.layers, 8); ++i)
    if (const RopeConfig *rope = config.ropeOf(i))
      checkRope(*rope, config.headDim);
}

/// Writes the header of a checkpoint of the model and reads it again.
void checkTensors(const HFConfig &config) {
  std::vector<SafetensorsEntry> entries;
  int64_t reached = 0;
  for (const DecoderParameter &tensor : DecoderPlan(config).parameters) {
    int64_t bytes = 1;
    for (const int64_t extent : tensor.shape) {
      REQUIRE(extent > 0);
      REQUIRE(!__builtin_mul_overflow(bytes, extent, &bytes));
    }
    entries.push_back({tensor.name, "U8", tensor.shape, reached, 0});
    REQUIRE(!__builtin_add_overflow(reached, bytes, &reached));
    entries.back().end = reached;
  }
  const std::string header = formatSafetensorsHeader(entries);
  REQUIRE(parseSafetensorsHeader(std::string_view(header).substr(8), reached,
                                 "header")
              .tensors.size() == entries.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const MemoryFile file(textOf(data, size));
  try {
    const HFConfig config = HFConfig::readFile(file.path());
    checkConfig(config);
    if (config.layers <= 8) // all layers are alike
      checkTensors(config);
  } catch (const Error &) {
  }
  return 0;
}
