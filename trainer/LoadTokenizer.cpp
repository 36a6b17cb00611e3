// SPDX-License-Identifier: Apache-2.0
#include "trainer/LoadTokenizer.h"

#include "dialect/Error.h"
#include "runtime/File.h"

namespace fairy2 {

std::unique_ptr<Tokenizer> loadTokenizer(const std::filesystem::path &folder) {
  const std::filesystem::path json = folder / "tokenizer.json";
  const std::filesystem::path pieces = folder / "tokenizer.model";
  if (std::filesystem::exists(json))
    return Tokenizer::fromJson(readWholeFile(json), json.string());
  if (std::filesystem::exists(pieces))
    return Tokenizer::fromSentencePiece(readWholeFile(pieces), pieces.string());
  throw Error(folder.string() +
              ": expected tokenizer.json or tokenizer.model, found neither");
}

} // namespace fairy2
