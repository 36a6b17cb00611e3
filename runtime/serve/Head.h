// SPDX-License-Identifier: Apache-2.0
//
// What a head must be beyond what Beast's parser asks of it, so that no proxy
// before this server can read other requests in the same bytes.
#pragma once

#include "runtime/serve/Http.h"

#include <optional>
#include <string>
#include <string_view>

namespace fairy2::serve {

inline constexpr size_t kMostHeadBytes = 16 << 10;
inline constexpr size_t kMostFields = 100;

/// Why bytes are no request, and the status that says so.
struct HeadFault {
  int status;
  std::string message;
};

/// The bytes of the head at the start of `bytes`, its last empty line included;
/// 0: it is not whole yet.
size_t headSize(std::string_view bytes);
/// What is wrong with the bytes of a head, whole or not.
std::optional<HeadFault> faultOfBytes(std::string_view head);
/// What is wrong with the fields of a whole one; `version` is 10 or 11.
std::optional<HeadFault> faultOfFields(const HttpRequest &head, int version);

/// The first bytes of a reply of `bodyBytes`; without them it comes in chunks,
/// or for HTTP/1.0 until the connection closes.
std::string headOf(const HttpReply &reply, const HttpRequest &request,
                   std::optional<size_t> bodyBytes, bool isChunked, bool stays);

} // namespace fairy2::serve
