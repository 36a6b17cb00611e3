// SPDX-License-Identifier: Apache-2.0
//
// Texts and tiny models that the trainer's tests work on.
#pragma once

#include "test/unit/TestFiles.h"

#include <filesystem>
#include <string>

namespace fairy2::trainer {

/// Writes a random Llama of a few thousand parameters whose tokens are bytes to
/// `folder`; its BOS is 1. `fields` is spliced into config.json.
void writeTinyModel(const std::filesystem::path &folder,
                    const std::string &fields = "", int intermediateSize = 48);

/// English-like text of that many sentences.
std::string tinyText(int sentences, unsigned seed);

/// Output of a shell command; fails the test when the command does.
std::string outputOf(const std::string &command);

} // namespace fairy2::trainer
