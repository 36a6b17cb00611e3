// SPDX-License-Identifier: Apache-2.0
//
// Maps the weight section so that huge pages are possible, or copies it.
//
// The kernel maps a file by pages of 2 MiB where its page cache holds the file
// in such pieces and the address agrees with the file offset modulo 2 MiB, so
// an address of that kind is reserved first. The writer of the file sees to
// the pieces (support/File.cpp); a file that is read from disk gets them by
// the advice below.
#include "runtime/WeightMapping.h"

#include "runtime/ControlGroups.h"
#include "runtime/Status.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace fairy2 {
namespace {

constexpr uint64_t kHugePage = uint64_t(2) << 20;

constexpr std::array kModes = {HugePages::Auto, HugePages::Copy,
                               HugePages::Off};

} // namespace

const char *nameOf(HugePages mode) {
  switch (mode) {
  case HugePages::Auto:
    return "auto";
  case HugePages::Copy:
    return "copy";
  case HugePages::Off:
    return "off";
  }
  return "";
}

HugePages hugePagesOf(std::string_view name) {
  for (const HugePages mode : kModes)
    if (name == nameOf(mode))
      return mode;
  throw StatusError(FAIRY2_BAD_ARGUMENT,
                    "--huge-pages: expected auto, copy or off, found '" +
                        std::string(name) + "'");
}

WeightMapping::WeightMapping(const InputFile &file, const Region &region,
                             HugePages mode) {
  if (region.bytes == 0)
    return;
  if (mode == HugePages::Copy)
    copyFile(file, region);
  else
    mapFile(file, region, mode == HugePages::Auto);
}

void WeightMapping::Unmap::operator()(void *address) const {
  munmap(address, bytes);
}

/// Reserves addresses for `bytes` bytes; returns the first multiple of a huge
/// page among them.
uint8_t *WeightMapping::reserve(uint64_t bytes, const std::string &path) {
  bytes += kHugePage;
  void *result = mmap(nullptr, bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (result == MAP_FAILED)
    throw StatusError(FAIRY2_INTERNAL,
                      path + ": weights: cannot reserve " +
                          std::to_string(bytes) +
                          " bytes of addresses: " + std::strerror(errno));
  reserved = {result, Unmap{bytes}};
  const auto start = reinterpret_cast<uintptr_t>(result);
  return reinterpret_cast<uint8_t *>((start + kHugePage - 1) / kHugePage *
                                     kHugePage);
}

void WeightMapping::mapFile(const InputFile &file, const Region &region,
                            bool wantsHuge) {
  // A page may be larger than the section's alignment in the file.
  const auto page = uint64_t(sysconf(_SC_PAGESIZE));
  const uint64_t start = region.offset / page * page;
  const uint64_t bytes = region.end() - start;
  const uint64_t intoHugePage = start % kHugePage;
  uint8_t *target = reserve(intoHugePage + bytes, file.path) + intoHugePage;
  if (mmap(target, bytes, PROT_READ, MAP_SHARED | MAP_FIXED,
           file.descriptor.get(), off_t(start)) == MAP_FAILED)
    throw StatusError(FAIRY2_INTERNAL,
                      file.path +
                          ": cannot map the weights: " + std::strerror(errno));
  // Advice: kernels and file systems without huge pages refuse it, and nothing
  // is lost.
  madvise(target, bytes, wantsHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  section = {target + (region.offset - start), region.bytes};
}

void WeightMapping::copyFile(const InputFile &file, const Region &region) {
  const uint64_t available = availableMemory();
  if (region.bytes > available)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      file.path + ": huge pages: expected " +
                          std::to_string(region.bytes) +
                          " bytes of free memory for a copy of the weights, "
                          "found " +
                          std::to_string(available));
  uint8_t *target = reserve(region.bytes, file.path);
  if (mprotect(target, region.bytes, PROT_READ | PROT_WRITE) != 0)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      file.path + ": huge pages: cannot get " +
                          std::to_string(region.bytes) +
                          " bytes: " + std::strerror(errno));
  madvise(target, region.bytes, MADV_HUGEPAGE);
  file.read(region.offset, {target, region.bytes});
  mprotect(target, region.bytes, PROT_READ);
  section = {target, region.bytes};
}

} // namespace fairy2
