// SPDX-License-Identifier: Apache-2.0
//
// Reads an artefact without trusting it: every offset is checked against the
// file's size before it is used, and the regions' hashes cover every byte.
#include "runtime/Artifact.h"

#include "runtime/Status.h"
#include "runtime/include/fairy2/abi.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/ForkJoin.h"

#include <elf.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fairy2 {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian and read in place");

/// Read buffer of a hashing thread. Copying through a buffer that stays in L2
/// is twice as fast as mapping the file, whose page faults dominate.
constexpr size_t kReadBytes = 256 << 10;
constexpr uint64_t kMaxNameTable = 1 << 20;
constexpr uint64_t kMaxManifest = 64 << 20;

[[noreturn]] void fail(const InputFile &file, const std::string &message) {
  throw StatusError(FAIRY2_BAD_FILE, file.path + ": " + message);
}

/// Fails unless [offset, offset + bytes) lies inside the file.
void requireInside(const InputFile &file, const std::string &what,
                   uint64_t offset, uint64_t bytes) {
  if (offset > file.bytes || bytes > file.bytes - offset)
    fail(file, what + ": expected " + std::to_string(bytes) +
                   " bytes at offset " + std::to_string(offset) +
                   ", found a file of " + std::to_string(file.bytes) +
                   " bytes: it is truncated or altered");
}

