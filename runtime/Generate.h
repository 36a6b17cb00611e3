// SPDX-License-Identifier: Apache-2.0
//
// One text from one prompt: the logic of fairy2-run.
#pragma once

#include "runtime/Sequence.h"

#include <span>
#include <string>

namespace fairy2 {

/// Continues `prompt` in slot 0 of the session: a Sequence alone. Throws
/// StatusError when the prompt does not fit or an option is out of range.
Generation generate(Session &session, std::span<const int32_t> prompt,
                    const GenerationOptions &options);

/// One JSON object: text (null without a tokenizer), ids, prompt_ids,
/// prompt_tok_s, gen_tok_s, finish_reason.
std::string jsonOf(const Generation &result, std::span<const int32_t> prompt,
                   const Model &model);

} // namespace fairy2
