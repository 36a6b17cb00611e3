// SPDX-License-Identifier: Apache-2.0
//
// Tokenized text, cut into training windows, and several of them mixed. What
// sample k is depends on k, the seed and the sources alone: not on batch size,
// number of processes or history.
#pragma once

#include "runtime/text/Tokenizer.h"
#include "trainer/data/DocumentTokenizer.h"
#include "trainer/data/TokenFile.h"
#include "trainer/data/TokenizedText.h"
#include "trainer/run/Recipe.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace fairy2::trainer {

/// What a corpus is read with: a model's tokenizer and what belongs to it.
struct Vocabulary {
  const Tokenizer &tokenizer;
  std::string sha256; ///< of the tokenizer's file
  SpecialTokens special;
  int64_t size = 0; ///< of the model; the tokenizer's may be smaller
};

/// One source as a single row of tokens, separators between its documents.
class Corpus {
public:
  /// Tokenizes the documents of `source` on all threads, reads the tokens of a
  /// shard, or opens a folder of `fairy2-train tokenize`, which stays where it
  /// is. What it tokenizes or reads goes to the disk of `scratch`, a folder
  /// (see ScratchFile). Throws Error when the file is unreadable, holds no
  /// token, or a token is not in the vocabulary.
  static Corpus read(const DataSource &source, const Recipe::Data &data,
                     const Vocabulary &vocabulary,
                     const std::filesystem::path &scratch);
  /// A file as one text, as fairy2-eval reads it; its first `most` tokens
  /// unless that is 0.
  static Corpus readWhole(const std::string &path, const Recipe::Data &data,
                          const Vocabulary &vocabulary,
                          const std::filesystem::path &scratch, int64_t most);

  explicit Corpus(TokenFile file)
      : file(std::make_shared<const TokenFile>(std::move(file))) {}
  explicit Corpus(TokenizedText text) : text(std::move(text)) {}

  int64_t size() const { return text ? text->size() : file->size(); }
  /// Tokens [begin, begin + count).
  std::vector<int32_t> window(int64_t begin, int64_t count) const;

private:
  std::shared_ptr<const TokenFile> file;
  std::optional<TokenizedText> text; ///< in place of the file
};

/// Cuts one corpus into windows of `length` targets, in another order and from
/// another first token in each epoch.
class WindowOrder {
public:
  WindowOrder(int64_t tokens, int64_t length, uint64_t seed);

  /// The first target's index of the n-th window of the run.
  int64_t start(int64_t n) const;

private:
  int64_t permuted(int64_t index, uint64_t key) const;

  int64_t length, windows, slack;
  int halfBits;
  uint64_t seed;
};

/// Which source sample k comes from: the one that lags most behind its share,
/// so that after any number of samples every share is exact to within one.
class Mixture {
public:
  Mixture(std::vector<Corpus> corpora, std::vector<double> weights,
          int64_t length, uint64_t seed);

  /// Targets of the next sample: `length` tokens.
  std::vector<int32_t> next();
  /// Goes past the next sample.
  void skip() { choose(); }
  /// Goes to sample k as if next() had been called k times.
  void skipTo(int64_t k);

  int64_t tokens() const; ///< of all sources

private:
  int64_t choose();

  std::vector<Corpus> corpora;
  std::vector<double> weights; ///< sum is 1
  std::vector<WindowOrder> orders;
  std::vector<int64_t> taken;
  int64_t length, count = 0;
};

} // namespace fairy2::trainer
