// SPDX-License-Identifier: Apache-2.0
//
// The model of a tokenizer cuts one piece of normalized text into tokens.
#pragma once

#include "runtime/text/tokenizer/TokenizerFile.h"
#include "runtime/text/tokenizer/Vocabulary.h"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace fairy2::tokenizer {

/// The tokens of words met before, within one call of encode(): nothing is
/// shared between threads, and nothing grows without bound.
class WordCache {
public:
  /// Appends the ids of `word` if it is known; returns whether it is.
  bool find(std::string_view word, std::vector<int32_t> &ids) const;
  /// Remembers the ids of a word that is not known yet.
  void insert(std::string_view word, std::span<const int32_t> ids);

private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t wordOffset = 0, wordLength = 0; // length 0: free
    uint32_t idsOffset = 0, idsCount = 0;
  };
  /// Where `word` is, may go to, or what it must replace.
  size_t slotOf(std::string_view word, uint64_t hash) const;
  void grow();

  std::vector<Slot> slots; // the size a power of two
  std::string words;
  std::vector<int32_t> tokens;
  size_t added = 0; // words since the last time all were forgotten
};

class Model {
public:
  virtual ~Model() = default;

  /// Appends the ids of `piece` (valid UTF-8). With `avoidSpecial` no special
  /// token but the unknown one comes out.
  virtual void encode(std::string_view piece, bool avoidSpecial,
                      WordCache &cache, std::vector<int32_t> &ids) const = 0;

  /// Makes encode() take raw bytes where a ByteLevel pre-tokenizer would have
  /// spelled them as characters: the same ids, faster. Returns false, and
  /// changes nothing, if the model cannot.
  virtual bool takeBytes() { return false; }

  const Vocabulary &vocabulary() const { return pieces; }

  /// Tells the model which ids are special, once, before the first encode().
  void setSpecial(std::vector<bool> ids) { special = std::move(ids); }

protected:
  bool isSpecial(int32_t id) const {
    return size_t(id) < special.size() && special[id];
  }

  Vocabulary pieces;
  std::vector<bool> special;
};

/// The model of a tokenizer.json; `root` is its tree and `origin` its name.
/// Throws Error.
std::unique_ptr<Model> readModel(const TokenizerFile &file,
                                 const JsonField &root,
                                 const std::string &origin);

/// The model "SentencePiece": `pieces` with the ids 0, 1, .. and their scores,
/// `model` the rest of the field. Throws Error.
std::unique_ptr<Model> readSentencePieceModel(Vocabulary pieces,
                                              std::vector<double> scores,
                                              const JsonField &model,
                                              const std::string &origin);

/// The ids of the 256 byte tokens <0x00> to <0xFF>, -1 where missing.
std::vector<int32_t> byteTokens(const Vocabulary &pieces);

} // namespace fairy2::tokenizer
