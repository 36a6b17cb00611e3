// SPDX-License-Identifier: Apache-2.0
//
// The file is one protobuf message (sentencepiece_model.proto); the few fields
// that matter are read from the wire format directly.
#include "runtime/text/tokenizer/SentencePiece.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/BpeModel.h"
#include "runtime/text/tokenizer/UnigramModel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace fairy2::tokenizer {
namespace {

constexpr std::string_view metaspace = "\xe2\x96\x81";

/// Goes through the fields of one protobuf message.
class Message {
public:
  Message(std::string_view bytes, const std::string &origin)
      : rest(bytes), origin(origin) {}

  /// Moves to the next field; false at the end. Throws Error.
  bool next() {
    if (rest.empty())
      return false;
    const uint64_t tag = varint();
    number = tag >> 3;
    switch (tag & 7) {
    case 0:
      value = varint();
      break;
    case 1:
      bytes = take(8);
      break;
    case 2:
      bytes = take(varint());
      break;
    case 5:
      bytes = take(4);
      break;
    default:
      broken();
    }
    wireType = tag & 7;
    return true;
  }

  uint64_t number = 0;

  /// The current field as the type the schema gives it.
  uint64_t integer() const { return wireType == 0 ? value : broken(); }
  bool boolean() const { return integer() != 0; }
  std::string_view string() const {
    if (wireType != 2)
      broken();
    return bytes;
  }
  float real() const {
    if (wireType != 5)
      broken();
    uint32_t bits = 0;
    for (int i = 3; i >= 0; --i)
      bits = bits << 8 | uint8_t(bytes[size_t(i)]);
    return std::bit_cast<float>(bits);
  }

private:
  [[noreturn]] uint64_t broken() const {
    throw Error(origin + ": expected a SentencePiece model, found a field that "
                         "is cut off or of another type");
  }
  uint64_t varint() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = uint8_t(take(1)[0]);
      result |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80)
        return result;
    }
    broken();
  }
  std::string_view take(uint64_t count) {
    if (count > rest.size())
      broken();
    const std::string_view taken = rest.substr(0, size_t(count));
    rest.remove_prefix(size_t(count));
    return taken;
  }

  std::string_view rest;
  const std::string &origin;
  uint64_t wireType = 0, value = 0;
  std::string_view bytes;
};

enum class PieceType : uint64_t {
  Normal = 1,
  Unknown,
  Control,
  UserDefined,
  Unused,
  Byte
};

/// The fields that matter, with the defaults of the schema.
struct ModelFile {
  struct Piece {
    std::string_view text;
    float score = 0;
    PieceType type = PieceType::Normal;
  };
  std::vector<Piece> pieces;
  uint64_t modelType = 1;
  bool byteFallback = false;
  bool whitespaceIsSuffix = false;
  std::string_view beginPiece = "<s>";
  bool hasCharacterMap = false;
  bool addDummyPrefix = true;
  bool removeExtraWhitespaces = true;
  bool escapeWhitespaces = true;

  ModelFile(std::string_view bytes, const std::string &origin);
};

ModelFile::ModelFile(std::string_view bytes, const std::string &origin) {
  for (Message file(bytes, origin); file.next();) {
    if (file.number > 3)
      continue;
    Message part(file.string(), origin);
    if (file.number == 1) {
      Piece piece;
      while (part.next())
        if (part.number == 1)
          piece.text = part.string();
        else if (part.number == 2)
          piece.score = part.real();
        else if (part.number == 3)
          piece.type = PieceType(part.integer());
      pieces.push_back(piece);
    } else if (file.number == 2) {
      while (part.next())
        if (part.number == 3)
          modelType = part.integer();
        else if (part.number == 24)
          whitespaceIsSuffix = part.boolean();
        else if (part.number == 35)
          byteFallback = part.boolean();
        else if (part.number == 46)
          beginPiece = part.string();
    } else {
      while (part.next())
        if (part.number == 2)
          hasCharacterMap = !part.string().empty();
        else if (part.number == 3)
          addDummyPrefix = part.boolean();
        else if (part.number == 4)
          removeExtraWhitespaces = part.boolean();
        else if (part.number == 5)
          escapeWhitespaces = part.boolean();
    }
  }
}

/// SentencePiece's own treatment of spaces; its character map is the identity.
class SpaceNormalizer final : public Normalizer {
public:
  explicit SpaceNormalizer(const ModelFile &file)
      : addDummyPrefix(file.addDummyPrefix),
        removeExtra(file.removeExtraWhitespaces),
        space(file.escapeWhitespaces ? metaspace : " ") {}

