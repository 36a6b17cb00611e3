// SPDX-License-Identifier: Apache-2.0
//
// A SAX reader: it follows the path it is on and takes model.vocab and
// model.merges apart itself. Depth is bounded and a repeated key refused.
#include "runtime/text/tokenizer/TokenizerFile.h"

#include "runtime/support/Error.h"
#include "runtime/support/Words.h"

namespace fairy2::tokenizer {

class TokenizerFile::Reader final : public nlohmann::json_sax<nlohmann::json> {
public:
  Reader(TokenizerFile &file, const std::string &origin)
      : file(file), origin(origin) {}

  bool null() override { return value(nullptr, "nothing"); }
  bool boolean(bool v) override { return value(v, "true or false"); }
  bool number_integer(number_integer_t v) override { return number(v); }
  bool number_unsigned(number_unsigned_t v) override {
    return std::cmp_greater(v, INT64_MAX) ? number(double(v))
                                          : number(int64_t(v));
  }
  bool number_float(number_float_t v, const string_t &) override {
    return number(v);
  }

  bool string(string_t &v) override {
    switch (mode) {
    case Mode::Tree:
      break;
    case Mode::VocabularyArray:
      if (depth != 4 || position++ != 0)
        refuseElement("[piece, score] pairs", "a string");
      startPiece(v);
      return true;
    case Mode::Merges:
      if (depth == 3)
        splitMerge(v);
      else if (position++ < 2)
        addMergePart(v);
      else
        refuseElement("pairs of pieces", "more than two strings");
      return true;
    default:
      break;
    }
    return value(std::move(v), "a string");
  }
  bool binary(binary_t &) override { return false; } // not in JSON text

  bool start_object(size_t) override {
    enter();
    if (mode == Mode::Tree && atModel("vocab")) {
      mode = Mode::VocabularyObject;
      file.vocabularyKind = VocabularyKind::Ids;
      return true;
    }
    open(nlohmann::json::object(), "an object");
    return true;
  }
  bool key(string_t &v) override {
    if (mode == Mode::VocabularyObject) {
      startPiece(v);
      return true;
    }
    if (stack.back()->contains(v) || (depth == 2 && atModelKeySeen(v)))
      throw Error(origin + ": expected each key once, found " +
                  quoteName(v, '"') + " again in one object");
    path.back() = std::move(v);
    return true;
  }
  bool end_object() override { return close(); }

  bool start_array(size_t) override {
    enter();
    if (mode == Mode::Tree && atModel("vocab")) {
      mode = Mode::VocabularyArray;
      file.vocabularyKind = VocabularyKind::Scores;
    } else if (mode == Mode::Tree && atModel("merges")) {
      mode = Mode::Merges;
      file.hasMerges = true;
    } else if (depth == 4 &&
               (mode == Mode::VocabularyArray || mode == Mode::Merges)) {
      position = 0;
    } else {
      open(nlohmann::json::array(), "an array");
    }
    return true;
  }
  bool end_array() override {
    if (depth == 4 && mode == Mode::VocabularyArray && position != 2)
      refuseElement("[piece, score] pairs", "an incomplete one");
    if (depth == 4 && mode == Mode::Merges && position != 2)
      refuseElement("pairs of pieces", "an incomplete one");
    return close();
  }

  bool parse_error(size_t byte, const std::string &,
                   const nlohmann::json::exception &) override {
    throw Error(origin + ": expected valid JSON in UTF-8, found an error at " +
                "byte " + std::to_string(byte));
  }

private:
  enum class Mode { Tree, VocabularyObject, VocabularyArray, Merges };
  static constexpr size_t deepest = 64;

  /// Whether the value that begins here is the member `name` of "model".
  /// `depth` already counts it.
  bool atModel(std::string_view name) const {
    return depth == 3 && path[0] == "model" && path[1] == name &&
           stack.size() == 2 && stack[1]->is_object();
  }
  /// vocab and merges leave no trace in the tree, so look for them here.
  bool atModelKeySeen(std::string_view name) const {
    return path[0] == "model" &&
           ((name == "vocab" &&
             file.vocabularyKind != VocabularyKind::Missing) ||
            (name == "merges" && file.hasMerges));
  }

  void enter() {
    if (++depth > deepest)
      throw Error(origin + ": expected JSON of at most " +
                  std::to_string(deepest) + " levels, found more");
  }

