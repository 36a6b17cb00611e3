// SPDX-License-Identifier: Apache-2.0
//
// Puts the parts together: added tokens, normalizer, pre-tokenizer, model,
// post-processor on the way in; vocabulary and decoder on the way out.
#include "runtime/text/Tokenizer.h"

#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/AddedTokens.h"
#include "runtime/text/tokenizer/Decoder.h"
#include "runtime/text/tokenizer/Model.h"
#include "runtime/text/tokenizer/Normalizer.h"
#include "runtime/text/tokenizer/PostProcessor.h"
#include "runtime/text/tokenizer/PreTokenizer.h"

#include <algorithm>

namespace fairy2 {
namespace tokenizer {
namespace {

class FileTokenizer final : public Tokenizer {
public:
  /// `rest` holds the tokens that are added, "post_processor" and "decoder".
  /// Throws Error.
  FileTokenizer(std::unique_ptr<Model> model,
                std::unique_ptr<Normalizer> normalizer,
                std::unique_ptr<PreTokenizer> preTokenizer,
                const JsonField &rest);

  std::vector<int32_t> encode(std::string_view text, bool addSpecial,
                              bool parseSpecial) const override;
  const Frame &frame() const override { return postProcessor.frame(); }
  std::vector<int32_t>
  encodeMixed(std::string_view text,
              std::span<const ByteRange> untrusted) const override;
  std::string decode(std::span<const int32_t> ids,
                     bool skipSpecial) const override;
  std::string bytesOf(int32_t id) const override;
  int64_t vocabSize() const override { return end; }
  int32_t idOf(std::string_view token) const override {
    const AddedToken *added = addedTokens.find(token);
    return added ? added->id : model->vocabulary().find(token);
  }
  bool isSpecial(int32_t id) const override {
    const AddedToken *added = addedTokens.find(id);
    return added && added->special;
  }
  std::unique_ptr<Decoding> startDecoding(bool skipSpecial) const override;

private:
  class DecodingState;
  void encodeSegment(std::string_view text, bool startsInput,
                     std::span<const ByteRange> untrusted, WordCache &cache,
                     std::vector<int32_t> &ids) const;

  std::unique_ptr<Model> model;
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> preTokenizer;
  bool modelTakesBytes = false;
  AddedTokens addedTokens;
  int64_t end;
  PostProcessor postProcessor;
  std::unique_ptr<Decoder> decoder;
};

int64_t endOfIds(const Vocabulary &pieces, const AddedTokens &added) {
  int64_t end = pieces.end();
  for (const AddedToken &token : added.all())
    end = std::max<int64_t>(end, token.id + 1);
  return end;
}

FileTokenizer::FileTokenizer(std::unique_ptr<Model> theModel,
                             std::unique_ptr<Normalizer> theNormalizer,
                             std::unique_ptr<PreTokenizer> thePreTokenizer,
                             const JsonField &rest)
    : model(std::move(theModel)), normalizer(std::move(theNormalizer)),
      preTokenizer(std::move(thePreTokenizer)),
      addedTokens(rest, model->vocabulary(), normalizer.get()),
      end(endOfIds(model->vocabulary(), addedTokens)),
      postProcessor(rest["post_processor"], end),
      decoder(readDecoder(rest["decoder"])) {
  std::vector<bool> special(size_t(end), false);
  for (const AddedToken &token : addedTokens.all())
    special[size_t(token.id)] = token.special;
  model->setSpecial(std::move(special));
  modelTakesBytes =
      preTokenizer && preTokenizer->endsInBytes() && model->takeBytes();
}

std::vector<int32_t> FileTokenizer::encode(std::string_view text,
                                           bool addSpecial,
                                           bool parseSpecial) const {
  std::string repaired;
  if (!isValidUtf8(text)) {
    repaired = replaceInvalidUtf8(text);
    text = repaired;
  }
  const ByteRange whole = {0, text.size()};
  std::vector<int32_t> ids =
      encodeMixed(text, std::span(&whole, parseSpecial ? 0 : 1));
  if (addSpecial) {
    const auto &[before, after] = frame();
    ids.insert(ids.begin(), before.begin(), before.end());
    ids.insert(ids.end(), after.begin(), after.end());
  }
  return ids;
}

/// The parts of `ranges` inside [begin, end), counted from `begin`.
std::vector<ByteRange> clip(std::span<const ByteRange> ranges, size_t begin,
                            size_t end) {
  std::vector<ByteRange> parts;
  for (const ByteRange &range : ranges)
    if (range.begin < end && range.end > begin)
      parts.push_back({std::max(range.begin, begin) - begin,
                       std::min(range.end, end) - begin});
  return parts;
}

std::vector<int32_t>
FileTokenizer::encodeMixed(std::string_view text,
                           std::span<const ByteRange> untrusted) const {
  std::vector<int32_t> ids;
  WordCache cache;
  std::vector<Segment> segments;
  addedTokens.split(text, false, untrusted, segments);
  for (const Segment &segment : segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    const size_t begin = size_t(segment.text.data() - text.data());
    const size_t end = begin + segment.text.size();
    while (!untrusted.empty() && untrusted.front().end <= begin)
      untrusted = untrusted.subspan(1);
    size_t count = 0;
    while (count < untrusted.size() && untrusted[count].begin < end)
      ++count;
    const std::vector<ByteRange> parts =
        clip(untrusted.first(count), begin, end);
    if (!normalizer || !addedTokens.hasNormalizedSpecial()) {
      encodeSegment(segment.text, begin == 0, parts, cache, ids);
      continue;
    }
    // Normalization loses track of what is trusted, and tokens are looked for
    // after it, so it gets parts that are wholly trusted or not at all.
    size_t at = 0;
    const auto encodePart = [&](size_t next, std::span<const ByteRange> range) {
      if (next > at)
        encodeSegment(segment.text.substr(at, next - at), begin + at == 0,
                      range, cache, ids);
      at = next;
    };
    for (const ByteRange &part : parts) {
      encodePart(part.begin, {});
      const ByteRange whole = {0, part.end - part.begin};
      encodePart(part.end, {&whole, 1});
    }
    encodePart(segment.text.size(), {});
  }
  return ids;
}

/// Encodes text between added tokens that are matched before normalization; a
/// stretch that touches an `untrusted` range of it yields no special token.
void FileTokenizer::encodeSegment(std::string_view text, bool startsInput,
                                  std::span<const ByteRange> untrusted,
                                  WordCache &cache,
                                  std::vector<int32_t> &ids) const {
  std::string normalized;
  ByteRange whole;
  if (normalizer) {
    normalized = text;
    normalizer->apply(normalized);
    text = normalized;
    whole = {0, text.size()};
    untrusted = std::span(&whole, untrusted.empty() ? 0 : 1);
  }
  std::vector<Segment> segments;
  addedTokens.split(text, true, untrusted, segments);
  for (const Segment &segment : segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    const size_t begin = size_t(segment.text.data() - text.data());
    while (!untrusted.empty() && untrusted.front().end <= begin)
      untrusted = untrusted.subspan(1);
    const bool isTrusted = untrusted.empty() || untrusted.front().begin >=
                                                    begin + segment.text.size();
    Pieces pieces(segment.text, startsInput && begin == 0);
    if (modelTakesBytes)
      preTokenizer->applyToBytes(pieces);
    else if (preTokenizer)
      preTokenizer->apply(pieces);
    for (size_t i = 0; i < pieces.size(); ++i)
      model->encode(pieces[i], !isTrusted, cache, ids);
  }
}

class FileTokenizer::DecodingState final : public Decoding {
public:
  DecodingState(const FileTokenizer &tokenizer, bool skipSpecial)
      : tokenizer(tokenizer), skipSpecial(skipSpecial),
        stage(tokenizer.decoder->open(sink)) {}

