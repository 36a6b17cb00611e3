// SPDX-License-Identifier: Apache-2.0
//
// tokenizer.json where there is one, otherwise tokenizer.model.
#include "trainer/data/LoadTokenizer.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"

namespace fairy2::trainer {

std::filesystem::path tokenizerFile(const std::filesystem::path &folder) {
  for (const char *name : {"tokenizer.json", "tokenizer.model"})
    if (std::filesystem::exists(folder / name))
      return folder / name;
  throw Error(folder.string() +
              ": expected tokenizer.json or tokenizer.model, found neither");
}

std::unique_ptr<Tokenizer> loadTokenizer(const std::filesystem::path &folder) {
  const std::filesystem::path file = tokenizerFile(folder);
  const std::string content = readWholeFile(file.string());
  return file.extension() == ".json"
             ? Tokenizer::fromJson(content, file.string())
             : Tokenizer::fromSentencePiece(content, file.string());
}

} // namespace fairy2::trainer
