// SPDX-License-Identifier: Apache-2.0
//
// Follows transformers (4.57 and 5.24 agree): tokens of added_tokens_decoder by
// id, then those with a role, then additional ones; the tokenizer numbers them.
#include "frontend/CompanionTokens.h"

#include "runtime/support/Error.h"
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/TokenizerFile.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <unordered_map>

namespace fairy2 {
namespace {

using nlohmann::json;

/// What a chat template may ask for by name, in the order of transformers.
constexpr const char *kRoles[] = {"bos_token", "eos_token", "unk_token",
                                  "sep_token", "pad_token", "cls_token",
                                  "mask_token"};
/// Lists of special tokens without a role: the old and the new name.
constexpr const char *kLists[] = {"additional_special_tokens",
                                  "extra_special_tokens"};
constexpr const char *kFlags[] = {"single_word", "lstrip", "rstrip",
                                  "normalized", "special"};

/// A token of the form {"content": .., flags}, with transformers' defaults.
json readToken(const JsonObject &object, bool special) {
  special = object.boolean("special", special);
  json token = {{"content", object.string("content")},
                {"normalized", object.boolean("normalized", !special)},
                {"special", special}};
  for (const char *flag : {"single_word", "lstrip", "rstrip"})
    token[flag] = object.boolean(flag, false);
  return token;
}

json specialToken(const std::string &content) {
  return {{"content", content},   {"normalized", false}, {"special", true},
          {"single_word", false}, {"lstrip", false},     {"rstrip", false}};
}

/// A special token of `file`, given by its text or as an object.
json readSpecial(const JsonObject &file, const json &value,
                 const std::string &key) {
  if (value.is_string())
    return specialToken(value.get<std::string>());
  json token = readToken(JsonObject(value, file.file(), key), true);
  token["special"] = true;
  return token;
}

/// Gathers the tokens that a tokenizer lacks and numbers them as it will.
class Gathering {
public:
  Gathering(const std::string &json, const std::string &origin)
      : file(json, origin), pieces(file.vocabulary()) {
    for (const auto &piece : pieces)
      vocabulary.emplace(piece.piece, piece.id);
    nextId = int64_t(vocabulary.size());
    if (!file.rest.contains("added_tokens") ||
        !file.rest["added_tokens"].is_array())
      return;
    for (const nlohmann::json &token : file.rest["added_tokens"])
      if (token.is_object() && token.contains("content") &&
          token["content"].is_string()) {
        remember(token);
        if (token.contains("id") && token["id"].is_number_integer())
          ids.insert(token["id"].get<int64_t>());
      }
  }

  bool has(const std::string &content) const { return known.contains(content); }
  bool hasAddedId(int64_t id) const { return ids.contains(id); }

  /// Adds a token unless there is one alike; `id` is what the file `from` says.
  void add(nlohmann::json token, std::optional<int64_t> id,
           const std::string &from) {
    const std::string content = token["content"];
    if (content.empty())
      return;
    if (const auto found = known.find(content);
        found != known.end() &&
        std::all_of(std::begin(kFlags), std::end(kFlags),
                    [&](auto flag) {
                      return found->second.contains(flag) &&
                             found->second[flag] == token[flag];
                    }) &&
        (!id || found->second["id"] == *id))
      return;
    token["origin"] = from;
    token["id"] = id ? *id : idFor(content);
    remember(token);
    list.push_back(std::move(token));
  }

  const nlohmann::json &tokens() const { return list; }

private:
  int64_t idFor(const std::string &content) const {
    if (const auto found = known.find(content); found != known.end())
      return found->second["id"];
    const auto piece = vocabulary.find(content);
    return piece != vocabulary.end() ? piece->second : nextId;
  }
  void remember(const nlohmann::json &token) {
    const std::string content = token["content"];
    if (!known.contains(content) && !vocabulary.contains(content))
      ++nextId;
    known[content] = token;
  }

