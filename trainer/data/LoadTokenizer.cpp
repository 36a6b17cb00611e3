// SPDX-License-Identifier: Apache-2.0
//
// The tokenizer that the compiler would put into the model, and its hash.
#include "trainer/data/LoadTokenizer.h"

#include "frontend/TokenizerFolder.h"
#include "runtime/support/Error.h"
#include "trainer/run/Sha256.h"

namespace fairy2::trainer {

LoadedTokenizer loadTokenizer(const ModelFolder &folder) {
  const TokenizerFolder files = readTokenizerFolder(folder);
  if (files.json.empty())
    throw Error(folder.path().string() +
                ": expected tokenizer.json, tokenizer.model, or vocab.json and "
                "merges.txt, found none");
  Sha256 hash;
  hash.add(std::string_view(files.json));
  return {Tokenizer::fromJson(files.json, files.origin), hash.finish()};
}

} // namespace fairy2::trainer
