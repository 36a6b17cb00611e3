// SPDX-License-Identifier: Apache-2.0
//
// Text that `fairy2-train tokenize` has tokenized: a folder with index.json and
// shards, NAME.tokens. All numbers are little-endian. A shard:
//
//     0   8 bytes   FAIRY2TK
//     8   u32       version, 1
//     12  u32       bytes per token: 2 or 4
//     16  u64       tokens
//     24  u64       documents
//     32  16 bytes  data.separator, filled up with zeros
//     48  64 bytes  SHA-256 of the tokenizer's file, in hexadecimal
//     112 u64       hash of the tokens' bytes (RegionHasher of
//                   runtime/Artifact.h)
//     120 8 bytes   zero
//     128           tokens, separators among them, to the end of the file
//
// index.json lists the shards in order, each with its tokens, documents and
// hash; it is written last, so a folder without it is not complete.
#pragma once

#include "frontend/ModelFolder.h"
#include "trainer/data/DocumentTokenizer.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fairy2::trainer {

struct TokenizeOptions {
  std::string model;      ///< folder with config.json and the tokenizer
  ModelFolderRules rules; ///< of that folder
  std::vector<std::string> inputs;     ///< as readDocuments() takes them
  std::string output;                  ///< a folder
  std::string separator = "bos";       ///< as data.separator
  std::string specialTokens = "parse"; ///< as data.special_tokens
  std::string textField = "text";
  std::map<std::string, std::string> where;
  int64_t shardTokens = int64_t(1) << 27; ///< at least so many, but the last
};

struct TokenizeResult {
  int64_t shards = 0, documents = 0, tokens = 0;
};

/// Writes the documents of all inputs, in order; `config` is that of the model.
/// Throws Error; what a failed
/// call leaves has no index.json.
TokenizeResult tokenizeFiles(const TokenizeOptions &options,
                             const HFConfig &config);

/// A folder of shards, open for reading windows of it in any order.
class TokenizedText {
public:
  static bool isFolder(const std::filesystem::path &path);
  /// Reads and checks index, headers, hashes and that tokens are below
  /// `vocabSize`. `separator`, `specialTokens` and `tokenizerSha256` must be
  /// those of the shards. Throws Error.
  static TokenizedText open(const std::filesystem::path &folder,
                            const std::string &separator,
                            const std::string &specialTokens,
                            const std::string &tokenizerSha256,
                            int64_t vocabSize);

  int64_t size() const { return total; }
  /// Fills `out` with the tokens from `begin`.
  void read(int64_t begin, std::span<int32_t> out) const;

private:
  struct Shard;
  std::vector<std::shared_ptr<const Shard>> shards;
  int64_t total = 0;
};

} // namespace fairy2::trainer
