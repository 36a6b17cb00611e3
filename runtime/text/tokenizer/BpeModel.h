// SPDX-License-Identifier: Apache-2.0
//
// The BPE model, of a tokenizer.json or of a SentencePiece file.
#pragma once

#include "runtime/text/tokenizer/ByteTrie.h"
#include "runtime/text/tokenizer/MergeTable.h"
#include "runtime/text/tokenizer/Model.h"

namespace fairy2::tokenizer {

struct BpeOptions {
  int32_t unknown = -1;
  /// "FILE: FIELD" of an unknown token that is no piece, for errors.
  std::string missingUnknown;
  bool fuseUnknown = false;
  bool byteFallback = false;
  bool ignoreMerges = false;
};

class BpeModel final : public Model {
public:
  BpeModel(Vocabulary vocabulary, BpeOptions options);

  /// Makes room for `count` merges; then they are added one by one.
  void expectMerges(size_t count) { table.reset(count); }
  void addMerge(int32_t left, int32_t right, Merge merge);
  /// Pieces that are found in text before anything merges, and never merge.
  void setWholePieces(std::vector<ByteTrie::Entry> entries);

  void encode(std::string_view piece, bool avoidSpecial, WordCache &cache,
              std::vector<int32_t> &ids) const override;
  bool takeBytes() override;

private:
  void encodeWord(std::string_view word, bool avoidSpecial,
                  std::vector<int32_t> &ids) const;
  bool appendWhole(std::string_view word, bool avoidSpecial,
                   std::vector<int32_t> &ids) const;
  void appendSymbols(std::string_view word, bool avoidSpecial,
                     std::vector<int32_t> &ids) const;
  void mergeShort(std::vector<int32_t> &ids, size_t first,
                  bool avoidSpecial) const;
  void mergeLong(std::vector<int32_t> &ids, size_t first,
                 bool avoidSpecial) const;
  const Merge *findMerge(int32_t left, int32_t right, bool avoidSpecial) const {
    const Merge *merge = table.find(left, right);
    return merge && avoidSpecial && mayNotOccur(merge->id) ? nullptr : merge;
  }
  bool mayNotOccur(int32_t id) const {
    return id != options.unknown && isSpecial(id);
  }

  BpeOptions options;
  MergeTable table;
  ByteTrie wholePieces;
  std::vector<int32_t> bytes;       // empty without byte fallback
  std::vector<int32_t> byteSymbols; // empty unless encode() takes bytes
  /// The metaspace, if no token reaches across one that follows another
  /// character: then text may be cut there. Else -1.
  int32_t cutAt;
};

} // namespace fairy2::tokenizer
