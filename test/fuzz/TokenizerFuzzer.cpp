// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a tokenizer file, a zero byte and a text. Whatever the file, the
// tokenizer refuses it with an Error or works: encode, decode and stream agree
// and yield valid UTF-8.
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/tokenizer/SentencePiece.h"
#include "test/fuzz/Fuzzer.h"

using namespace fairy2;
using namespace fairy2::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view input = textOf(data, size);
  const bool isJson = input.starts_with('{');
  const size_t end = isJson ? input.find('\0') : input.rfind('\0');
  const std::string_view file = input.substr(0, end);
  const std::string_view text =
      end == input.npos ? "ab <s>\n\xc3\xa9" : input.substr(end + 1);
  try {
    const std::string json = isJson
                                 ? std::string(file)
                                 : tokenizer::sentencePieceToJson(file, "file");
    const auto tokenizer = Tokenizer::fromJson(json, "file");
    for (bool flag : {false, true}) {
      const auto ids = tokenizer->encode(text, flag, !flag);
      for (int32_t id : ids) {
        REQUIRE(id >= 0 && id < tokenizer->vocabSize());
        tokenizer->isSpecial(id);
      }
      const std::string decoded = tokenizer->decode(ids, flag);
      StreamDecoder stream(*tokenizer, flag);
      std::string streamed;
      for (int32_t id : ids) {
        const std::string part = stream.next(id);
        REQUIRE(isValidUtf8(part));
        streamed += part;
      }
      REQUIRE(streamed + stream.finish() == decoded);
      REQUIRE(isValidUtf8(decoded));
    }
  } catch (const Error &) {
  }
  return 0;
}