Elf64_Ehdr readElfHeader(const InputFile &file) {
  Elf64_Ehdr header = {};
  if (file.bytes < sizeof(header))
    fail(file, "expected an ELF shared library, found a file of " +
                   std::to_string(file.bytes) + " bytes");
  file.read(0, writableBytesOf(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    fail(file, "expected an ELF shared library, found another kind of file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_ident[EI_VERSION] != EV_CURRENT || header.e_type != ET_DYN)
    fail(file, "ELF header: expected a 64-bit little-endian shared library, "
               "found another kind of ELF file");
  if (machineName(header.e_machine).empty())
    throw StatusError(FAIRY2_UNSUPPORTED,
                      file.path +
                          ": ELF header: expected machine x86-64 or "
                          "aarch64, found machine " +
                          std::to_string(header.e_machine));
  return header;
}

struct Section {
  uint64_t offset, bytes;
};

/// The one section of that name.
Section findSection(const InputFile &file,
                    const std::vector<Elf64_Shdr> &headers,
                    const std::vector<char> &names, const char *name) {
  const Elf64_Shdr *found = nullptr;
  for (const Elf64_Shdr &header : headers) {
    const size_t length = std::strlen(name) + 1; // with the final zero
    if (header.sh_name > names.size() ||
        length > names.size() - header.sh_name ||
        std::memcmp(names.data() + header.sh_name, name, length) != 0)
      continue;
    if (found)
      fail(file, std::string("section headers: expected one ") + name +
                     ", found several");
    found = &header;
  }
  if (!found)
    fail(file, std::string("section headers: expected a section ") + name +
                   ", found none: it is not a model that fairy2-compile made");
  requireInside(file, name, found->sh_offset, found->sh_size);
  return {found->sh_offset, found->sh_size};
}

/// Reads the manifest behind its header, whose every field is compared.
std::string readManifestText(const InputFile &file, const Section &section) {
  ManifestHeader header;
  if (section.bytes < sizeof(header))
    fail(file, "manifest: expected at least " + std::to_string(sizeof(header)) +
                   " bytes, found " + std::to_string(section.bytes));
  file.read(section.offset, writableBytesOf(header));
  if (std::memcmp(header.magic, kManifestMagic, sizeof(header.magic)) != 0)
    fail(file, "manifest: expected the magic FAIRY2MF, found other bytes");
  if (header.format != kArtifactFormat)
    fail(file, "format version: expected " + std::to_string(kArtifactFormat) +
                   ", found " + std::to_string(header.format) +
                   ": compile the model again with this version of Fairy2");
  if (header.abi != FAIRY2_ABI_VERSION)
    fail(file, "ABI version: expected " + std::to_string(FAIRY2_ABI_VERSION) +
                   ", found " + std::to_string(header.abi) +
                   ": compile the model again with this version of Fairy2");
  if (header.fileBytes != file.bytes)
    fail(file, "file size: expected " + std::to_string(header.fileBytes) +
                   " bytes, found " + std::to_string(file.bytes) +
                   ": the file is truncated or altered");
  if (header.jsonBytes != section.bytes - sizeof(header) ||
      header.jsonBytes > kMaxManifest)
    fail(file, "manifest: expected " +
                   std::to_string(section.bytes - sizeof(header)) +
                   " bytes of JSON (at most " + std::to_string(kMaxManifest) +
                   "), found a header that says " +
                   std::to_string(header.jsonBytes));
  for (uint8_t zero : header.zeros)
    if (zero != 0)
      fail(file, "manifest: expected zeros at the end of its header, found "
                 "other bytes: the file is altered");
  std::string text(header.jsonBytes, '\0');
  file.read(section.offset + sizeof(header), writableBytesOf(text));
  const uint64_t hash = hashBytes(bytesOf(text));
  if (hash != header.jsonHash)
    fail(file, "manifest: expected xxh3 " + hexOf(header.jsonHash) +
                   ", found " + hexOf(hash) + ": the file is altered");
  return text;
}

/// Regions must follow each other without a gap, up to the manifest.
void checkRegions(const InputFile &file, const Manifest &manifest,
                  const Section &weights, const Section &manifestSection) {
  uint64_t end = 0;
  const std::pair<const char *, const Region *> regions[] = {
      {"image", &manifest.image},
      {"weights", &manifest.weights},
      {"sections", &manifest.sections}};
  for (const auto &[name, region] : regions) {
    if (region->offset != end)
      fail(file, std::string("manifest.regions.") + name +
                     ".offset: expected " + std::to_string(end) +
                     ", the end of the region before, found " +
                     std::to_string(region->offset));
    requireInside(file, std::string("manifest.regions.") + name, region->offset,
                  region->bytes);
    end = region->end();
  }
  if (end != manifestSection.offset)
    fail(file, "manifest.regions.sections: expected to end at " +
                   std::to_string(manifestSection.offset) +
                   ", where the manifest starts, found " + std::to_string(end));
  if (weights.offset != manifest.weights.offset ||
      weights.bytes != manifest.weights.bytes)
    fail(file, "manifest.regions.weights: expected the extent of section "
               ".fairy2.weights, found another");
  if (manifest.weights.offset % kWeightsAlignment != 0)
    fail(file, "manifest.regions.weights.offset: expected a multiple of " +
                   std::to_string(kWeightsAlignment) + ", found " +
                   std::to_string(manifest.weights.offset));
}

} // namespace

uint64_t hashBytes(std::span<const uint8_t> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hexOf(uint64_t hash) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, hash >>= 4)
    text[size_t(i)] = "0123456789abcdef"[hash & 15];
  return text;
}

struct RegionHasher::State {
  XXH3_state_t xxh;
};

RegionHasher::RegionHasher() : state(std::make_unique<State>()) {
  XXH3_64bits_reset(&state->xxh);
}

RegionHasher::~RegionHasher() = default;

void RegionHasher::update(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t part =
        std::min<uint64_t>(bytes.size(), kHashPieceBytes - filled);
    XXH3_64bits_update(&state->xxh, bytes.data(), part);
    bytes = bytes.subspan(part);
    filled += part;
    if (filled == kHashPieceBytes) {
      pieces.push_back(XXH3_64bits_digest(&state->xxh));
      XXH3_64bits_reset(&state->xxh);
      filled = 0;
    }
  }
}

uint64_t RegionHasher::finish() {
  if (filled != 0)
    pieces.push_back(XXH3_64bits_digest(&state->xxh));
  filled = 0;
  return XXH3_64bits(pieces.data(), pieces.size() * sizeof(uint64_t));
}

std::string machineName(uint16_t elfMachine) {
  switch (elfMachine) {
  case EM_X86_64:
    return "x86-64";
  case EM_AARCH64:
    return "aarch64";
  default:
    return "";
  }
}