  /// Puts a value where the path points; returns it.
  nlohmann::json &place(nlohmann::json &&v) {
    if (stack.empty())
      return file.rest = std::move(v);
    nlohmann::json &parent = *stack.back();
    if (parent.is_array()) {
      parent.push_back(std::move(v));
      return parent.back();
    }
    return parent[path.back()] = std::move(v);
  }
  void open(nlohmann::json &&container, const char *what) {
    if (mode != Mode::Tree)
      refuseElement(expectedHere(), what);
    stack.push_back(&place(std::move(container)));
    path.emplace_back();
  }
  bool close() {
    --depth;
    if (mode != Mode::Tree) {
      if (depth == 2)
        mode = Mode::Tree;
      return true;
    }
    stack.pop_back();
    path.pop_back();
    return true;
  }
  bool value(nlohmann::json &&v, const char *what) {
    if (mode != Mode::Tree)
      refuseElement(expectedHere(), what);
    place(std::move(v));
    return true;
  }
  template <typename T> bool number(T v) {
    if (mode == Mode::VocabularyObject) {
      if constexpr (std::is_same_v<T, int64_t>)
        file.pieces.back().id = v;
      else
        refuseElement("integer ids", "another number");
      return true;
    }
    if (mode == Mode::VocabularyArray && depth == 4 && position == 1) {
      ++position;
      file.pieces.back().score = double(v);
      return true;
    }
    return value(v, "a number");
  }

  const char *expectedHere() const {
    return mode == Mode::VocabularyObject  ? "integer ids"
           : mode == Mode::VocabularyArray ? "[piece, score] pairs"
                                           : "pairs of pieces";
  }
  [[noreturn]] void refuseElement(const std::string &expected,
                                  const std::string &found) const {
    const bool merges = mode == Mode::Merges;
    const size_t index =
        merges ? file.mergeLengths.size() / 2 : file.pieces.size();
    throw Error(origin + ": model." + (merges ? "merges" : "vocab") +
                ": expected " + expected + ", found " + found +
                " at or after entry " + std::to_string(index));
  }

  void startPiece(std::string_view piece) {
    file.pieceText += piece;
    file.pieces.push_back({piece.size(), int64_t(file.pieces.size()), 0});
  }
  void addMergePart(std::string_view part) {
    file.mergeText += part;
    file.mergeLengths.push_back(part.size());
  }
  void splitMerge(std::string_view merge) {
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos)
      refuseElement("two pieces with one space between", quoteName(merge, '"'));
    addMergePart(merge.substr(0, space));
    addMergePart(merge.substr(space + 1));
  }

  TokenizerFile &file;
  const std::string &origin;
  Mode mode = Mode::Tree;
  size_t depth = 0;    // of open objects and arrays
  size_t position = 0; // in the innermost pair of vocab or merges
  std::vector<nlohmann::json *> stack; // open containers of the tree
  std::vector<std::string> path;       // current key of each
};

TokenizerFile::TokenizerFile(std::string_view text, const std::string &origin) {
  constexpr size_t largest = size_t(256) << 20;
  if (text.size() > largest)
    throw Error(origin + ": expected at most 256 MiB, found " +
                std::to_string(text.size()) + " bytes");
  pieceText.reserve(text.size() / 4);
  Reader reader(*this, origin);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  if (!rest.is_object())
    throw Error(origin + ": expected a JSON object");
}

std::vector<TokenizerFile::Entry> TokenizerFile::vocabulary() const {
  std::vector<Entry> entries;
  entries.reserve(pieces.size());
  size_t offset = 0;
  for (const Piece &p : pieces) {
    entries.push_back(
        {std::string_view(pieceText).substr(offset, p.length), p.id, p.score});
    offset += p.length;
  }
  return entries;
}

std::vector<TokenizerFile::Merge> TokenizerFile::merges() const {
  std::vector<Merge> list;
  list.reserve(mergeLengths.size() / 2);
  const std::string_view text = mergeText;
  for (size_t i = 0, offset = 0; i + 1 < mergeLengths.size(); i += 2) {
    const size_t left = mergeLengths[i], right = mergeLengths[i + 1];
    list.push_back(
        {text.substr(offset, left), text.substr(offset + left, right)});
    offset += left + right;
  }
  return list;
}

} // namespace fairy2::tokenizer
