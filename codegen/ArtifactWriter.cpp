// SPDX-License-Identifier: Apache-2.0
//
// Appends weights, a new section header table and the manifest to a linked
// library. The program headers stay as they are: for dlopen nothing changes.
#include "codegen/ArtifactWriter.h"

#include "runtime/include/fairy2/abi.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"

#include <elf.h>
#include <nlohmann/json.hpp>

#include <bit>
#include <cstring>
#include <string_view>

namespace fairy2 {
namespace {

constexpr uint64_t kTableAlignment = 8;

uint64_t alignTo(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Reads entry `index` of a table of T that starts at `offset`; the caller has
/// checked that the table lies inside `bytes`.
template <typename T>
T entryOf(std::span<const uint8_t> bytes, uint64_t offset, size_t index) {
  T entry;
  std::memcpy(&entry, bytes.data() + offset + index * sizeof(T), sizeof(T));
  return entry;
}

void appendTo(std::vector<uint8_t> &out, std::span<const uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Appends a name with its final zero; returns its offset in the table.
uint32_t addName(std::vector<uint8_t> &names, std::string_view name) {
  const auto offset = uint32_t(names.size());
  names.insert(names.end(), name.begin(), name.end());
  names.push_back(0);
  return offset;
}

nlohmann::json describe(const Region &region) {
  return {{"offset", region.offset},
          {"bytes", region.bytes},
          {"xxh3", hexOf(region.hash)}};
}

} // namespace

ArtifactWriter::ArtifactWriter(const std::filesystem::path &output,
                               std::span<const uint8_t> linked)
    : path(output), file(output, 0777) {
  const auto require = [&](bool condition, const char *expected) {
    if (!condition)
      throw Error(path.string() + ": linked image: expected " + expected +
                  ", found something else");
  };
  const auto inside = [&](uint64_t offset, uint64_t bytes) {
    return offset <= linked.size() && bytes <= linked.size() - offset;
  };
  require(linked.size() >= sizeof(Elf64_Ehdr), "an ELF file");
  const auto elf = entryOf<Elf64_Ehdr>(linked, 0, 0);
  require(std::memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0 &&
              elf.e_ident[EI_CLASS] == ELFCLASS64 &&
              elf.e_ident[EI_DATA] == ELFDATA2LSB && elf.e_type == ET_DYN,
          "a 64-bit little-endian ELF shared library");
  require(!machineName(elf.e_machine).empty(), "machine x86-64 or aarch64");
  require(elf.e_shentsize == sizeof(Elf64_Shdr) && elf.e_shnum != 0 &&
              elf.e_shnum < SHN_LORESERVE - 2 && elf.e_shstrndx < elf.e_shnum &&
              inside(elf.e_shoff, elf.e_shnum * sizeof(Elf64_Shdr)),
          "section headers inside the file");
  require(elf.e_phentsize == sizeof(Elf64_Phdr) &&
              inside(elf.e_phoff, elf.e_phnum * sizeof(Elf64_Phdr)),
          "program headers inside the file");

  // The linker's own section headers and names come last and are replaced, so
  // they are left out where nothing follows them.
  uint64_t end = elf.e_phoff + elf.e_phnum * sizeof(Elf64_Phdr);
  for (size_t i = 0; i < elf.e_phnum; ++i) {
    const auto segment = entryOf<Elf64_Phdr>(linked, elf.e_phoff, i);
    require(inside(segment.p_offset, segment.p_filesz),
            "segments inside the file");
    end = std::max(end, segment.p_offset + segment.p_filesz);
  }
  for (size_t i = 0; i < elf.e_shnum; ++i) {
    const auto section = entryOf<Elf64_Shdr>(linked, elf.e_shoff, i);
    if (section.sh_type == SHT_NOBITS || section.sh_type == SHT_NULL)
      continue;
    require(inside(section.sh_offset, section.sh_size),
            "sections inside the file");
    if (i == elf.e_shstrndx)
      sectionNames.assign(linked.data() + section.sh_offset,
                          linked.data() + section.sh_offset + section.sh_size);
    else
      end = std::max(end, section.sh_offset + section.sh_size);
  }
  sectionHeaders.assign(linked.data() + elf.e_shoff,
                        linked.data() + elf.e_shoff +
                            elf.e_shnum * sizeof(Elf64_Shdr));
  nameTableIndex = elf.e_shstrndx;

  image.assign(linked.data(), linked.data() + end);
  image.resize(alignTo(end, kWeightsAlignment));
  file.append(image);
  weights.offset = image.size();
}

int64_t ArtifactWriter::append(std::span<const uint8_t> bytes) {
  const int64_t offset = weightBytes();
  hasher.update(bytes);
  file.append(bytes);
  weights.bytes += bytes.size();
  return offset;
}

int64_t ArtifactWriter::align(int64_t alignment) {
  static constexpr uint8_t zeros[kWeightsAlignment] = {};
  if (alignment <= 0 || !std::has_single_bit(uint64_t(alignment)) ||
      alignment > int64_t(kWeightsAlignment))
    throw Error(path.string() +
                ": weights: expected an alignment that is a "
                "power of two up to 4096, found " +
                std::to_string(alignment));
  append({zeros, alignTo(weights.bytes, alignment) - weights.bytes});
  return weightBytes();
}

/// Names and headers of all sections, ours last: the region `sections`. Patches
/// the image's ELF header to point to it.
std::vector<uint8_t> ArtifactWriter::buildSections(uint64_t manifestBytes) {
  const uint64_t start = weights.end();
  std::vector<uint8_t> names = sectionNames;
  Elf64_Shdr weightsHeader = {}, manifestHeader = {};
  weightsHeader.sh_name = addName(names, kWeightsSection);
  manifestHeader.sh_name = addName(names, kManifestSection);

  std::vector<uint8_t> headers = sectionHeaders;
  auto table = entryOf<Elf64_Shdr>(headers, 0, nameTableIndex);
  table.sh_offset = start;
  table.sh_size = names.size();
  std::memcpy(headers.data() + nameTableIndex * sizeof(Elf64_Shdr), &table,
              sizeof(table));

  names.resize(alignTo(start + names.size(), kTableAlignment) - start);
  const uint64_t tableStart = start + names.size();
  weightsHeader.sh_type = manifestHeader.sh_type = SHT_PROGBITS;
  weightsHeader.sh_offset = weights.offset;
  weightsHeader.sh_size = weights.bytes;
  weightsHeader.sh_addralign = kWeightsAlignment;
  manifestHeader.sh_offset =
      tableStart + headers.size() + 2 * sizeof(Elf64_Shdr);
  manifestHeader.sh_size = manifestBytes;
  manifestHeader.sh_addralign = kTableAlignment;
  appendTo(headers, bytesOf(weightsHeader));
  appendTo(headers, bytesOf(manifestHeader));

  auto elf = entryOf<Elf64_Ehdr>(image, 0, 0);
  elf.e_shoff = tableStart;
  elf.e_shnum = uint16_t(headers.size() / sizeof(Elf64_Shdr));
  std::memcpy(image.data(), &elf, sizeof(elf));
  appendTo(names, headers);
  return names;
}

int64_t ArtifactWriter::finish(nlohmann::json manifest) {
  align(int64_t(kTableAlignment));
  weights.hash = hasher.finish();

  // The sections hold the manifest's size and the manifest the sections' hash:
  // hashes have a fixed width, so a first round with zeros finds the size.
  Region imageRegion{0, image.size(), 0};
  Region sections{weights.end(), buildSections(0).size(), 0};
  const auto render = [&] {
    manifest["machine"] =
        machineName(entryOf<Elf64_Ehdr>(image, 0, 0).e_machine);
    manifest["regions"] = {{"image", describe(imageRegion)},
                           {"weights", describe(weights)},
                           {"sections", describe(sections)}};
    return manifest.dump(-1, ' ', false,
                         nlohmann::json::error_handler_t::replace);
  };
  const uint64_t manifestBytes = sizeof(ManifestHeader) + render().size();
  const std::vector<uint8_t> sectionBytes = buildSections(manifestBytes);
  const auto hashOf = [](std::span<const uint8_t> bytes) {
    RegionHasher region;
    region.update(bytes);
    return region.finish();
  };
  imageRegion.hash = hashOf(image);
  sections.hash = hashOf(sectionBytes);
  const std::string text = render();
  Manifest::parse(text, path.string());

  ManifestHeader header = {};
  std::memcpy(header.magic, kManifestMagic, sizeof(header.magic));
  header.format = kArtifactFormat;
  header.abi = FAIRY2_ABI_VERSION;
  header.jsonBytes = text.size();
  header.fileBytes = sections.end() + manifestBytes;
  header.jsonHash = hashBytes(bytesOf(text));

  file.append(sectionBytes);
  file.append(bytesOf(header));
  file.append(bytesOf(text));
  file.overwrite(0, std::span(image).first(sizeof(Elf64_Ehdr)));
  file.commit();
  return int64_t(header.fileBytes);
}

} // namespace fairy2
