// SPDX-License-Identifier: Apache-2.0
//
// A filter for compare_with_tokenizers.py and compare_with_sentencepiece.py:
// loads the tokenizer.json or tokenizer.model named on the command line and
// answers requests on standard input. A request is a letter, a byte of flags, a
// little-endian u32 length and that many bytes: 'e' encodes text (flag 1: add
// special tokens, 2: parse special tokens), 'd' decodes ids and 's' streams
// them (flag 1: skip special tokens), 'n' normalizes and 'p' pre-tokenizes. An
// answer is a u32 length and that many bytes: ids as i32, text, or pieces, each
// after a u32 length.
#include "test/unit/tokenizer/TestFiles.h"

#include "runtime/support/Error.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/tokenizer/Normalizer.h"
#include "runtime/text/tokenizer/PreTokenizer.h"
#include "runtime/text/tokenizer/TokenizerFile.h"

#include <cstdio>
#include <cstring>

using namespace fairy2;
using fairy2::test::fromSentencePiece;

namespace {

void answer(const void *data, size_t bytes) {
  const auto length = uint32_t(bytes);
  std::fwrite(&length, sizeof length, 1, stdout);
  std::fwrite(data, 1, bytes, stdout);
}

std::string stream(const Tokenizer &tokenizer, std::span<const int32_t> ids,
                   bool skipSpecial) {
  StreamDecoder decoder(tokenizer, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    text += decoder.next(id);
  return text + decoder.finish();
}

/// The normalizer and pre-tokenizer of a tokenizer.json by themselves.
struct Parts {
  explicit Parts(const std::string &file, const std::string &path)
      : root(file, path), field(root.rest, path),
        normalizer(tokenizer::readNormalizer(field["normalizer"])),
        preTokenizer(tokenizer::readPreTokenizer(field["pre_tokenizer"])) {}

  std::string normalize(std::string text) const {
    if (normalizer)
      normalizer->apply(text);
    return text;
  }
  /// Each piece after its length.
  std::string preTokenize(std::string_view text) const {
    tokenizer::Pieces pieces(text, true);
    if (preTokenizer)
      preTokenizer->apply(pieces);
    std::string out;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const auto length = uint32_t(pieces[i].size());
      out.append(reinterpret_cast<const char *>(&length), sizeof length);
      out += pieces[i];
    }
    return out;
  }

  tokenizer::TokenizerFile root;
  JsonField field;
  std::unique_ptr<tokenizer::Normalizer> normalizer;
  std::unique_ptr<tokenizer::PreTokenizer> preTokenizer;
};

int run(const char *path) {
  const std::string file = readFile(path);
  const bool isJson = !std::string_view(path).ends_with(".model");
  const auto parts = isJson ? std::make_unique<Parts>(file, path) : nullptr;
  const auto tokenizer =
      isJson ? Tokenizer::fromJson(file, path) : fromSentencePiece(file, path);
  for (uint8_t head[6]; std::fread(head, sizeof head, 1, stdin) == 1;) {
    uint32_t length;
    std::memcpy(&length, head + 2, sizeof length);
    std::string payload(length, '\0');
    if (std::fread(payload.data(), 1, length, stdin) != length)
      return 1;
    if (head[0] == 'e') {
      const auto ids =
          tokenizer->encode(payload, head[1] & 1, (head[1] & 2) != 0);
      answer(ids.data(), ids.size() * sizeof(int32_t));
      continue;
    }
    if (head[0] == 'n' || head[0] == 'p') {
      const std::string text = head[0] == 'n'
                                   ? parts->normalize(std::move(payload))
                                   : parts->preTokenize(payload);
      answer(text.data(), text.size());
      continue;
    }
    std::vector<int32_t> ids(length / sizeof(int32_t));
    std::memcpy(ids.data(), payload.data(), ids.size() * sizeof(int32_t));
    const std::string text = head[0] == 'd'
                                 ? tokenizer->decode(ids, head[1] & 1)
                                 : stream(*tokenizer, ids, head[1] & 1);
    answer(text.data(), text.size());
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: TokenizerFilter FILE\n");
    return 2;
  }
  try {
    return run(argv[1]);
  } catch (const Error &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
