// SPDX-License-Identifier: Apache-2.0
//
// Byte pair encoding: the pair of neighbours with the best rank is merged, the
// leftmost first among equals, until no pair is in the table of merges.
#include "runtime/tokenizer/Model.h"

#include "dialect/Error.h"
#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <queue>

namespace fairy2::tokenizer {
namespace {

struct Merge {
  uint32_t rank;
  int32_t id; // of the merged piece
};

/// (left id, right id) -> Merge, by open addressing.
class MergeTable {
public:
  void reserve(size_t count) {
    slots.assign(std::bit_ceil(std::max<size_t>(16, 2 * count)), Slot());
    shift = 64 - std::countr_zero(slots.size());
  }
  /// A later merge of the same pair replaces the earlier one.
  void set(int32_t left, int32_t right, Merge merge) {
    Slot &slot = slots[slotOf(keyOf(left, right))];
    slot = {keyOf(left, right), merge};
  }
  /// Null when the pair does not merge.
  const Merge *find(int32_t left, int32_t right) const {
    const Slot &slot = slots[slotOf(keyOf(left, right))];
    return slot.key == freeKey ? nullptr : &slot.merge;
  }

private:
  static constexpr uint64_t freeKey = ~uint64_t(0);
  struct Slot {
    uint64_t key = freeKey;
    Merge merge = {};
  };
  static uint64_t keyOf(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }
  size_t slotOf(uint64_t key) const {
    const size_t mask = slots.size() - 1;
    size_t slot = size_t(key * 0x9e3779b97f4a7c15u >> shift);
    while (slots[slot].key != key && slots[slot].key != freeKey)
      slot = (slot + 1) & mask;
    return slot;
  }
  std::vector<Slot> slots; // the size a power of two
  int shift = 0;           // leaves the bits of a slot's number
};

class BpeModel final : public Model {
public:
  BpeModel(const TokenizerFile &file, const JsonField &model);
  void encode(std::string_view piece, bool avoidSpecial, WordCache &cache,
              std::vector<int32_t> &ids) const override;
  bool takeBytes() override;

private:
  void encodeWord(std::string_view word, bool avoidSpecial,
                  std::vector<int32_t> &ids) const;
  void appendSymbols(std::string_view word, bool avoidSpecial,
                     std::vector<int32_t> &ids) const;
  void mergeShort(std::vector<int32_t> &ids, size_t first,
                  bool avoidSpecial) const;
  void mergeLong(std::vector<int32_t> &ids, size_t first,
                 bool avoidSpecial) const;

  [[noreturn]] void refuseUnknown(std::string_view character) const {
    throw Error(unknownName + " is not in the vocabulary, and the text has " +
                inQuotes(character) + ", which is unknown");
  }

  const Merge *findMerge(int32_t left, int32_t right, bool avoidSpecial) const {
    const Merge *merge = table.find(left, right);
    return merge && avoidSpecial && mayNotOccur(merge->id) ? nullptr : merge;
  }
  bool mayNotOccur(int32_t id) const { return id != unknown && isSpecial(id); }

