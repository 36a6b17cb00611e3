// SPDX-License-Identifier: Apache-2.0
//
// A module of stage quantized, compiled for one CPU and loaded into the test:
// what fairy2-compile does, without checkpoint, manifest and runtime. Weights
// hold their values in the module; their packed bytes may be changed.
#pragma once

#include "passes/cpu/CpuTarget.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fairy2 {

using Floats = std::vector<float>;

/// Where one fairy2.pack lies in the weight section.
struct PackPlace {
  std::string name;
  int64_t offset, bytes;
};

/// Tokens of one call; a token's row in the embedding is its input.
struct Step {
  std::vector<int32_t> tokens, slots, positions, rows;

  /// `tokens` in slot 0 at positions 0, 1, .. with all logits wanted.
  static Step of(std::vector<int32_t> tokens);
  /// The same for tokens `begin` to `end` - 1.
  static Step range(int64_t begin, int64_t end);
};

class CompiledModule {
public:
  /// `text` is a module with @forward of the signature that the lowering to
  /// loops asks for. Throws Error when it cannot be compiled.
  CompiledModule(const std::string &text, const CpuTarget &target,
                 int64_t batch = 16);
  ~CompiledModule();
  CompiledModule(const CompiledModule &) = delete;
  CompiledModule &operator=(const CompiledModule &) = delete;

  const std::vector<PackPlace> &packs() const { return places; }
  /// The bytes of a pack, which the test may rewrite.
  std::span<uint8_t> pack(const std::string &name);

  /// Makes room for `slots` sequences of `context` positions (a multiple of
  /// 16) and forgets what the cache held.
  void resetCache(int64_t slots, int64_t context);
  /// Copies the first positions of a slot, array by array as the module says
  /// they lie; `positions` is a multiple of 16.
  void copySlot(int64_t from, int64_t to, int64_t positions);
  /// Runs one step on `threads` threads that meet as the runtime's do; returns
  /// [rows][vocabulary]. Layers that hold both forms of their sums multiply in
  /// steps of `productsFrom` tokens and more.
  Floats run(const Step &step, int threads = 1,
             int64_t productsFrom = kNoProducts);
  static constexpr int64_t kNoProducts = INT64_MAX;

  int64_t vocabulary() const { return vocabularySize; }

private:
  struct Library;

  std::unique_ptr<Library> library;
  std::vector<PackPlace> places;
  std::vector<std::vector<uint8_t>> storage; ///< weights, cache, workspace
  int64_t vocabularySize = 0, workspaceBytes = 0, cacheBytesPerPosition = 0;
  int64_t cacheContext = 16, cacheLayers = 0;
  std::vector<int64_t> cachePlanes;
};

/// The rows of passes/cpu/CpuTarget.cpp that this machine can run, the oracle
/// `scalar` among them.
std::vector<const CpuTarget *> runnableTargets();

/// An attribute that holds float32 values: dense<"0x..."> : tensor<AxBxf32>.
std::string denseAttribute(const Floats &values,
                           const std::vector<int64_t> &shape);
/// The same in bf16 or f16: values are rounded to the type first, in place.
std::string denseAttribute(Floats &values, const std::vector<int64_t> &shape,
                           const std::string &elementType);

/// "fairy2.weight @name : type = value" with float32 values.
std::string weight(const std::string &name, const Floats &values,
                   const std::vector<int64_t> &shape);

/// A module around `body`, which computes the tensor `value` of `features`
/// features from %tokens, %slots, %positions, %rows and %cache; it becomes the
/// logits through a head that is the identity. `globals` are the weights that
/// the body names.
std::string moduleWithIdentityHead(const std::string &globals,
                                   const std::string &body, int64_t features,
                                   const std::string &cacheType,
                                   const std::string &value = "%z");
/// The same where `body` computes the logits %y itself, by a linear layer.
std::string moduleWithLogits(const std::string &globals,
                             const std::string &body, int64_t features,
                             const std::string &cacheType);

/// A cache type for models without attention.
inline const char *kSmallCache =
    "!fairy2.kv_cache<layers = 1, heads = 1, dim = 4>";

} // namespace fairy2
