// SPDX-License-Identifier: Apache-2.0
//
// The file is one protobuf message (sentencepiece_model.proto); the few fields
// that matter are read from the wire format directly and written down as JSON.
#include "runtime/text/tokenizer/SentencePiece.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/Vocabulary.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>

namespace fairy2::tokenizer {
namespace {

using nlohmann::json;

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
  std::string_view beginPiece = "<s>", endPiece = "</s>";
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
        else if (part.number == 47)
          endPiece = part.string();
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

/// Throws Error unless every piece can be a token.
void checkPieces(const ModelFile &file, const std::string &origin) {
  if (file.pieces.empty())
    throw Error(origin + ": expected a SentencePiece model, found no pieces");
  if (std::cmp_greater(file.pieces.size(), idLimit))
    throw Error(origin + ": expected at most " + std::to_string(idLimit) +
                " pieces, found " + std::to_string(file.pieces.size()));
  Vocabulary pieces;
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
    if (pieces.add(piece.text, int32_t(pieces.end())) != Vocabulary::Added::Yes)
      refuse("expected each piece once, found " + quoteName(piece.text, '"') +
             " again");
  }
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

json makeModel(const ModelFile &file, const std::string &origin) {
  if (file.modelType != 1 && file.modelType != 2)
    throw Error(origin +
                ": trainer_spec.model_type: expected 1 (unigram) or "
                "2 (bpe), found " +
                std::to_string(file.modelType));
  if (file.modelType == 2 && !idsOfType(file, {PieceType::Unused}).empty())
    throw Error(origin + ": a BPE model with unused pieces is not supported");
  json vocabulary = json::array();
  for (const ModelFile::Piece &piece : file.pieces)
    vocabulary.push_back({piece.text, piece.score});
  return {{"type", "SentencePiece"},
          {"algorithm", file.modelType == 1 ? "unigram" : "bpe"},
          {"byte_fallback", file.byteFallback},
          {"unk_id", unknownId(file, origin)},
          {"user_defined", idsOfType(file, {PieceType::UserDefined})},
          {"hidden", idsOfType(file, {PieceType::Control, PieceType::Unused,
                                      PieceType::Byte})},
          {"vocab", std::move(vocabulary)}};
}

/// What Hugging Face adds when it converts such a file: control tokens are
/// found in text, and byte tokens become text again.
json makeAddedTokens(const ModelFile &file) {
  json tokens = json::array();
  for (int32_t id : idsOfType(file, {PieceType::Unknown, PieceType::Control}))
    tokens.push_back({{"id", id},
                      {"content", file.pieces[size_t(id)].text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}});
  return tokens;
}

json makeDecoder(const ModelFile &file) {
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
  return {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

/// The template that puts `begin` and `end` around a text, where not empty.
json makePostProcessor(const ModelFile &file,
                       const SentencePieceSettings &settings) {
  json single = json::array(), ids = json::object();
  const auto add = [&](std::string_view name) {
    for (int32_t id : idsOfType(file, {PieceType::Control}))
      if (file.pieces[size_t(id)].text == name) {
        single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
        ids[std::string(name)] = {{"ids", {id}}};
      }
  };
  if (settings.addBegin)
    add(file.beginPiece);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (settings.addEnd)
    add(file.endPiece);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"special_tokens", std::move(ids)}};
}

} // namespace

std::string sentencePieceToJson(std::string_view bytes,
                                const std::string &origin,
                                const SentencePieceSettings &settings) {
  ModelFile file(bytes, origin);
  file.addDummyPrefix &= settings.addPrefixSpace;
  if (file.hasCharacterMap)
    throw Error(origin + ": normalizer_spec.precompiled_charsmap: a character "
                         "map is not supported, expected the normalizer "
                         "\"identity\"");
  if (file.whitespaceIsSuffix)
    throw Error(origin + ": trainer_spec.treat_whitespace_as_suffix is not "
                         "supported");
  checkPieces(file, origin);
  json root = {{"version", "1.0"},
               {"added_tokens", makeAddedTokens(file)},
               {"post_processor", makePostProcessor(file, settings)},
               {"decoder", makeDecoder(file)},
               {"model", makeModel(file, origin)}};
  if (settings.legacy)
    root["normalizer"] = {
        {"type", "SentencePiece"},
        {"add_dummy_prefix", file.addDummyPrefix},
        {"remove_extra_whitespaces", file.removeExtraWhitespaces},
        {"escape_whitespaces", file.escapeWhitespaces}};
  else
    root["pre_tokenizer"] = {
        {"type", "Metaspace"},
        {"replacement", metaspace},
        {"prepend_scheme", file.addDummyPrefix ? "first" : "never"},
        {"split", false}};
  return root.dump();
}

} // namespace fairy2::tokenizer
