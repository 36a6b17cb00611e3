// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a chat template and, after a zero byte, messages as JSON. Whatever
// they are, they are refused with an Error or yield valid UTF-8 with its
// untrusted ranges in order.
#include "runtime/ChatTemplate.h"
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "test/fuzz/Fuzzer.h"

using namespace fairy2;
using namespace fairy2::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const auto usual = nlohmann::ordered_json::parse(R"([
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Hi <s>\u00e9 "},
    {"role": "assistant", "content": "<think>\na</think>\n\nb"},
    {"role": "user", "content": "3?"}])");
  const auto [source, json] = splitAtZero(textOf(data, size));
  auto messages =
      nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (messages.is_discarded())
    messages = usual;
  try {
    const ChatTemplate chat(source,
                            {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    RenderOptions options;
    options.now = 0;
    const RenderedChat rendered = chat.render(messages, options);
    REQUIRE(isValidUtf8(rendered.text));
    size_t reached = 0;
    for (const ByteRange &range : rendered.untrusted) {
      REQUIRE(range.begin >= reached && range.end > range.begin);
      reached = range.end;
    }
    REQUIRE(reached <= rendered.text.size());
  } catch (const Error &) {
  }
  return 0;
}
