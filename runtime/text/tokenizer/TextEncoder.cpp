// SPDX-License-Identifier: Apache-2.0
//
// Cuts behind words where it can, checks every cut, and undoes a wrong one.
#include "runtime/text/TextEncoder.h"

#include "runtime/support/Error.h"
#include "runtime/support/ForkJoin.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <utility>

namespace fairy2 {
namespace {

constexpr size_t kPartBytes = size_t(128) << 10;
/// What is encoded twice at a cut.
constexpr size_t kContextBytes = 256;
/// How far back a good place for a cut is looked for.
constexpr size_t kSearchBytes = size_t(4) << 10;
/// Of parts that cannot be told apart.
constexpr size_t kLongestPart = size_t(4) << 20;
/// Encoded in a row, by each thread.
constexpr size_t kBatchBytes = 2 * kPartBytes;

/// Where to cut `text`, behind `least`: where a space follows what is none, or
/// between any two characters.
size_t placeToCut(std::string_view text, size_t least) {
  const size_t stop =
      std::max(least, text.size() - std::min(text.size(), kSearchBytes));
  for (size_t at = text.size() - 1; at > stop; --at)
    if ((text[at] == ' ' || text[at] == '\n') && uint8_t(text[at - 1]) > ' ')
      return at;
  size_t at = text.size() - 1;
  while (at > least + 1 && isContinuation(text[at]))
    --at;
  return at;
}

/// Whether `ids` end as the context of what follows does. What a context
/// begins with may differ: it begins anywhere.
bool endsAlike(std::span<const int32_t> ids, std::span<const int32_t> context) {
  const size_t needed = (context.size() + 1) / 2;
  return needed > 0 && ids.size() >= needed &&
         std::equal(context.end() - ptrdiff_t(needed), context.end(),
                    ids.end() - ptrdiff_t(needed));
}

} // namespace

TextEncoder::TextEncoder(const Tokenizer &tokenizer, std::string origin,
                         bool parseSpecial, int threads, Use use)
    : tokenizer(tokenizer), origin(std::move(origin)),
      parseSpecial(parseSpecial), threads(threads), use(std::move(use)) {}

void TextEncoder::append(std::string_view text) {
  constexpr size_t kEnough = kContextBytes + kPartBytes + kSearchBytes;
  while (!text.empty()) {
    const size_t part = std::min(text.size(), kEnough - open.text.size());
    open.text += text.substr(0, part);
    text.remove_prefix(part);
    if (open.text.size() == kEnough)
      closePart(placeToCut(open.text, open.context));
  }
}

void TextEncoder::endDocument() {
  open.ends = true;
  closePart(open.text.size());
}

/// What follows `at` begins the next part.
void TextEncoder::closePart(size_t at) {
  Part next;
  if (!open.ends) {
    size_t begin = at - std::min(at, kContextBytes);
    while (begin < at && isContinuation(open.text[begin]))
      ++begin;
    next.text = open.text.substr(begin);
    next.context = at - begin;
    open.text.resize(at);
  }
  batchBytes += open.text.size() + sizeof(Part); // texts may be empty
  batch.push_back(std::exchange(open, std::move(next)));
  if (batchBytes >= kBatchBytes * size_t(threads))
    encodeBatch();
}

void TextEncoder::finish() {
  encodeBatch();
  if (last)
    hand(*std::exchange(last, std::nullopt));
}

void TextEncoder::encode(Part &part) const {
  part.ids = tokenizer.encode(part.text, /*addSpecial=*/false, parseSpecial);
  if (part.context == 0)
    return;
  part.contextIds =
      tokenizer.encode(std::string_view(part.text).substr(0, part.context),
                       /*addSpecial=*/false, parseSpecial);
  part.begins = part.ids.size() >= part.contextIds.size() &&
                std::equal(part.contextIds.begin(), part.contextIds.end(),
                           part.ids.begin());
}

void TextEncoder::encodeBatch() {
  forkJoinRanges(threads, std::ssize(batch), [&](int64_t begin, int64_t end) {
    for (auto i = size_t(begin); i < size_t(end); ++i)
      encode(batch[i]);
  });
  for (Part &part : batch)
    join(std::move(part));
  batch.clear();
  batchBytes = 0;
}

void TextEncoder::join(Part next) {
  if (next.context > 0 &&
      (last->isStale ||
       !(next.begins && endsAlike(last->ids, next.contextIds)))) {
    last->text.append(next.text, next.context);
    last->ends = next.ends;
    const size_t bytes = last->text.size();
    // Encoded anew each time it is twice as long, so that a bad text costs
    // little more than a good one.
    last->isStale = !last->ends && bytes < last->least;
    if (!last->isStale && bytes <= kLongestPart) {
      encode(*last);
      last->least = 2 * bytes;
    }
    if (bytes > kLongestPart || !last->begins)
      throw Error(origin +
                  ": expected text that the tokenizer can cut, found "
                  "none in " +
                  std::to_string(kLongestPart >> 20) + " MiB");
    return;
  }
  if (last)
    hand(std::move(*last));
  last = std::move(next);
}

void TextEncoder::hand(Part part) {
  use(std::span(part.ids).subspan(part.contextIds.size()), part.ends);
}

} // namespace fairy2