std::string hostMachine() {
#if defined(__x86_64__)
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
#error "the runtime supports x86-64 and aarch64"
#endif
}

Artifact Artifact::open(const std::string &path) {
  Artifact artifact;
  artifact.file = InputFile::open(path);
  const InputFile &file = artifact.file;
  const Elf64_Ehdr elf = readElfHeader(file);
  if (elf.e_shentsize != sizeof(Elf64_Shdr) || elf.e_shnum == 0 ||
      elf.e_shstrndx >= elf.e_shnum)
    fail(file, "ELF header: expected a section header table, found none: it "
               "is not a model that fairy2-compile made");
  requireInside(file, "section headers", elf.e_shoff,
                elf.e_shnum * sizeof(Elf64_Shdr));
  std::vector<Elf64_Shdr> headers(elf.e_shnum);
  file.read(elf.e_shoff, writableBytesOf(headers));
  const Elf64_Shdr &table = headers[elf.e_shstrndx];
  requireInside(file, "section names", table.sh_offset, table.sh_size);
  if (table.sh_size > kMaxNameTable)
    fail(file, "section names: expected at most " +
                   std::to_string(kMaxNameTable) + " bytes, found " +
                   std::to_string(table.sh_size));
  std::vector<char> names(table.sh_size);
  file.read(table.sh_offset, writableBytesOf(names));

  const Section section = findSection(file, headers, names, kManifestSection);
  const Section weights = findSection(file, headers, names, kWeightsSection);
  if (section.offset + section.bytes != file.bytes)
    fail(file, "manifest: expected it to end the file at " +
                   std::to_string(section.offset + section.bytes) +
                   " bytes, found " + std::to_string(file.bytes) + " bytes");
  artifact.manifest = Manifest::parse(readManifestText(file, section), path);
  checkRegions(file, artifact.manifest, weights, section);
  if (artifact.manifest.machine != machineName(elf.e_machine))
    fail(file, "manifest.machine: expected " + machineName(elf.e_machine) +
                   " as in the ELF header, found " + artifact.manifest.machine);
  return artifact;
}

void Artifact::verifyContent(int threads) const {
  struct Piece {
    uint64_t offset, bytes;
  };
  std::vector<Piece> pieces;
  const std::pair<const char *, const Region *> regions[] = {
      {"image", &manifest.image},
      {"weights", &manifest.weights},
      {"sections", &manifest.sections}};
  for (const auto &[name, region] : regions)
    for (uint64_t at = region->offset; at < region->end();
         at += kHashPieceBytes)
      pieces.push_back({at, std::min(kHashPieceBytes, region->end() - at)});

  std::vector<uint64_t> hashes(pieces.size());
  std::atomic<size_t> next = 0;
  const int most = int(std::min(size_t(threads), pieces.size()));
  forkJoin(std::max(most, 1), [&](int) {
    std::vector<uint8_t> buffer(kReadBytes);
    XXH3_state_t state;
    for (size_t i; (i = next.fetch_add(1)) < pieces.size();) {
      XXH3_64bits_reset(&state);
      for (uint64_t done = 0; done < pieces[i].bytes;) {
        const uint64_t part =
            std::min<uint64_t>(kReadBytes, pieces[i].bytes - done);
        file.read(pieces[i].offset + done, {buffer.data(), part});
        XXH3_64bits_update(&state, buffer.data(), part);
        done += part;
      }
      hashes[i] = XXH3_64bits_digest(&state);
    }
  });

  size_t first = 0;
  for (const auto &[name, region] : regions) {
    const size_t count =
        (region->bytes + kHashPieceBytes - 1) / kHashPieceBytes;
    const uint64_t hash =
        XXH3_64bits(hashes.data() + first, count * sizeof(uint64_t));
    if (hash != region->hash)
      fail(file, std::string(name) + ": expected xxh3 " + hexOf(region->hash) +
                     ", found " + hexOf(hash) +
                     ": the file is altered or truncated");
    first += count;
  }
}

} // namespace fairy2
