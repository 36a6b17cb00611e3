// SPDX-License-Identifier: Apache-2.0
//
// A list of causes with their hashes, hashed in turn.
#include "trainer/run/Fingerprint.h"

#include "runtime/support/Error.h"
#include "trainer/data/TokenizedText.h"
#include "trainer/run/Sha256.h"

#include <algorithm>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

/// The files of a model's folder that decide what it computes, sorted.
std::vector<fs::path> modelFiles(const fs::path &folder, bool withWeights) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder))
    throw Error(folder.string() + ": expected a folder with a model");
  for (const auto &entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json" || name == "tokenizer.json" ||
        name == "tokenizer.model" ||
        (withWeights && entry.path().extension() == ".safetensors"))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

} // namespace

std::string fingerprintOf(const Recipe &recipe, int processes) {
  nlohmann::ordered_json json = recipe.toJson();
  for (const char *key :
       {"output", "train.save_every", "train.validate_every", "train.sharding",
        "train.batch_sequences", "train.accumulation"})
    json.erase(key);
  // The sequences of a step may be divided in any way.
  json["sequences_per_step"] =
      recipe.train.batchSequences * recipe.train.accumulation * processes;
  json["program"] = "fairy2-train " FAIRY2_VERSION;
  std::vector<fs::path> files =
      modelFiles(recipe.model, recipe.initialize == "checkpoint");
  for (const std::string &folder : {recipe.initialize, recipe.teacher.model})
    if (fs::is_directory(folder))
      for (const fs::path &file : modelFiles(folder, /*withWeights=*/true))
        files.push_back(file);
  for (const DataSource &source : recipe.data.train) {
    // The index of tokenized text has its shards' hashes.
    files.push_back(TokenizedText::isFolder(source.path)
                        ? fs::path(source.path) / "index.json"
                        : fs::path(source.path));
    // Megatron's index has its tokens beside it.
    if (files.back().extension() == ".idx")
      files.push_back(fs::path(source.path).replace_extension(".bin"));
  }
  if (!recipe.data.validation.empty())
    files.push_back(recipe.data.validation);
  for (const fs::path &file : files)
    json["files"].push_back({file.string(), sha256OfFile(file)});
  const std::string text = json.dump();
  Sha256 hash;
  hash.add(text);
  return hash.finish();
}

} // namespace fairy2::trainer
