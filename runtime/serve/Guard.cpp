// SPDX-License-Identifier: Apache-2.0
//
// Keys are compared as digests, all of them and to their ends, so that the time
// taken tells nothing.
#include "runtime/serve/Guard.h"

#include "runtime/serve/ApiError.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Words.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <sstream>

namespace fairy2::serve {
namespace {

constexpr int64_t kKeyFileBytes = int64_t(1) << 20;

std::array<uint8_t, 32> sha256(std::string_view text) {
  std::array<uint8_t, 32> digest;
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(),
                 nullptr) != 1)
    throw Error("api key: OpenSSL cannot compute SHA-256");
  return digest;
}

/// A Host field's name, without the port.
std::string nameOf(std::string_view host) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  if (colon != host.npos && (bracket == host.npos || colon > bracket))
    host = host.substr(0, colon);
  std::string name(host);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  });
  return name;
}

} // namespace

std::vector<std::string> readKeys(const std::string &path) {
  std::istringstream lines(readTextFile(path, kKeyFileBytes));
  std::vector<std::string> keys;
  for (std::string line; std::getline(lines, line);) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == line.npos || line[begin] == '#')
      continue;
    keys.push_back(
        line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin));
  }
  if (keys.empty())
    throw Error(path + ": expected at least one key, found none");
  return keys;
}

Guard::Guard(GuardOptions theOptions) : options(std::move(theOptions)) {
  for (std::string &host : options.hosts)
    host = nameOf(host + ":0");
  for (const char *name : {"localhost", "127.0.0.1", "[::1]"})
    options.hosts.push_back(name);
  for (const std::string &key : options.keys)
    digests.push_back(sha256(key));
}

bool Guard::isOwn(const HttpRequest &head, const std::string &origin) const {
  const std::string *host = head.field("host");
  return host && origin == (head.isEncrypted ? "https://" : "http://") + *host;
}

std::optional<HttpReply> Guard::refuse(const HttpRequest &head,
                                       bool isOpen) const {
  const std::string *host = head.field("host");
  if (!host || !std::ranges::count(options.hosts, nameOf(*host)))
    return errorReply(
        {403, "host: expected a name that this server was started for, "
              "which --allow-host adds"});
  const std::string *origin = head.field("origin");
  const bool isAllowed =
      origin && std::ranges::count(options.origins, *origin) > 0;
  if (origin && !isAllowed && !isOwn(head, *origin))
    return errorReply({403, "origin: expected this server's own, or one that "
                            "--cors-origin names"});
  const std::string *site = head.field("sec-fetch-site");
  if (site && *site == "cross-site" && !isAllowed)
    return errorReply({403, "sec-fetch-site: expected a page of this server, "
                            "or one that --cors-origin names"});
  if (!isOpen && head.method != "OPTIONS" && !digests.empty() && !keyOf(head))
    return errorReply({401,
                       "authorization: expected 'Bearer' and a key of "
                       "this server",
                       {},
                       "invalid_api_key"});
  return {};
}

std::optional<size_t> Guard::keyOf(const HttpRequest &head) const {
  constexpr std::string_view scheme = "bearer ";
  const std::string *given = head.field("authorization");
  if (!given || given->size() < scheme.size() ||
      nameOf(given->substr(0, scheme.size())) != scheme)
    return {};
  const Digest digest = sha256(given->substr(scheme.size()));
  std::optional<size_t> found;
  for (size_t i = 0; i < digests.size(); ++i)
    if (CRYPTO_memcmp(digest.data(), digests[i].data(), digest.size()) == 0)
      found = i;
  return found;
}

size_t Guard::ownerOf(const HttpRequest &head) const {
  return digests.empty() ? 0 : keyOf(head).value_or(0);
}

std::vector<std::pair<std::string, std::string>>
Guard::fieldsFor(const HttpRequest &head) const {
  const std::string *origin = head.field("origin");
  if (options.origins.empty())
    return {};
  std::vector<std::pair<std::string, std::string>> fields = {
      {"Vary", "Origin"}};
  if (origin && std::ranges::count(options.origins, *origin)) {
    fields.emplace_back("Access-Control-Allow-Origin", *origin);
    fields.emplace_back("Access-Control-Expose-Headers", "x-request-id");
  }
  return fields;
}

HttpReply Guard::preflight() const {
  return {204,
          "",
          "",
          {{"Access-Control-Allow-Methods", "GET, POST"},
           {"Access-Control-Allow-Headers", "authorization, content-type"},
           {"Access-Control-Max-Age", "600"}}};
}

} // namespace fairy2::serve
