// SPDX-License-Identifier: Apache-2.0
//
// Memory that becomes real page by page, on first touch; zero before that.
#pragma once

#include <cstdint>
#include <string>

namespace fairy2 {

class LazyMemory {
public:
  /// `purpose` names the memory in the StatusError thrown when there is none.
  LazyMemory(uint64_t bytes, const std::string &purpose);
  ~LazyMemory();
  LazyMemory(const LazyMemory &) = delete;
  LazyMemory &operator=(const LazyMemory &) = delete;

  uint8_t *data() const { return address; }
  /// Gives back the pages that lie whole in a range; they are zero again.
  void release(uint64_t offset, uint64_t size);

private:
  uint8_t *address = nullptr;
  uint64_t bytes;
};

} // namespace fairy2
