// SPDX-License-Identifier: Apache-2.0
//
// SentencePiece's tokenizer.model in the form of a tokenizer.json, with a model
// and a normalizer of the type "SentencePiece", so that what runs has one
// format to read.
#pragma once

#include <string>
#include <string_view>

namespace fairy2::tokenizer {

/// What tokenizer_config.json says about such a file.
struct SentencePieceSettings {
  /// With `legacy` every stretch between special tokens gets the leading space
  /// of SentencePiece, without it the first alone.
  bool legacy = true;
  /// Without it there is no such space, whatever the file says.
  bool addPrefixSpace = true;
  bool addBegin = true, addEnd = false;
};

/// Equal to SentencePiece on text; control tokens as Hugging Face adds them.
/// `origin` names the file in errors. Throws Error.
std::string sentencePieceToJson(std::string_view bytes,
                                const std::string &origin,
                                const SentencePieceSettings &settings = {});

} // namespace fairy2::tokenizer