  void next(int32_t id, std::string &text) override {
    if (const AddedToken *added = tokenizer.addedTokens.find(id)) {
      // As in `tokenizers`, a token that normalization changed is not skipped.
      if (skipSpecial && added->special && added->text == added->content)
        return;
      stage->append(added->text);
    } else {
      const Vocabulary &pieces = tokenizer.model->vocabulary();
      if (!pieces.contains(id))
        return;
      stage->append(pieces.piece(id));
    }
    stage->endToken();
    text += sink.text;
    sink.text.clear();
  }
  void finish(std::string &text) override {
    stage->finish();
    text += sink.text;
    sink.text.clear();
  }

private:
  struct Collector final : TokenSink {
    void append(std::string_view chunk) override { text += chunk; }
    void endToken() override {}
    void finish() override {}
    std::string text;
  };
  const FileTokenizer &tokenizer;
  bool skipSpecial;
  Collector sink;
  std::unique_ptr<TokenSink> stage;
};

std::string FileTokenizer::bytesOf(int32_t id) const {
  std::string token;
  if (const AddedToken *added = addedTokens.find(id)) {
    if (added->special)
      return added->content;
    token = added->text;
  } else if (model->vocabulary().contains(id)) {
    token = model->vocabulary().piece(id);
  } else {
    return token;
  }
  decoder->convert(token);
  return token;
}

std::unique_ptr<Tokenizer::Decoding>
FileTokenizer::startDecoding(bool skipSpecial) const {
  return std::make_unique<DecodingState>(*this, skipSpecial);
}

std::string FileTokenizer::decode(std::span<const int32_t> ids,
                                  bool skipSpecial) const {
  DecodingState state(*this, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    state.next(id, text);
  state.finish(text);
  return text;
}

} // namespace
} // namespace tokenizer

std::unique_ptr<Tokenizer> Tokenizer::fromJson(std::string_view json,
                                               const std::string &origin) {
  using namespace tokenizer;
  const TokenizerFile file(json, origin);
  const JsonField root(file.rest, origin);
  // Truncation and padding are the caller's to ask for, as with transformers.
  root.requireKeys({"version", "truncation", "padding", "added_tokens",
                    "companion_tokens", "normalizer", "pre_tokenizer",
                    "post_processor", "decoder", "model"});
  return std::make_unique<FileTokenizer>(
      readModel(file, root, origin), readNormalizer(root["normalizer"]),
      readPreTokenizer(root["pre_tokenizer"]), root);
}

} // namespace fairy2