  void apply(std::string &text) const override {
    std::string_view rest = text;
    while (removeExtra && rest.starts_with(' '))
      rest.remove_prefix(1);
    std::string out;
    if (!rest.empty() && addDummyPrefix)
      out += space;
    bool afterSpace = removeExtra;
    for (char c : rest) {
      if (c != ' ')
        out += c;
      else if (!afterSpace)
        out += space;
      afterSpace = removeExtra && c == ' ';
    }
    // This may eat a metaspace of the text itself, or the prefix.
    while (removeExtra && out.ends_with(space))
      out.resize(out.size() - space.size());
    text = std::move(out);
  }

private:
  bool addDummyPrefix, removeExtra;
  std::string_view space;
};

Vocabulary readPieces(const ModelFile &file, const std::string &origin) {
  Vocabulary pieces;
  if (file.pieces.empty())
    throw Error(origin + ": expected a SentencePiece model, found no pieces");
  if (std::cmp_greater(file.pieces.size(), idLimit))
    throw Error(origin + ": expected at most " + std::to_string(idLimit) +
                " pieces, found " + std::to_string(file.pieces.size()));
  size_t total = 0;
  for (const ModelFile::Piece &piece : file.pieces) {
    const auto refuse = [&](const std::string &sentence) {
      throw Error(origin + ": pieces[" + std::to_string(pieces.end()) +
                  "]: " + sentence);
    };
    if (piece.text.empty() || piece.text.size() > longestPiece ||
        !isValidUtf8(piece.text))
      refuse("expected valid UTF-8 of 1 to " + std::to_string(longestPiece) +
             " bytes, found " + std::to_string(piece.text.size()) + " bytes");
    if (!std::isfinite(piece.score))
      refuse("expected a finite score");
    if (piece.type < PieceType::Normal || piece.type > PieceType::Byte)
      refuse("expected a type from 1 to 6, found " +
             std::to_string(uint64_t(piece.type)));
    total += piece.text.size();
    if (total > mostPieceBytes)
      refuse("expected at most " + std::to_string(mostPieceBytes) +
             " bytes in all pieces, found more");
    if (pieces.add(piece.text, int32_t(pieces.end())) != Vocabulary::Added::Yes)
      refuse("expected each piece once, found " + quoteName(piece.text, '"') +
             " again");
  }
  return pieces;
}

std::vector<int32_t> idsOfType(const ModelFile &file,
                               std::initializer_list<PieceType> types) {
  std::vector<int32_t> ids;
  for (size_t id = 0; id < file.pieces.size(); ++id)
    if (std::find(types.begin(), types.end(), file.pieces[id].type) !=
        types.end())
      ids.push_back(int32_t(id));
  return ids;
}

int32_t unknownId(const ModelFile &file, const std::string &origin) {
  const std::vector<int32_t> ids = idsOfType(file, {PieceType::Unknown});
  if (ids.size() != 1)
    throw Error(origin + ": expected one piece of the type unknown, found " +
                std::to_string(ids.size()));
  return ids[0];
}

/// Two pieces merge if what they spell together is a piece; its score ranks
/// the merge, and of equal ones the leftmost comes first.
std::unique_ptr<Model> makeBpe(const ModelFile &file, Vocabulary pieces,
                               const std::string &origin) {
  if (!idsOfType(file, {PieceType::Unused}).empty())
    throw Error(origin + ": a BPE model with unused pieces is not supported");
  BpeOptions options;
  options.unknown = unknownId(file, origin);
  options.fuseUnknown = true;
  options.byteFallback = file.byteFallback;
  auto bpe = std::make_unique<BpeModel>(std::move(pieces), std::move(options));

  std::vector<int32_t> byScore = idsOfType(file, {PieceType::Normal});
  std::sort(byScore.begin(), byScore.end(), [&](int32_t a, int32_t b) {
    const float left = file.pieces[size_t(a)].score;
    const float right = file.pieces[size_t(b)].score;
    return left != right ? left > right : a < b;
  });
  struct Pair {
    int32_t left, right;
    Merge merge;
  };
  std::vector<Pair> pairs;
  const auto normalId = [&](std::string_view text) {
    const int32_t id = bpe->vocabulary().find(text);
    return id >= 0 && file.pieces[size_t(id)].type == PieceType::Normal ? id
                                                                        : -1;
  };
  uint32_t rank = 0;
  for (size_t i = 0; i < byScore.size(); ++i) {
    const ModelFile::Piece &piece = file.pieces[size_t(byScore[i])];
    if (i && piece.score < file.pieces[size_t(byScore[i - 1])].score)
      ++rank;
    for (size_t at = codePointAt(piece.text.data()).length;
         at < piece.text.size();
         at += codePointAt(piece.text.data() + at).length) {
      const int32_t left = normalId(piece.text.substr(0, at));
      const int32_t right = normalId(piece.text.substr(at));
      if (left >= 0 && right >= 0)
        pairs.push_back({left, right, {rank, byScore[i]}});
    }
  }
  bpe->expectMerges(pairs.size());
  for (const Pair &pair : pairs)
    bpe->addMerge(pair.left, pair.right, pair.merge);

  std::vector<ByteTrie::Entry> whole;
  for (int32_t id : idsOfType(file, {PieceType::UserDefined}))
    whole.push_back({file.pieces[size_t(id)].text, id});
  bpe->setWholePieces(std::move(whole));
  return bpe;
}