  MergeTable table;
  int32_t unknown = -1;
  std::string unknownName; // of an unknown token that is no piece; for errors
  bool fuseUnknown, ignoreMerges;
  std::vector<int32_t> bytes;       // empty without byte_fallback
  std::vector<int32_t> byteSymbols; // empty unless encode() takes bytes
  /// The metaspace, if no merge reaches across one that follows another
  /// character: then text may be cut there. Else -1.
  int32_t cutAt;
};

constexpr std::string_view metaspace = "\xe2\x96\x81";

/// Whether `piece` has a metaspace after another character.
bool crossesMetaspace(std::string_view piece) {
  size_t at = 0;
  while (piece.substr(at).starts_with(metaspace))
    at += metaspace.size();
  return piece.find(metaspace, at) != piece.npos;
}

BpeModel::BpeModel(const TokenizerFile &file, const JsonField &model) {
  model.requireKeys({"type", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", "byte_fallback", "ignore_merges"});
  if (file.vocabularyKind != TokenizerFile::VocabularyKind::Ids)
    model["vocab"].refuse("expected an object of pieces and ids");
  if (!file.hasMerges)
    model["merges"].refuse("expected an array of merges");
  readVocabulary(file, model, pieces);

  if (!model["dropout"].isNull())
    model["dropout"].refuse(
        "expected nothing, since dropout makes tokens random");
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!model[name].isNull() && !model[name].string().empty())
      model[name].refuse("a BPE model with " + std::string(name) +
                         " is not supported");
  fuseUnknown = model["fuse_unk"].boolean(false);
  ignoreMerges = model["ignore_merges"].boolean(false);
  if (model["byte_fallback"].boolean(false))
    bytes = byteTokens(pieces);
  if (const JsonField token = model["unk_token"]; !token.isNull()) {
    unknown = pieces.find(token.string());
    if (unknown < 0)
      unknownName = token.name() + " " + inQuotes(token.string());
  }

  const std::vector<TokenizerFile::Merge> merges = file.merges();
  table.reserve(merges.size());
  cutAt = ignoreMerges ? -1 : pieces.find(metaspace);
  std::string merged;
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto idOf = [&](std::string_view piece) {
      const int32_t id = pieces.find(piece);
      if (id < 0)
        model["merges"].refuse("expected pieces of the vocabulary, found " +
                               inQuotes(piece) + " in entry " +
                               std::to_string(i));
      return id;
    };
    const auto [left, right] = merges[i];
    const int32_t leftId = idOf(left), rightId = idOf(right);
    merged.assign(left).append(right);
    table.set(leftId, rightId, {uint32_t(i), idOf(merged)});
    if (crossesMetaspace(merged))
      cutAt = -1;
  }
}

bool BpeModel::takeBytes() {
  std::vector<int32_t> symbols;
  for (char32_t c : byteCharacters()) {
    std::string character;
    appendUtf8(character, c);
    symbols.push_back(pieces.find(character));
    if (symbols.back() < 0 || mayNotOccur(symbols.back()))
      return false;
  }
  byteSymbols = std::move(symbols);
  cutAt = -1; // a metaspace is three bytes
  return true;
}

void BpeModel::encode(std::string_view piece, bool avoidSpecial,
                      WordCache &cache, std::vector<int32_t> &ids) const {
  while (!piece.empty()) {
    std::string_view word = piece;
    if (cutAt >= 0 && !(avoidSpecial && mayNotOccur(cutAt))) {
      size_t at = 0;
      while (piece.substr(at).starts_with(metaspace))
        at += metaspace.size();
      word = piece.substr(0, piece.find(metaspace, at));
    }
    if (!cache.find(word, ids)) {
      const size_t first = ids.size();
      encodeWord(word, avoidSpecial, ids);
      cache.insert(word, std::span(ids).subspan(first));
    }
    piece.remove_prefix(word.size());
  }
}

void BpeModel::encodeWord(std::string_view word, bool avoidSpecial,
                          std::vector<int32_t> &ids) const {
  constexpr size_t shortWord = 32;
  if (ignoreMerges) {
    std::string characters;
    if (!byteSymbols.empty())
      appendByteCharacters(characters, word);
    const int32_t id = pieces.find(byteSymbols.empty() ? word : characters);
    if (id >= 0 && !(avoidSpecial && mayNotOccur(id))) {
      ids.push_back(id);
      return;
    }
  }
  const size_t first = ids.size();
  if (byteSymbols.empty())
    appendSymbols(word, avoidSpecial, ids);
  else
    for (char byte : word)
      ids.push_back(byteSymbols[uint8_t(byte)]);
  if (ids.size() - first <= shortWord)
    mergeShort(ids, first, avoidSpecial);
  else
    mergeLong(ids, first, avoidSpecial);
}

/// The characters of `word` as ids; those not in the vocabulary as bytes or as
/// the unknown token. As in `tokenizers`, a pending unknown token comes after
/// byte tokens that follow it, and without one unknown characters vanish.
void BpeModel::appendSymbols(std::string_view word, bool avoidSpecial,
                             std::vector<int32_t> &ids) const {
  bool pendingUnknown = false;
  for (size_t i = 0; i < word.size();) {
    const unsigned length = codePointAt(word.data() + i).length;
    const std::string_view character = word.substr(i, length);
    i += length;
    const int32_t id = pieces.find(character);
    if (id >= 0 && !(avoidSpecial && mayNotOccur(id))) {
      if (pendingUnknown)
        ids.push_back(unknown);
      pendingUnknown = false;
      ids.push_back(id);
      continue;
    }
    if (!bytes.empty() &&
        std::all_of(character.begin(), character.end(),
                    [&](char c) { return bytes[uint8_t(c)] >= 0; })) {
      for (char c : character)
        ids.push_back(bytes[uint8_t(c)]);
      continue;
    }
    if (unknown < 0) {
      if (!unknownName.empty())
        refuseUnknown(character);
      continue;
    }
    if (pendingUnknown && !fuseUnknown)
      ids.push_back(unknown);
    pendingUnknown = true;
  }
  if (pendingUnknown)
    ids.push_back(unknown);
}

/// Looks through all pairs for each merge: the fastest for a few symbols.
void BpeModel::mergeShort(std::vector<int32_t> &ids, size_t first,
                          bool avoidSpecial) const {
  constexpr uint32_t none = std::numeric_limits<uint32_t>::max();
  struct Pair {
    uint32_t rank = none;
    int32_t id;
  } pairs[32];
  size_t count = ids.size() - first;
  int32_t *symbols = ids.data() + first;
  const auto look = [&](size_t i) {
    const Merge *merge = findMerge(symbols[i], symbols[i + 1], avoidSpecial);
    pairs[i] = merge ? Pair{merge->rank, merge->id} : Pair{};
  };
  for (size_t i = 0; i + 1 < count; ++i)
    look(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (pairs[i].rank < pairs[best].rank)
        best = i;
    if (pairs[best].rank == none)
      break;
    symbols[best] = pairs[best].id;
    --count;
    std::copy(symbols + best + 2, symbols + count + 1, symbols + best + 1);
    std::copy(pairs + best + 1, pairs + count, pairs + best);
    if (best > 0)
      look(best - 1);
    if (best + 1 < count)
      look(best);
  }
  ids.resize(first + count);
}

/// A linked list of symbols and a heap of pairs: n log n for any word.
void BpeModel::mergeLong(std::vector<int32_t> &ids, size_t first,
                         bool avoidSpecial) const {
  struct Symbol {
    int32_t id; // -1 when merged into the one before
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank;
    uint32_t position;
    int32_t id;
    bool operator>(const Candidate &other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  const size_t count = ids.size() - first;
  if (count >= std::numeric_limits<uint32_t>::max())
    throw Error("text to tokenize: expected fewer than 4294967295 characters "
                "without a break, found " +
                std::to_string(count));
  const uint32_t end = uint32_t(count); // also: no previous
  std::vector<Symbol> symbols(count);
  std::vector<Candidate> initial;
  const auto candidate = [&](uint32_t position, auto &&add) {
    const uint32_t next = symbols[position].next;
    if (const Merge *merge =
            findMerge(symbols[position].id, symbols[next].id, avoidSpecial))
      add(Candidate{merge->rank, position, merge->id});
  };
  for (uint32_t i = 0; i < end; ++i)
    symbols[i] = {ids[first + i], i ? i - 1 : end, i + 1};
  for (uint32_t i = 0; i + 1 < end; ++i)
    candidate(i, [&](Candidate c) { initial.push_back(c); });
  std::priority_queue queue(std::greater<Candidate>(), std::move(initial));

  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol &left = symbols[top.position];
    if (left.id < 0 || left.next == end)
      continue;
    Symbol &right = symbols[left.next];
    // The pair may have changed since it was queued.
    const Merge *merge = findMerge(left.id, right.id, avoidSpecial);
    if (!merge || merge->id != top.id)
      continue;
    left.id = top.id;
    right.id = -1;
    left.next = right.next;
    if (left.next != end)
      symbols[left.next].previous = top.position;
    const auto push = [&](Candidate c) { queue.push(c); };
    if (left.previous != end)
      candidate(left.previous, push);
    if (left.next != end)
      candidate(top.position, push);
  }
  ids.resize(first);
  for (const Symbol &symbol : symbols)
    if (symbol.id >= 0)
      ids.push_back(symbol.id);
}

} // namespace

std::unique_ptr<Model> readBpe(const TokenizerFile &file,
                               const JsonField &model) {
  return std::make_unique<BpeModel>(file, model);
}

} // namespace fairy2::tokenizer
