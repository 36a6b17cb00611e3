// SPDX-License-Identifier: Apache-2.0
//
// A run's identity: the recipe's keys that change its mathematics, the commit,
// and the SHA-256 of each file that is read.
#include "trainer/run/Fingerprint.h"

#include "frontend/TokenizerFolder.h"
#include "runtime/support/Error.h"
#include "trainer/data/TokenizedText.h"
#include "trainer/run/Sha256.h"
#include "trainer/run/SourceVersion.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <vector>

#include <sys/stat.h>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

/// Hashes of files by what stat() says of them: whoever changes a file changes
/// its time of change, which nobody can set.
class HashCache {
public:
  explicit HashCache(const fs::path &file) {
    std::ifstream stream(file);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    // What cannot be read is hashed again.
    known = nlohmann::json::parse(text, nullptr, false);
    if (!known.is_object())
      known = nlohmann::json::object();
  }

  std::string hashOf(const fs::path &path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0)
      throw Error(path.string() + ": cannot open: " + std::strerror(errno));
    const std::string key = fs::absolute(path).string();
    const nlohmann::json stamp = {status.st_dev,          status.st_ino,
                                  status.st_size,         status.st_mtim.tv_sec,
                                  status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                                  status.st_ctim.tv_nsec};
    if (const auto entry = known.find(key);
        entry != known.end() && entry->is_object() &&
        entry->value("stamp", nlohmann::json()) == stamp &&
        entry->value("sha256", nlohmann::json()).is_string())
      return used[key] = *entry, (*entry)["sha256"].get<std::string>();
    const std::string hash = sha256OfFile(path);
    used[key] = {{"stamp", stamp}, {"sha256", hash}};
    return hash;
  }

  const nlohmann::ordered_json &hashes() const { return used; }

private:
  nlohmann::json known;
  nlohmann::ordered_json used = nlohmann::ordered_json::object();
};

/// The files of a model's folder that decide what it computes, by name.
std::map<std::string, std::string>
hashesOfModel(const fs::path &folder, bool withWeights, HashCache &cache) {
  if (!fs::is_directory(folder))
    throw Error(folder.string() + ": expected a folder with a model");
  std::map<std::string, std::string> hashes;
  for (const auto &entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json" ||
        std::count(std::begin(kTokenizerFiles), std::end(kTokenizerFiles),
                   name) ||
        (withWeights && entry.path().extension() == ".safetensors"))
      hashes[name] = cache.hashOf(entry.path());
  }
  return hashes;
}

nlohmann::json hashesOfData(const fs::path &path, HashCache &cache) {
  // The index of tokenized text has its shards' hashes.
  if (TokenizedText::isFolder(path))
    return cache.hashOf(path / "index.json");
  // Megatron's index has its tokens beside it.
  if (path.extension() == ".idx")
    return {cache.hashOf(path),
            cache.hashOf(fs::path(path).replace_extension(".bin"))};
  return cache.hashOf(path);
}

/// The commit alone: what a dirty tree was is not known.
std::string commit() {
  const std::string version = sourceVersion();
  return version.substr(0, version.find("-dirty"));
}

/// Keys that are told by content below, or that leave the latents as they are.
constexpr const char *kUncounted[] = {"model",
                                      "initialize",
                                      "output",
                                      "teacher.model",
                                      "data.train",
                                      "data.validation",
                                      "data.validation_pieces",
                                      "train.save_every",
                                      "train.keep_last",
                                      "train.validate_every",
                                      "train.max_bad_steps",
                                      "train.sharding",
                                      "train.recompute",
                                      "train.batch_sequences",
                                      "train.accumulation",
                                      "export.form",
                                      "export.type"};

} // namespace

RunIdentity identityOf(const Recipe &recipe, int processes,
                       const fs::path &cacheFile) {
  HashCache cache(cacheFile);
  nlohmann::ordered_json parts = recipe.toJson();
  for (const char *key : kUncounted)
    parts.erase(key);
  // The sequences of a step may be divided in any way.
  parts["sequences of a step"] =
      recipe.train.batchSequences * recipe.train.accumulation * processes;
  parts["program"] = "fairy2-train " FAIRY2_VERSION;
  parts["commit"] = commit();
  parts["model"] =
      hashesOfModel(recipe.model, recipe.initialize == "checkpoint", cache);
  const bool grows = fs::is_directory(recipe.initialize);
  if (grows)
    parts["initialize"] = hashesOfModel(recipe.initialize, true, cache);
  else
    parts["initialize"] = recipe.initialize;
  if (fs::is_directory(recipe.teacher.model))
    parts["teacher.model"] = hashesOfModel(recipe.teacher.model, true, cache);
  for (size_t i = 0; i < recipe.data.train.size(); ++i) {
    const DataSource &source = recipe.data.train[i];
    parts["data.train[" + std::to_string(i) + "]"] = {
        {"sha256", hashesOfData(source.path, cache)},
        {"weight", source.weight},
        {"where", source.where}};
  }
  Sha256 hash;
  hash.add(parts.dump());
  return {parts, hash.finish(), cache.hashes()};
}

std::string differences(const nlohmann::json &before,
                        const nlohmann::json &now) {
  std::string text;
  const auto add = [&](const std::string &key) {
    const auto value = [&](const nlohmann::json &parts) {
      if (!parts.contains(key))
        return std::string("absent");
      const nlohmann::json &value = parts[key];
      const std::string shown = value.dump();
      return value.is_primitive() && shown.size() < 40 ? shown : "";
    };
    const std::string was = value(before), is = value(now);
    text += (text.empty() ? "" : ", ") + key +
            (was.empty() || is.empty() ? " differs"
                                       : " was " + was + " and is " + is);
  };
  for (const auto &[key, value] : now.items())
    if (!before.contains(key) || before[key] != value)
      add(key);
  for (const auto &[key, value] : before.items())
    if (!now.contains(key))
      add(key);
  return text;
}

} // namespace fairy2::trainer
