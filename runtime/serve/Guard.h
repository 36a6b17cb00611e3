// SPDX-License-Identifier: Apache-2.0
//
// Who may ask: names of this server, origins of pages, keys. Against web pages
// that post to localhost, and names that are made to point there.
#pragma once

#include "runtime/serve/Http.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::serve {

struct GuardOptions {
  std::vector<std::string> hosts; ///< allowed beside the loopback's names
  std::vector<std::string> origins;
  std::vector<std::string> keys; ///< none: everybody may ask
};

/// The keys of a file: one a line, blanks around it and lines that begin with #
/// do not count. Throws Error naming the file.
std::vector<std::string> readKeys(const std::string &path);

class Guard {
public:
  explicit Guard(GuardOptions options);

  /// The reply to who may not ask. `isOpen`: the route asks for no key.
  std::optional<HttpReply> refuse(const HttpRequest &head, bool isOpen) const;
  /// Which key the request has, from 0; 0 also without keys.
  size_t ownerOf(const HttpRequest &head) const;
  /// What a page of another origin must be told so that it can read the reply.
  std::vector<std::pair<std::string, std::string>>
  fieldsFor(const HttpRequest &head) const;
  /// The answer to the question of a browser before it asks.
  HttpReply preflight() const;

private:
  using Digest = std::array<uint8_t, 32>;
  std::optional<size_t> keyOf(const HttpRequest &head) const;
  bool isOwn(const HttpRequest &head, const std::string &origin) const;

  GuardOptions options;
  std::vector<Digest> digests;
};

} // namespace fairy2::serve
