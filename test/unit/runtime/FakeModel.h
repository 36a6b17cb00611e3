// SPDX-License-Identifier: Apache-2.0
//
// Makes small artefacts around FakeModule.c, for the tests of the runtime and
// of the artefact writer.
#pragma once

#include "test/unit/TestFiles.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fairy2::test {

inline constexpr int32_t kFakeVocab = 32;
inline constexpr int32_t kFakePositions = 100;
inline constexpr int32_t kFakeBatch = 8;
inline constexpr int32_t kFakeBos = 1, kFakeEos = 2;
/// BOS, then each message as "role.content" and EOS.
inline constexpr const char *kFakeChatTemplate =
    "{{ bos_token }}{% for message in messages %}{{ message.role }}."
    "{{ message.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant.{% endif %}";

/// FakeModule.c as the linker made it.
std::vector<uint8_t> fakeImage();
/// int32 [vocab], what the fake model multiplies with.
std::vector<int32_t> fakeWeights();
/// A tokenizer.json with <unk> <s> </s> a .. z space . newline; encoding with
/// special tokens starts with <s>.
std::string fakeTokenizer();

using Edit = std::function<void(nlohmann::json &manifest)>;
/// Writes a model of the fake module, its weights, its tokenizer and its chat
/// template; `edit` may change the manifest first. Returns `path`.
std::string writeFakeModel(const std::string &path, const Edit &edit = {});
/// The same around another linked image, or with another tokenizer.
std::string writeFakeModel(const std::string &path,
                           const std::vector<uint8_t> &image,
                           const Edit &edit = {},
                           const std::string &tokenizer = fakeTokenizer());

/// Logits [vocab] that the fake model's plain variant must give after `tokens`.
std::vector<float> fakeLogits(const std::vector<int32_t> &tokens);
/// The `count` ids that greedy decoding must give after them.
std::vector<int32_t> fakeGreedy(std::vector<int32_t> tokens, size_t count);

} // namespace fairy2::test
