// SPDX-License-Identifier: Apache-2.0
//
// Lines to questions, and a question's choices to tokens.
#include "runtime/tasks/Questions.h"

#include "runtime/support/Documents.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Utf8.h"
#include "runtime/text/jinja/Text.h"

#include <charconv>
#include <filesystem>
#include <optional>
#include <sstream>

namespace fairy2 {
namespace {

namespace fs = std::filesystem;

/// The second file of a task, a label in each line; nothing where it is absent.
class LabelFile {
public:
  LabelFile(const Task &task, const fs::path &documents) {
    if (task.labelFile.empty())
      return;
    fs::path stem = documents;
    if (stem.extension() == ".zst")
      stem.replace_extension();
    stem.replace_extension();
    path = stem.string() + std::string(task.labelFile);
    if (fs::exists(path))
      lines.emplace(readTextFile(path, int64_t(64) << 20));
  }

  /// The label of the next document, if there is such a file.
  std::optional<int64_t> next() {
    if (!lines)
      return std::nullopt;
    ++number;
    std::string line;
    int64_t label = 0;
    if (!std::getline(*lines, line))
      throw Error(path + ": expected a label for each document, found " +
                  std::to_string(number - 1));
    const auto read =
        std::from_chars(line.data(), line.data() + line.size(), label);
    if (read.ec != std::errc() ||
        line.find_first_not_of(" \t\r", size_t(read.ptr - line.data())) !=
            line.npos)
      throw Error(path + ":" + std::to_string(number) +
                  ": expected a number, found " + nlohmann::json(line).dump());
    return label;
  }

private:
  std::string path;
  std::optional<std::istringstream> lines;
  int64_t number = 0;
};

/// How many bytes of blanks end a text, as str.rstrip counts them.
size_t blanksAtEnd(const std::string &text) {
  size_t begin = text.size();
  while (begin > 0) {
    const CodePoint last = codePointBefore(text.data() + begin);
    if (!jinja::isSpace(last.value))
      break;
    begin -= last.length;
  }
  return text.size() - begin;
}

std::vector<int32_t> encode(const std::string &text, const Tokenizer &tokenizer,
                            const Manifest &manifest, BosRule rule) {
  const auto spelled = manifest.specialTokens.find("bos_token");
  const bool begins = spelled != manifest.specialTokens.end() &&
                      !spelled->second.empty() &&
                      text.starts_with(spelled->second);
  std::vector<int32_t> ids =
      tokenizer.encode(text, rule != BosRule::Never && !begins);
  if (rule == BosRule::Always) {
    if (!manifest.bosToken)
      throw Error("manifest.model.bos_token: expected one to begin each text "
                  "with, found none");
    if (ids.empty() || ids.front() != *manifest.bosToken)
      ids.insert(ids.begin(), *manifest.bosToken);
  }
  return ids;
}

int32_t prefixOf(const Manifest &manifest) {
  if (manifest.bosToken)
    return *manifest.bosToken;
  if (manifest.eosTokens.empty())
    throw Error("manifest.model: expected bos_token or eos_tokens to stand for "
                "an empty context, found neither");
  return manifest.eosTokens.front();
}

} // namespace

void readQuestions(const Task &task, const std::string &path, int64_t limit,
                   const UseQuestion &use) {
  LabelFile labels(task, path);
  readRecords(path,
              [&](const nlohmann::json &record, const std::string &place) {
                JsonField(record, place).requireObject();
                nlohmann::json labelled = record;
                if (const std::optional<int64_t> label = labels.next())
                  labelled.emplace("label", *label); // if it has none
                use(task.read({labelled, place, "", JsonStyle::Fields}), place);
                return --limit != 0;
              });
}

const char *nameOf(BosRule rule) {
  switch (rule) {
  case BosRule::Tokenizer:
    return "tokenizer";
  case BosRule::Never:
    return "never";
  case BosRule::Always:
    return "always";
  }
  return "";
}

ScoredTokens encodeChoice(const Choice &choice, const Tokenizer &tokenizer,
                          const Manifest &manifest, BosRule rule) {
  ScoredTokens tokens;
  if (choice.context.empty()) {
    tokens.ids = tokenizer.encode(choice.continuation, /*addSpecial=*/false);
    tokens.scored = tokens.ids.size();
    tokens.ids.insert(tokens.ids.begin(), prefixOf(manifest));
  } else {
    const size_t context = choice.context.size() - blanksAtEnd(choice.context);
    tokens.ids =
        encode(choice.context + choice.continuation, tokenizer, manifest, rule);
    const size_t before =
        encode(choice.context.substr(0, context), tokenizer, manifest, rule)
            .size();
    tokens.scored = tokens.ids.size() - std::min(before, tokens.ids.size());
    // A context of no token leaves nothing that predicts the first one.
    if (tokens.scored == tokens.ids.size())
      tokens.ids.insert(tokens.ids.begin(), prefixOf(manifest));
  }
  if (tokens.scored == 0)
    throw Error("expected an answer of at least one token after the context, "
                "found none");
  return tokens;
}

} // namespace fairy2
