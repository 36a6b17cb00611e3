// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL's digest, and files in pieces of a mebibyte.
#include "trainer/run/Sha256.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include <algorithm>
#include <vector>

namespace fairy2::trainer {

Sha256::Sha256() : context(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
  if (!context || !EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr))
    throw Error("SHA-256 is not available");
}

void Sha256::add(std::span<const uint8_t> bytes) {
  EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
}

void Sha256::add(std::string_view text) {
  EVP_DigestUpdate(context.get(), text.data(), text.size());
}

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    constexpr const char *kDigits = "0123456789abcdef";
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

std::string sha256OfFile(const std::filesystem::path &file) {
  const InputFile in = InputFile::open(file.string());
  Sha256 hash;
  std::vector<uint8_t> buffer(size_t(1) << 20);
  for (uint64_t done = 0; done < in.bytes; done += buffer.size()) {
    buffer.resize(std::min<uint64_t>(buffer.size(), in.bytes - done));
    in.read(done, buffer);
    hash.add(buffer);
  }
  return hash.finish();
}

} // namespace fairy2::trainer
