// SPDX-License-Identifier: Apache-2.0
//
// Byte pair encoding: the pair of neighbours with the best rank is merged, the
// leftmost first among equals, until no pair is in the table of merges.
#include "runtime/text/tokenizer/BpeModel.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/ByteLevel.h"

#include <algorithm>
#include <limits>
#include <queue>

namespace fairy2::tokenizer {
namespace {

constexpr std::string_view metaspace = "\xe2\x96\x81";

/// Up to this many symbols are merged without a heap.
constexpr size_t shortWord = 32;

size_t metaspacesBefore(std::string_view text) {
  size_t at = 0;
  while (text.substr(at).starts_with(metaspace))
    at += metaspace.size();
  return at;
}

/// Whether `text` has a metaspace after another character.
bool crossesMetaspace(std::string_view text) {
  return text.find(metaspace, metaspacesBefore(text)) != text.npos;
}

} // namespace

BpeModel::BpeModel(Vocabulary vocabulary, BpeOptions settings)
    : options(std::move(settings)) {
  pieces = std::move(vocabulary);
  if (options.byteFallback)
    bytes = byteTokens(pieces);
  cutAt = options.ignoreMerges ? -1 : pieces.find(metaspace);
}

void BpeModel::addMerge(int32_t left, int32_t right, Merge merge) {
  table.set(left, right, merge);
  if (crossesMetaspace(pieces.piece(merge.id)))
    cutAt = -1;
}

void BpeModel::setWholePieces(std::vector<ByteTrie::Entry> entries) {
  for (const auto &[piece, id] : entries)
    if (crossesMetaspace(piece))
      cutAt = -1;
  wholePieces = ByteTrie(std::move(entries));
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
  cutAt = -1; // a metaspace would be three symbols
  return true;
}

void BpeModel::encode(std::string_view piece, bool avoidSpecial,
                      WordCache &cache, std::vector<int32_t> &ids) const {
  while (!piece.empty()) {
    std::string_view word = piece;
    if (cutAt >= 0)
      word = piece.substr(0, piece.find(metaspace, metaspacesBefore(piece)));
    if (!cache.find(word, ids)) {
      const size_t first = ids.size();
      encodeWord(word, false, ids);
      if (avoidSpecial &&
          std::any_of(ids.begin() + ptrdiff_t(first), ids.end(),
                      [&](int32_t id) { return mayNotOccur(id); })) {
        ids.resize(first);
        encodeWord(word, true, ids);
      }
      cache.insert(word, std::span(ids).subspan(first));
    }
    piece.remove_prefix(word.size());
  }
}

void BpeModel::encodeWord(std::string_view word, bool avoidSpecial,
                          std::vector<int32_t> &ids) const {
  if (options.ignoreMerges && appendWhole(word, avoidSpecial, ids))
    return;
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

/// Appends the token that spells the whole word, if there is one.
bool BpeModel::appendWhole(std::string_view word, bool avoidSpecial,
                           std::vector<int32_t> &ids) const {
  std::string characters;
  if (!byteSymbols.empty()) {
    appendByteCharacters(characters, word);
    word = characters;
  }
  const int32_t id = pieces.find(word);
  if (id < 0 || (avoidSpecial && mayNotOccur(id)))
    return false;
  ids.push_back(id);
  return true;
}

/// The characters of `word` as ids; those not in the vocabulary as bytes or as
/// the unknown token. As in `tokenizers`, a pending unknown token comes after
/// byte tokens that follow it, and without one unknown characters vanish.
void BpeModel::appendSymbols(std::string_view word, bool avoidSpecial,
                             std::vector<int32_t> &ids) const {
  bool pendingUnknown = false;
  for (size_t i = 0; i < word.size();) {
    if (const auto [id, length] = wholePieces.longest(word.substr(i)); length) {
      if (pendingUnknown)
        ids.push_back(options.unknown);
      pendingUnknown = false;
      ids.push_back(id);
      i += length;
      continue;
    }
    const unsigned length = codePointAt(word.data() + i).length;
    const std::string_view character = word.substr(i, length);
    i += length;
    const int32_t id = pieces.find(character);
    if (id >= 0 && !(avoidSpecial && mayNotOccur(id))) {
      if (pendingUnknown)
        ids.push_back(options.unknown);
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
    if (options.unknown < 0) {
      if (!options.missingUnknown.empty())
        throw Error(
            options.missingUnknown +
            ": expected a piece of the vocabulary, since the text has " +
            quoteName(character, '"') + ", which is unknown");
      continue;
    }
    if (pendingUnknown && !options.fuseUnknown)
      ids.push_back(options.unknown);
    pendingUnknown = true;
  }
  if (pendingUnknown)
    ids.push_back(options.unknown);
}

/// Looks through all pairs for each merge: the fastest for a few symbols.
void BpeModel::mergeShort(std::vector<int32_t> &ids, size_t first,
                          bool avoidSpecial) const {
  constexpr uint32_t none = std::numeric_limits<uint32_t>::max();
  struct Pair {
    uint32_t rank = none;
    int32_t id;
  } pairs[shortWord];
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

} // namespace fairy2::tokenizer
