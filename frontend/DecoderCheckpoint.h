// SPDX-License-Identifier: Apache-2.0
//
// A folder's config.json and tensors, brought into agreement as transformers
// does when it loads them. Compiler and trainer open models through this.
#pragma once

#include "frontend/Checkpoint.h"
#include "frontend/DecoderPlan.h"
#include "frontend/PackedCheckpoint.h"

namespace fairy2 {

struct DecoderCheckpoint {
  HFConfig config;
  Checkpoint checkpoint;

  /// Opens both. Where config.json says that the head is the embedding,
  /// whichever of the two is stored serves as both; a head that is stored and
  /// differs is a head of its own, and `config` says so. Throws Error.
  static DecoderCheckpoint open(const ModelFolder &folder);
};

/// Throws Error at a tensor that is not part of the model: what it does not
/// read may be what was meant. Buffers that old programs stored and tensors
/// without elements hold nothing.
void requireNoOthers(const Checkpoint &checkpoint,
                     const PackedCheckpoint *packed, const HFConfig &config);

} // namespace fairy2