std::unique_ptr<Model> makeUnigram(const ModelFile &file, Vocabulary pieces,
                                   const std::string &origin) {
  std::vector<double> scores;
  std::vector<bool> hidden;
  double worst = std::numeric_limits<float>::max();
  for (const ModelFile::Piece &piece : file.pieces)
    if (piece.type == PieceType::Normal)
      worst = std::min(worst, double(piece.score));
  // A user's own piece scores above all log probabilities. What is not looked
  // for must not change the score of unknown characters, which follows from the
  // worst.
  for (const ModelFile::Piece &piece : file.pieces) {
    const bool usersOwn = piece.type == PieceType::UserDefined;
    scores.push_back(piece.type == PieceType::Normal ? piece.score
                     : usersOwn ? 0.1 * (double(piece.text.size()) - 1)
                                : worst);
    hidden.push_back(piece.type != PieceType::Normal && !usersOwn);
  }
  return std::make_unique<UnigramModel>(std::move(pieces), std::move(scores),
                                        unknownId(file, origin),
                                        file.byteFallback, hidden, origin);
}

/// What Hugging Face adds when it converts such a file: control tokens are
/// found in text, BOS comes first, byte tokens become text again.
nlohmann::json makeRest(const ModelFile &file) {
  using nlohmann::json;
  json rest = {{"added_tokens", json::array()}};
  for (int32_t id : idsOfType(file, {PieceType::Unknown, PieceType::Control}))
    rest["added_tokens"].push_back({{"id", id},
                                    {"content", file.pieces[size_t(id)].text},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", true}});
  for (int32_t id : idsOfType(file, {PieceType::Control}))
    if (file.pieces[size_t(id)].text == file.beginPiece)
      rest["post_processor"] = {
          {"type", "TemplateProcessing"},
          {"single",
           {{{"SpecialToken", {{"id", "BOS"}, {"type_id", 0}}}},
            {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
          {"special_tokens", {{"BOS", {{"ids", {id}}}}}}};
  json decoders = json::array();
  if (file.escapeWhitespaces)
    decoders.push_back({{"type", "Replace"},
                        {"pattern", {{"String", metaspace}}},
                        {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (file.addDummyPrefix || file.removeExtraWhitespaces)
    decoders.push_back(
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  rest["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  return rest;
}

} // namespace

SentencePiece readSentencePiece(std::string_view bytes,
                                const std::string &origin) {
  const ModelFile file(bytes, origin);
  if (file.hasCharacterMap)
    throw Error(origin + ": normalizer_spec.precompiled_charsmap: a character "
                         "map is not supported, expected the normalizer "
                         "\"identity\"");
  if (file.whitespaceIsSuffix)
    throw Error(origin + ": trainer_spec.treat_whitespace_as_suffix is not "
                         "supported");
  Vocabulary pieces = readPieces(file, origin);
  SentencePiece result;
  if (file.modelType == 1)
    result.model = makeUnigram(file, std::move(pieces), origin);
  else if (file.modelType == 2)
    result.model = makeBpe(file, std::move(pieces), origin);
  else
    throw Error(origin +
                ": trainer_spec.model_type: expected 1 (unigram) or "
                "2 (bpe), found " +
                std::to_string(file.modelType));
  result.normalizer = std::make_unique<SpaceNormalizer>(file);
  result.rest = makeRest(file);
  return result;
}

} // namespace fairy2::tokenizer