  const tokenizer::TokenizerFile file;
  const std::vector<tokenizer::TokenizerFile::Entry> pieces;
  std::unordered_map<std::string_view, int64_t> vocabulary;
  std::unordered_map<std::string, nlohmann::json> known;
  std::set<int64_t> ids; ///< of the tokenizer's own added tokens
  int64_t nextId;
  nlohmann::json list = nlohmann::json::array();
};

std::string place(const JsonObject &file, const std::string &field) {
  return file.file() + ": field '" + field + "'";
}

/// added_tokens_decoder of tokenizer_config.json, in the order of its ids.
void addDecoder(const CompanionFiles &files, const std::set<std::string> &roles,
                Gathering &gathering) {
  const JsonObject &config = *files.config.get();
  const JsonObject decoder = *config.object("added_tokens_decoder");
  std::map<int64_t, json> byId;
  for (const auto &[key, value] : decoder.value().items()) {
    int64_t id = 0;
    const auto [end, error] =
        std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      config.fail("added_tokens_decoder",
                  "expected ids as names, found " + quoteName(key));
    byId[id] = readToken(
        JsonObject(value, config.file(), "added_tokens_decoder." + key), false);
  }
  for (auto &[id, token] : byId) {
    if (roles.contains(token["content"].get<std::string>()))
      token["special"] = true;
    gathering.add(token, id,
                  place(config, "added_tokens_decoder." + std::to_string(id)));
  }
}

/// added_tokens.json: ids by content.
void addOldFile(const JsonObject &file, const std::set<std::string> &special,
                bool normalized, Gathering &gathering) {
  std::map<int64_t, std::string> byId;
  for (const auto &[content, value] : file.value().items())
    byId[file.integer(content, 0, INT32_MAX)] = content;
  for (const auto &[id, content] : byId) {
    // The tokenizer's own token of that id counts.
    if (gathering.hasAddedId(id))
      continue;
    json token = specialToken(content);
    token["special"] = special.contains(content);
    token["normalized"] = normalized && !special.contains(content);
    gathering.add(std::move(token), id, place(file, content));
  }
}

} // namespace

OptionalJsonFile::OptionalJsonFile(const ModelFolder &folder,
                                   const char *name) {
  if (!folder.has(name))
    return;
  const std::filesystem::path file = folder.file(name);
  root = readJson(file);
  members.emplace(root, file.string());
}

CompanionFiles::CompanionFiles(const ModelFolder &folder)
    : config(folder, "tokenizer_config.json") {
  if (config.find("added_tokens_decoder"))
    return;
  map.emplace(folder, "special_tokens_map.json");
  added.emplace(folder, "added_tokens.json");
}

bool CompanionFiles::names(const char *role) const {
  const auto has = [&](const JsonObject *file) {
    return file && file->value().contains(role);
  };
  return has(config.get()) || (map && has(map->get()));
}

json CompanionFiles::specialTokens() const {
  json texts = json::object();
  const auto addFrom = [&](const OptionalJsonFile &file) {
    for (const char *role : kRoles)
      if (const json *value = file.find(role))
        texts[role] = value->is_object()
                          ? file.get()->object(role)->string("content")
                          : file.get()->string(role);
  };
  addFrom(config);
  if (map)
    addFrom(*map);
  return texts;
}

void addCompanionTokens(const CompanionFiles &files, const json &specialTokens,
                        bool normalized, const std::string &origin,
                        std::string &text) {
  Gathering gathering(text, origin);
  std::set<std::string> roles;
  for (const auto &[role, content] : specialTokens.items())
    roles.insert(content.get<std::string>());

  // The map, where it counts, is newer than the config.
  std::vector<const JsonObject *> sources;
  for (const OptionalJsonFile *file :
       {files.map ? &*files.map : nullptr, &files.config})
    if (file && file->get())
      sources.push_back(file->get());
  struct Named {
    json token;
    std::string from;
  };
  std::vector<Named> named;
  for (const char *role : kRoles) {
    if (!specialTokens.contains(role))
      continue;
    const auto source =
        std::find_if(sources.begin(), sources.end(),
                     [&](const JsonObject *file) { return file->find(role); });
    if (source == sources.end())
      named.push_back({specialToken(specialTokens[role]), origin});
    else
      named.push_back({readSpecial(**source, *(*source)->find(role), role),
                       place(**source, role)});
  }
  std::set<std::string> special = roles;
  for (const char *list : kLists) {
    const auto source =
        std::find_if(sources.begin(), sources.end(),
                     [&](const JsonObject *file) { return file->find(list); });
    if (source == sources.end())
      continue;
    const json &values = *(*source)->find(list);
    if (!values.is_array() && !values.is_object())
      (*source)->failExpected(list, "a list of tokens", values);
    for (const auto &[key, value] : values.items()) {
      const std::string field = std::string(list) + "." + key;
      if (!value.is_string() && !value.is_object())
        (*source)->failExpected(field, "a token", value);
      named.push_back(
          {readSpecial(**source, value, field), place(**source, field)});
      special.insert(named.back().token["content"].get<std::string>());
    }
  }

  if (files.config.find("added_tokens_decoder"))
    addDecoder(files, roles, gathering);
  if (files.added && files.added->get())
    addOldFile(*files.added->get(), special, normalized, gathering);
  for (Named &entry : named)
    if (!gathering.has(entry.token["content"]))
      gathering.add(std::move(entry.token), std::nullopt, entry.from);

  if (gathering.tokens().empty())
    return;
  // The tokenizer's text itself stays as it is: parsing it into a tree and
  // writing it anew could change what its vocabulary says twice.
  const size_t begin = text.find('{') + 1;
  const bool isEmpty = text[text.find_first_not_of(" \t\r\n", begin)] == '}';
  text.insert(begin, "\"companion_tokens\":" + gathering.tokens().dump() +
                         (isEmpty ? "" : ","));
}

} // namespace fairy2
