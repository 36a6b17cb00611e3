// SPDX-License-Identifier: Apache-2.0
//
// Turns a linked shared library and a stream of weights into the final model.so
// that runtime/README.md specifies. Weights go straight to disk, so a model of
// any size needs no memory here. Plain C++, no LLVM.
#pragma once

#include "runtime/Artifact.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace fairy2 {

/// Writes one artefact. The file appears under its name in finish(), complete;
/// if the writer is destroyed before that, nothing stays behind. Functions
/// throw fairy2::Error.
class ArtifactWriter {
public:
  /// `linkedImage` is what the linker made: an ELF64 little-endian shared
  /// library with section headers.
  ArtifactWriter(const std::filesystem::path &output,
                 std::span<const uint8_t> linkedImage);

  /// Appends to the weight section; returns the offset of the first byte from
  /// the section's start.
  int64_t append(std::span<const uint8_t> bytes);
  /// Appends zeros up to the next multiple of `alignment` (a power of two, at
  /// most 4096); returns the weight section's size.
  int64_t align(int64_t alignment);
  /// Bytes in the weight section so far.
  int64_t weightBytes() const { return int64_t(weights.bytes); }

  /// Completes `manifest` with "machine" and "regions", checks it as the loader
  /// will, and writes section headers and manifest. Returns the file's size.
  int64_t finish(nlohmann::json manifest);

private:
  std::vector<uint8_t> buildSections(uint64_t manifestBytes);

  std::filesystem::path path;
  std::vector<uint8_t> image; ///< padded to the weights' alignment
  std::vector<uint8_t> sectionHeaders;
  std::vector<uint8_t> sectionNames;
  uint16_t nameTableIndex = 0;
  OutputFile file;
  RegionHasher hasher;
  Region weights;
};

} // namespace fairy2
