// SPDX-License-Identifier: Apache-2.0
//
// Plain values as the bytes that files and hashes take.
#pragma once

#include <cstdint>
#include <ranges>
#include <span>
#include <type_traits>

namespace fairy2 {

/// The bytes of a string, a vector or a span, or of one value.
template <typename T>
  requires std::ranges::contiguous_range<T> || std::is_trivially_copyable_v<T>
std::span<const uint8_t> bytesOf(const T &value) {
  if constexpr (std::ranges::contiguous_range<T>) {
    static_assert(std::is_trivially_copyable_v<std::ranges::range_value_t<T>>);
    return {reinterpret_cast<const uint8_t *>(std::ranges::data(value)),
            std::ranges::size(value) * sizeof(std::ranges::range_value_t<T>)};
  } else {
    return {reinterpret_cast<const uint8_t *>(&value), sizeof(value)};
  }
}

/// The same, to be overwritten.
template <typename T>
  requires(!std::is_const_v<T>)
std::span<uint8_t> writableBytesOf(T &value) {
  const std::span<const uint8_t> bytes = bytesOf(value);
  return {const_cast<uint8_t *>(bytes.data()), bytes.size()};
}

} // namespace fairy2
