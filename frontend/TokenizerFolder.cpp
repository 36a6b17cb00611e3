// SPDX-License-Identifier: Apache-2.0
//
// Which files of a folder make its tokenizer, and how the small ones change
// the large one.
#include "frontend/TokenizerFolder.h"

#include "frontend/CompanionTokens.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/KnownPatterns.h"
#include "runtime/text/tokenizer/SentencePiece.h"

#include <algorithm>
#include <vector>

namespace fairy2 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kMaxTokenizerBytes = int64_t(64) << 20;

/// The files that hold vocabularies nobody here reads, or half of one.
std::vector<std::string> otherVocabularies(const fs::path &directory) {
  std::vector<std::string> names;
  for (const auto &entry : fs::directory_iterator(directory)) {
    const fs::path name = entry.path().filename();
    const std::string text = name.string();
    if (name.extension() == ".tiktoken" || name.extension() == ".model" ||
        text == "vocab.json" || text == "merges.txt" || text == "vocab.txt" ||
        text == "tekken.json" || text.starts_with("tokenizer.model"))
      names.push_back(text);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// tokenizer_class of tokenizer_config.json, or what transformers takes for the
/// model_type of config.json.
std::string tokenizerClass(const ModelFolder &model,
                           const CompanionFiles &files) {
  if (const json *name = files.config.find("tokenizer_class"); name) {
    std::string text = files.config.get()->string("tokenizer_class");
    if (text.ends_with("Fast"))
      text.resize(text.size() - 4);
    return text;
  }
  const OptionalJsonFile config(model, "config.json");
  if (!config.find("model_type"))
    return "";
  const std::string type = config.get()->string("model_type");
  if (type == "gpt2")
    return "GPT2Tokenizer";
  if (type == "qwen2" || type == "qwen3")
    return "Qwen2Tokenizer";
  return type;
}

json byteLevel(bool addPrefixSpace, bool useRegex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", addPrefixSpace},
          {"trim_offsets", true},
          {"use_regex", useRegex}};
}

/// The merges of a merges.txt as `tokenizers` reads it: two pieces a line.
json readMerges(const fs::path &path) {
  const std::string text = readTextFile(path, kMaxTokenizerBytes);
  json merges = json::array();
  size_t number = 0;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    ++number;
    if (line.empty() || line.starts_with("#version"))
      continue;
    const size_t space = line.find(' ');
    if (space == line.npos || line.find(' ', space + 1) != line.npos)
      throw Error(path.string() + ": line " + std::to_string(number) +
                  ": expected two pieces with one space between, found " +
                  quoteName(line));
    merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return merges;
}

/// The template that begins or ends a text with a token, where the config asks
/// for it.
json makePostProcessor(const CompanionFiles &files, const json &vocabulary,
                       const json &specialTokens) {
  json single = json::array(), ids = json::object();
  const auto add = [&](const char *flag, const char *role) {
    if (!files.config.get() || !files.config.get()->boolean(flag, false) ||
        !specialTokens.contains(role))
      return;
    const std::string content = specialTokens[role];
    if (!vocabulary.contains(content))
      files.config.get()->fail(flag, "expected " + std::string(role) + " " +
                                         quoteName(content) + " in vocab.json");
    single.push_back({{"SpecialToken", {{"id", content}, {"type_id", 0}}}});
    ids[content] = {{"ids", {vocabulary[content]}}};
  };
  add("add_bos_token", "bos_token");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("add_eos_token", "eos_token");
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"special_tokens", std::move(ids)}};
}

