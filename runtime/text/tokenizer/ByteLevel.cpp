// SPDX-License-Identifier: Apache-2.0
//
// The two directions of the byte-level alphabet.
#include "runtime/text/tokenizer/ByteLevel.h"

#include "runtime/support/Utf8.h"

namespace fairy2::tokenizer {
namespace {

constexpr char32_t pastAlphabet = 0x100 + 68;

struct Alphabet {
  std::array<char32_t, 256> characters;
  std::array<int, pastAlphabet> bytes;

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
      characters[byte] = printable ? char32_t(byte) : next++;
      bytes[characters[byte]] = byte;
    }
  }
};

const Alphabet &alphabet() {
  static const Alphabet instance;
  return instance;
}

} // namespace

const std::array<char32_t, 256> &byteCharacters() {
  return alphabet().characters;
}

void appendByteCharacters(std::string &out, std::string_view bytes) {
  for (char byte : bytes)
    appendUtf8(out, alphabet().characters[uint8_t(byte)]);
}

bool appendBytesOfCharacters(std::string &out, std::string_view text) {
  const size_t before = out.size();
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = codePointAt(text.data() + i);
    const int byte = c.value < pastAlphabet ? alphabet().bytes[c.value] : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out += char(byte);
    i += c.length;
  }
  return true;
}

} // namespace fairy2::tokenizer
