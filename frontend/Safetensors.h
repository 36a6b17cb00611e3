// SPDX-License-Identifier: Apache-2.0
//
// The header of a safetensors file: a u64 length, then JSON that gives each
// tensor's type, shape and place. Parsing is stricter than the reference
// implementation: what it lets pass silently (duplicate names, leading space,
// unknown fields, sub-byte types, control characters in names) is an error.
#pragma once

#include <cstdint>
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

/// Reads the JSON of a header whose file holds `dataBytes` bytes after it.
/// Returns the tensors in the order of their data; together they cover it
/// without hole or overlap. `file` names the file in errors. Throws Error.
std::vector<SafetensorsEntry> parseSafetensorsHeader(std::string_view header,
                                                     int64_t dataBytes,
                                                     const std::string &file);

/// Everything that comes before the data: length and JSON, padded with spaces
/// so that the data is aligned to 8 bytes. `tensors` are in the order of their
/// data.
std::string
formatSafetensorsHeader(const std::vector<SafetensorsEntry> &tensors);

} // namespace fairy2
