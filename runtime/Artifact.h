// SPDX-License-Identifier: Apache-2.0
//
// The file format of model.so (runtime/README.md): its constants, its hashes
// and the reader that proves a file whole before anything of it is executed.
#pragma once

#include "runtime/Manifest.h"
#include "runtime/support/File.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fairy2 {

inline constexpr char kWeightsSection[] = ".fairy2.weights";
inline constexpr char kManifestSection[] = ".fairy2.manifest";
inline constexpr char kManifestMagic[] = "FAIRY2MF"; ///< 8 bytes are stored
inline constexpr uint32_t kArtifactFormat = 1;
inline constexpr uint64_t kWeightsAlignment = 4096;
inline constexpr uint64_t kHashPieceBytes = 4 << 20;

/// The 64 bytes before the manifest's JSON, little-endian.
struct ManifestHeader {
  char magic[8];
  uint32_t format;
  uint32_t abi;
  uint64_t jsonBytes;
  uint64_t fileBytes;
  uint64_t jsonHash;
  uint8_t zeros[24];
};
static_assert(sizeof(ManifestHeader) == 64);

/// XXH3-64 of bytes in one go.
uint64_t hashBytes(std::span<const uint8_t> bytes);
/// Sixteen lower-case hexadecimal digits.
std::string hexOf(uint64_t hash);

/// Hash of a region fed in order: XXH3 of the little-endian hashes of its 4 MiB
/// pieces, so that a reader can share the pieces between threads.
class RegionHasher {
public:
  RegionHasher();
  ~RegionHasher();
  void update(std::span<const uint8_t> bytes);
  uint64_t finish();

private:
  struct State;
  std::unique_ptr<State> state;
  std::vector<uint64_t> pieces;
  uint64_t filled = 0; ///< bytes of the piece at hand
};

/// The machine's name in a manifest for an ELF e_machine, or "" if unknown.
std::string machineName(uint16_t elfMachine);
/// The machine this program was compiled for.
std::string hostMachine();

/// An artefact whose headers and manifest are consistent and whose regions
/// cover the whole file.
class Artifact {
public:
  /// Reads ELF header, section headers and manifest. Throws StatusError with
  /// one sentence that names the file and the field.
  static Artifact open(const std::string &path);

  /// Reads the whole file with up to `threads` threads and compares the hash of
  /// every region; throws StatusError when one differs.
  void verifyContent(int threads) const;

  InputFile file;
  Manifest manifest;
};

} // namespace fairy2
