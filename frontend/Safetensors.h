// SPDX-License-Identifier: Apache-2.0
//
// The header of a safetensors file: a u64 length, then JSON that gives each
// tensor's type, shape and place. Parsing is stricter than the reference
// implementation: what it lets pass silently (duplicate names, leading space,
// unknown fields, sub-byte types, control characters in names) is an error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// The largest header that the format allows.
constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;

struct SafetensorsEntry {
  std::string name;
  std::string dtype; ///< any whole-byte type of the format, e.g. "F32", "I64"
  std::vector<int64_t> shape;
  int64_t begin = 0; ///< first byte, counted from the start of the data
  int64_t end = 0;   ///< one past the last byte
};

struct SafetensorsHeader {
  /// In the order of their data, which they cover without hole or overlap.
  std::vector<SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads the JSON of a header whose file holds `dataBytes` bytes after it.
/// `file` names the file in errors. Throws Error.
SafetensorsHeader parseSafetensorsHeader(std::string_view header,
                                         int64_t dataBytes,
                                         const std::string &file);

/// Everything that comes before the data: length and JSON, padded with spaces
/// so that the data is aligned to 8 bytes. `tensors` are in the order of their
/// data; to `metadata` comes "format": "pt", which transformers asks for.
std::string formatSafetensorsHeader(
    const std::vector<SafetensorsEntry> &tensors,
    const std::map<std::string, std::string> &metadata = {});

} // namespace fairy2
