// SPDX-License-Identifier: Apache-2.0
#include "trainer/Fingerprint.h"

#include "dialect/Error.h"
#include "trainer/data/TokenizedText.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

class Sha256 {
public:
  Sha256() : context(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    if (!context || !EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr))
      throw Error("SHA-256 is not available");
  }

  void add(const void *data, size_t bytes) {
    EVP_DigestUpdate(context.get(), data, bytes);
  }

  std::string finish() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context.get(), digest, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      constexpr const char *kDigits = "0123456789abcdef";
      text += kDigits[digest[i] >> 4];
      text += kDigits[digest[i] & 15];
    }
    return text;
  }

private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX *)> context;
};

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

std::string sha256OfFile(const fs::path &file) {
  const std::unique_ptr<FILE, int (*)(FILE *)> in(
      std::fopen(file.c_str(), "rb"), &std::fclose);
  if (!in)
    throw Error(file.string() + ": cannot open: " + std::strerror(errno));
  Sha256 hash;
  std::vector<char> buffer(size_t(1) << 20);
  while (const size_t size =
             std::fread(buffer.data(), 1, buffer.size(), in.get()))
    hash.add(buffer.data(), size);
  if (std::ferror(in.get()))
    throw Error(file.string() + ": cannot read: " + std::strerror(errno));
  return hash.finish();
}

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
  hash.add(text.data(), text.size());
  return hash.finish();
}

} // namespace fairy2
