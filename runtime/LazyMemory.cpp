// SPDX-License-Identifier: Apache-2.0
//
// Anonymous pages that the kernel does not set aside before they are touched.
#include "runtime/LazyMemory.h"

#include "runtime/Status.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fairy2 {

LazyMemory::LazyMemory(uint64_t size, const std::string &purpose)
    : bytes(std::max<uint64_t>(size, 1)) {
  void *result = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (result == MAP_FAILED)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      purpose + ": cannot get " + std::to_string(bytes) +
                          " bytes: " + std::strerror(errno));
  address = static_cast<uint8_t *>(result);
}

void LazyMemory::release(uint64_t offset, uint64_t size) {
  const auto page = uint64_t(sysconf(_SC_PAGESIZE));
  const uint64_t begin = (offset + page - 1) / page * page;
  const uint64_t end = (offset + size) / page * page;
  if (begin < end) // what cannot be given back stays
    madvise(address + begin, end - begin, MADV_DONTNEED);
}

LazyMemory::~LazyMemory() { munmap(address, bytes); }

} // namespace fairy2
