// SPDX-License-Identifier: Apache-2.0
//
// The weight section in memory. How fast a core can walk weights depends on the
// pages behind them: with 4 KiB pages the walk waits for translations.
#pragma once

#include "runtime/Manifest.h"
#include "runtime/support/File.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fairy2 {

enum class HugePages {
  Auto, ///< the file's own pages, by huge pages where the kernel has them so
  Copy, ///< a private copy in anonymous huge pages
  Off   ///< the file's own pages, wherever the kernel puts them
};
/// "auto", "copy", "off".
const char *nameOf(HugePages mode);
/// The mode of that name; throws StatusError "expected ..".
HugePages hugePagesOf(std::string_view name);

class WeightMapping {
public:
  /// Maps `region` of the file. Pages of Auto and Off are shared between all
  /// processes that use the file; a Copy belongs to this mapping alone. Throws
  /// StatusError naming the file, for a Copy also when the memory that is free
  /// is less than it needs.
  WeightMapping(const InputFile &file, const Region &region, HugePages mode);

  /// The section, aligned to 64 bytes.
  std::span<const uint8_t> bytes() const { return section; }

private:
  struct Unmap {
    uint64_t bytes = 0;
    void operator()(void *address) const;
  };

  uint8_t *reserve(uint64_t bytes, const std::string &path);
  void mapFile(const InputFile &file, const Region &region, bool wantsHuge);
  void copyFile(const InputFile &file, const Region &region);

  std::unique_ptr<void, Unmap> reserved{nullptr, Unmap()};
  std::span<const uint8_t> section;
};

} // namespace fairy2
