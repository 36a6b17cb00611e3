// SPDX-License-Identifier: Apache-2.0
//
// The manifest of a model.so, checked: runtime/README.md describes each field.
// Compiler and loader share this reader, so what one writes the other accepts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

/// A contiguous part of the file and the hash of its content.
struct Region {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t hash = 0;

  uint64_t end() const { return offset + bytes; }
};

/// Weights that one step or more of the forward function reads.
struct Layer {
  std::string name, op;
  std::vector<int64_t> shape;
  int64_t bytesPerToken = 0;
};

/// One parallel step of a forward function; a barrier follows each.
struct ForwardStep {
  std::string kernel;
  int32_t layer = -1; ///< index in Manifest::layers; -1: reads no weights
};

/// One forward function, compiled for one instruction-set level.
struct Variant {
  std::string name;
  std::string symbol;
  std::vector<std::string> features; ///< as LLVM spells them
  std::vector<ForwardStep> steps;    ///< in order
  /// Tokens of a call from which layers with both forms of their sums multiply;
  /// 0: there are none.
  int64_t productsFrom = 0;
};

struct Manifest {
  std::string text; ///< the JSON as stored
  std::string producer;
  std::string machine; ///< "x86-64" or "aarch64"
  Region image, weights, sections;
  std::vector<Variant> variants; ///< best first
  std::vector<Layer> layers;

  std::string architecture;
  int32_t vocabSize = 0;
  int32_t maxPositions = 0;
  std::optional<int32_t> bosToken;
  std::vector<int32_t> eosTokens;

  int64_t cacheBytesPerPosition = 0;
  /// What a slot of the cache consists of: so many layers, each of so many
  /// arrays with so many bytes a position. Empty in older files.
  struct CachePlanes {
    int64_t count, bytes;
  };
  std::vector<CachePlanes> cachePlanes;
  int64_t cacheLayers = 0;
  int32_t batch = 0; ///< most tokens of one forward call
  int64_t workspaceBytes = 0;
  /// tokenizer.json: offset and size inside the weight section.
  std::optional<std::pair<uint64_t, uint64_t>> tokenizer;
  std::optional<std::string> chatTemplate;
  /// Texts by role, such as bos_token, eos_token and pad_token; the roles that
  /// the checkpoint does not name are absent.
  std::map<std::string, std::string> specialTokens;

  /// Weights that the decode of one token reads.
  int64_t weightBytesPerToken() const;

  /// Parses and checks every field the runtime uses, sizes and ranges included,
  /// but no hash. `origin` names the file in errors. Throws StatusError.
  static Manifest parse(std::string json, const std::string &origin);
};

} // namespace fairy2
