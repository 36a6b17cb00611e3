// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fairy2::trainer {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
class Sha256 {
public:
  Sha256();

  void add(std::span<const uint8_t> bytes);
  void add(std::string_view text);
  /// The hash in hexadecimal; nothing may follow.
  std::string finish();

private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX *)> context;
};

/// SHA-256 of a file's bytes in hexadecimal. Throws Error.
std::string sha256OfFile(const std::filesystem::path &file);

} // namespace fairy2::trainer