/// The byte-level BPE of GPT-2 or Qwen2 in the two files of old.
void readByteLevel(const ModelFolder &model, const CompanionFiles &files,
                   TokenizerFolder &folder) {
  const std::string name = tokenizerClass(model, files);
  const bool isQwen = name == "Qwen2Tokenizer";
  if (!isQwen && name != "GPT2Tokenizer" && name != "CodeGenTokenizer")
    throw Error(model.path().string() +
                ": vocab.json and merges.txt: expected the tokenizer_class "
                "GPT2Tokenizer, CodeGenTokenizer or Qwen2Tokenizer in "
                "tokenizer_config.json, found " +
                (name.empty() ? "none" : quoteName(name)));
  for (const char *role :
       isQwen ? std::initializer_list<const char *>{"eos_token", "unk_token",
                                                    "pad_token"}
              : std::initializer_list<const char *>{"bos_token", "eos_token",
                                                    "unk_token"})
    if (!files.names(role))
      folder.specialTokens[role] = "<|endoftext|>";
  const bool addPrefixSpace =
      files.config.get() &&
      files.config.get()->boolean("add_prefix_space", false);
  JsonLimits limits;
  limits.bytes = kMaxTokenizerBytes;
  json vocabulary = readJson(model.file("vocab.json"), limits);
  json root = {
      {"version", "1.0"},
      {"post_processor",
       makePostProcessor(files, vocabulary, folder.specialTokens)},
      {"decoder", byteLevel(true, true)},
      {"model",
       {{"type", "BPE"}, {"merges", readMerges(model.file("merges.txt"))}}}};
  root["model"]["vocab"] = std::move(vocabulary);
  if (isQwen) {
    root["normalizer"] = {{"type", "NFC"}};
    root["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {{{"type", "Split"},
                                {"pattern", {{"Regex", tokenizer::qwen2Regex}}},
                                {"behavior", "Isolated"},
                                {"invert", false}},
                               byteLevel(addPrefixSpace, false)}}};
  } else {
    root["pre_tokenizer"] = byteLevel(addPrefixSpace, true);
  }
  folder.json = root.dump();
}

/// Llama 3's first files are tiktoken's: a piece in base64 and its rank a line.
bool looksLikeTiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const size_t space = line.find(' ');
  return space != line.npos && space > 0 && space + 1 < line.size() &&
         line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                "uvwxyz0123456789+/=") == space &&
         line.find_first_not_of("0123456789\r", space + 1) == line.npos;
}

void readSentencePiece(const CompanionFiles &files, TokenizerFolder &folder) {
  const std::string bytes = readWholeFile(folder.origin, kMaxTokenizerBytes);
  if (looksLikeTiktoken(bytes))
    throw Error(folder.origin + ": expected a SentencePiece model, found a "
                                "vocabulary of tiktoken, which is not "
                                "supported; a tokenizer.json beside it is");
  tokenizer::SentencePieceSettings settings;
  if (const JsonObject *config = files.config.get()) {
    settings.legacy = config->boolean("legacy", true);
    settings.addPrefixSpace = config->boolean("add_prefix_space", true);
    settings.addBegin = config->boolean("add_bos_token", true);
    settings.addEnd = config->boolean("add_eos_token", false);
  }
  folder.json = tokenizer::sentencePieceToJson(bytes, folder.origin, settings);
}

} // namespace

TokenizerFolder readTokenizerFolder(const ModelFolder &model) {
  const CompanionFiles files(model);
  TokenizerFolder folder;
  folder.specialTokens = files.specialTokens();
  const auto open = [&](const char *name) {
    if (!model.has(name))
      return false;
    folder.origin = model.file(name).string();
    return true;
  };
  bool hasNormalizedTokens = true;
  if (open("tokenizer.json")) {
    folder.json = readTextFile(folder.origin, kMaxTokenizerBytes);
  } else if (open("tokenizer.model")) {
    readSentencePiece(files, folder);
    hasNormalizedTokens = false;
  } else if (model.has("merges.txt") && open("vocab.json")) {
    readByteLevel(model, files, folder);
  } else {
    std::string names;
    for (const std::string &name : otherVocabularies(model.path()))
      names += (names.empty() ? "" : ", ") + quoteName(name);
    if (!names.empty())
      throw Error(model.path().string() +
                  ": expected tokenizer.json, tokenizer.model, or vocab.json "
                  "and merges.txt, found " +
                  names);
    return folder;
  }
  addCompanionTokens(files, folder.specialTokens, hasNormalizedTokens,
                     folder.origin, folder.json);
  return folder;
}

} // namespace fairy2
