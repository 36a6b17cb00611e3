// SPDX-License-Identifier: Apache-2.0
//
// Element i of a tensor is entry h of a table of 65,536 normal quantiles, where
// h is 16 bits of a hash of (seed, name, i / 4): no state, so the values do not
// depend on the order of writing, and one core fills gigabytes per second.
#include "frontend/Synthesize.h"

#include "frontend/DecoderPlan.h"
#include "frontend/Safetensors.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Unfinished.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numbers>
#include <regex>

#include <stdlib.h>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

constexpr double kDeviation = 0.02;
constexpr int64_t kBufferBytes = int64_t(1) << 20;
constexpr int64_t kByteTokens = 259; ///< <unk>, <s>, </s> and 256 bytes

/// quantile((k + 0.5) / 65536) of the standard normal distribution.
std::vector<float> normalQuantiles() {
  constexpr int64_t kCount = 65536;
  std::vector<float> table(kCount);
  double x = 0;
  for (int64_t k = kCount / 2; k < kCount; ++k) {
    // Newton's steps towards P(X > x) = tail, starting at the last quantile.
    const double tail = (kCount - k - 0.5) / kCount;
    for (int step = 0; step < 6; ++step) {
      const double density =
          std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
      x += (std::erfc(x / std::numbers::sqrt2) / 2 - tail) / density;
    }
    table[k] = float(x);
    table[kCount - 1 - k] = float(-x);
  }
  return table;
}

/// The stored forms of mean + deviation * quantile.
class ValueTable {
public:
  ValueTable(const std::vector<float> &quantiles, float mean, DType type)
      : width(byteWidth(type)), entries(quantiles.size() * width) {
    std::vector<float> values(quantiles.size());
    for (size_t k = 0; k < values.size(); ++k)
      values[k] = mean + float(kDeviation) * quantiles[k];
    fromFloats(type, values.data(), int64_t(values.size()), entries.data());
  }

  /// Writes elements [4 block, 4 block + 4 blocks) of the tensor with `key`.
  void fill(uint64_t key, int64_t block, int64_t blocks, uint8_t *out) const {
    width == 4 ? fillAs<uint32_t>(key, block, blocks, out)
               : fillAs<uint16_t>(key, block, blocks, out);
  }

private:
  template <typename Stored>
  void fillAs(uint64_t key, int64_t block, int64_t blocks, uint8_t *out) const {
    const uint8_t *table = entries.data();
    for (int64_t b = 0; b < blocks; ++b) {
      // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
      uint64_t h = key + uint64_t(block + b) * 0x9e3779b97f4a7c15;
      h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
      h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
      h ^= h >> 31;
      for (int i = 0; i < 4; ++i) {
        std::memcpy(out, table + ((h >> (16 * i)) & 0xffff) * sizeof(Stored),
                    sizeof(Stored));
        out += sizeof(Stored);
      }
    }
  }

  int64_t width;
  std::vector<uint8_t> entries;
};

/// A folder for unfinished files on the file system of the final one: inside it
/// when it exists, beside it otherwise. Removed with its files unless
/// published.
class StagingFolder {
public:
  explicit StagingFolder(const fs::path &target) : target(target) {
    std::string pattern = fs::exists(target)
                              ? (target / ".partial-XXXXXX").string()
                              : target.string() + ".XXXXXX";
    const SignalDelay together;
    if (!::mkdtemp(pattern.data()))
      throw Error(target.string() +
                  ": cannot be created: " + std::strerror(errno));
    folder = Unfinished(pattern);
    // mkdtemp makes it private, the result is an ordinary folder.
    fs::permissions(pattern, fs::perms(0755));
  }

  const fs::path &path() const { return folder.path(); }

  /// Without `tokenizer` one that is there stays, for nothing replaces it.
  void publish(bool tokenizer) {
    const SignalDelay together;
    if (!fs::exists(target)) {
      fs::rename(path(), target);
      folder.keep();
      return;
    }
    removeOldCheckpoint(tokenizer);
    for (const fs::directory_entry &entry : fs::directory_iterator(path()))
      fs::rename(entry.path(), target / entry.path().filename());
  }

private:
  void removeOldCheckpoint(bool tokenizer) const {
    std::vector<fs::path> old;
    for (const fs::directory_entry &entry : fs::directory_iterator(target)) {
      // Other files may have much the same names, and are somebody's.
      static const std::regex ours(
          "(config|model\\.safetensors\\.index)\\.json|"
          "model(-[0-9]{5}-of-[0-9]{5})?\\.safetensors");
      const std::string name = entry.path().filename().string();
      if ((std::regex_match(name, ours) ||
           (tokenizer && name == "tokenizer.json")) &&
          !entry.is_directory())
        old.push_back(entry.path());
    }
    for (const fs::path &path : old)
      fs::remove(path);
  }

  fs::path target;
  Unfinished folder;
};

struct Shard {
  std::string name;
  std::vector<SafetensorsEntry> tensors;
  std::vector<ParameterRole> roles; ///< of the tensors
  int64_t bytes = 0;
};

std::vector<Shard> planShards(const HFConfig &config, DType type,
                              int64_t shardBytes, const std::string &source) {
  std::vector<Shard> shards(1);
  int64_t total = 0;
  for (const DecoderParameter &tensor : DecoderPlan(config).parameters) {
    int64_t bytes = byteWidth(type);
    bool fits = true;
    for (int64_t extent : tensor.shape)
      fits &= !__builtin_mul_overflow(bytes, extent, &bytes);
    if (!fits || __builtin_add_overflow(total, bytes, &total))
      throw Error(source + ": the model would have more than 2^63 bytes");
    if (shards.back().bytes > 0 && bytes > shardBytes - shards.back().bytes)
      shards.emplace_back();
    Shard &shard = shards.back();
    shard.tensors.push_back({tensor.name, nameOf(type), tensor.shape,
                             shard.bytes, shard.bytes + bytes});
    shard.roles.push_back(tensor.role);
    shard.bytes += bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    char name[64] = "model.safetensors";
    if (shards.size() > 1)
      std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors",
                    i + 1, shards.size());
    shards[i].name = name;
  }
  return shards;
}

std::string indexText(const std::vector<Shard> &shards, int64_t totalBytes) {
  nlohmann::ordered_json root;
  root["metadata"]["total_size"] = totalBytes;
  for (const Shard &shard : shards)
    for (const SafetensorsEntry &tensor : shard.tensors)
      root["weight_map"][tensor.name] = shard.name;
  return root.dump(2) + "\n";
}

/// A BPE model without merges: text falls back to its bytes one by one.
std::string byteTokenizerText() {
  using Json = nlohmann::ordered_json;
  const char *specials[] = {"<unk>", "<s>", "</s>"};
  Json added = Json::array(), vocab;
  for (int id = 0; id < 3; ++id) {
    vocab[specials[id]] = id;
    added.push_back({{"id", id},
                     {"content", specials[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  for (int byte = 0; byte < 256; ++byte) {
    char piece[8];
    std::snprintf(piece, sizeof(piece), "<0x%02X>", byte);
    vocab[piece] = 3 + byte;
  }
  const auto bos = [](int sequence) {
    return Json{{"SpecialToken", {{"id", "<s>"}, {"type_id", sequence}}}};
  };
  const auto text = [](const char *name, int sequence) {
    return Json{{"Sequence", {{"id", name}, {"type_id", sequence}}}};
  };
  Json root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = added;
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = nullptr;
  root["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({bos(0), text("A", 0)})},
      {"pair", Json::array({bos(0), text("A", 0), bos(1), text("B", 1)})},
      {"special_tokens",
       {{"<s>",
         {{"id", "<s>"},
          {"ids", Json::array({1})},
          {"tokens", Json::array({"<s>"})}}}}}};
  root["decoder"] = {{"type", "Sequence"},
                     {"decoders", Json::array({{{"type", "ByteFallback"}},
                                               {{"type", "Fuse"}}})}};
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", "<unk>"},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", true},
                   {"byte_fallback", true},
                   {"ignore_merges", false},
                   {"vocab", vocab},
                   {"merges", Json::array()}};
  return root.dump(1) + "\n";
}

class Writer {
public:
  Writer(DType type, float normMean, const SynthesizeOptions &options,
         int64_t totalBytes)
      : weights(quantiles, 0, type), norms(quantiles, normMean, type),
        width(byteWidth(type)), options(options), totalBytes(totalBytes),
        buffer(kBufferBytes) {}

  void writeShard(const fs::path &path, const Shard &shard) {
    OutputFile file(path);
    file.append(bytesOf(formatSafetensorsHeader(shard.tensors)));
    for (size_t i = 0; i < shard.tensors.size(); ++i)
      writeTensor(file, shard.tensors[i], shard.roles[i]);
    file.commit();
  }

private:
  void writeTensor(OutputFile &file, const SafetensorsEntry &tensor,
                   ParameterRole role) {
    const ValueTable &table = role == ParameterRole::Norm ? norms : weights;
    const uint64_t key = XXH3_64bits_withSeed(tensor.name.data(),
                                              tensor.name.size(), options.seed);
    const int64_t blockBytes = 4 * width;
    int64_t block = 0;
    for (int64_t left = tensor.end - tensor.begin; left > 0;) {
      const int64_t bytes = std::min(left, kBufferBytes);
      const int64_t blocks = (bytes + blockBytes - 1) / blockBytes;
      table.fill(key, block, blocks, buffer.data());
      file.append(std::span(buffer).first(size_t(bytes)));
      block += blocks;
      left -= bytes;
      writtenBytes += bytes;
      if (options.progress)
        options.progress(writtenBytes, totalBytes);
    }
  }

  const std::vector<float> quantiles = normalQuantiles();
  ValueTable weights, norms;
  int64_t width;
  const SynthesizeOptions &options;
  int64_t totalBytes;
  int64_t writtenBytes = 0;
  std::vector<uint8_t> buffer; ///< a multiple of any block's size
};

void checkTarget(const fs::path &directory, int64_t bytes, bool overwrite) {
  if (fs::exists(directory)) {
    if (!fs::is_directory(directory))
      throw Error(directory.string() + ": exists and is not a directory");
    if (!overwrite && !fs::is_empty(directory))
      throw Error(directory.string() +
                  ": exists and is not empty; --force replaces the checkpoint "
                  "in it");
  }
  std::error_code code;
  const fs::path parent =
      fs::exists(directory) ? directory : fs::absolute(directory).parent_path();
  const fs::space_info space = fs::space(parent, code);
  if (!code && uint64_t(bytes) > space.available)
    throw Error(directory.string() + ": needs " + std::to_string(bytes) +
                " bytes of disk, " + std::to_string(space.available) +
                " are free");
}

} // namespace

SynthesizeResult synthesizeCheckpoint(const fs::path &configFile,
                                      const fs::path &directory,
                                      const SynthesizeOptions &options) {
  const HFConfig config =
      HFConfig::readFile(configFile, options.allowsUnknownFields);
  if (options.byteTokenizer && config.vocabSize < kByteTokens)
    throw Error(
        configFile.string() + ": field 'vocab_size': expected at least " +
        std::to_string(kByteTokens) + " for a tokenizer of bytes, found " +
        std::to_string(config.vocabSize));
  const DType type =
      options.type.value_or(config.declaredType.value_or(DType::BF16));
  const std::vector<Shard> shards =
      planShards(config, type, options.shardBytes, configFile.string());

  SynthesizeResult result;
  for (const Shard &shard : shards)
    result.bytes += shard.bytes;
  result.parameters = result.bytes / byteWidth(type);
  result.files = int(shards.size());
  result.unknownFields = config.unknownFields;

  try {
    // "dir/" names the same folder as "dir", but has no name of its own.
    const fs::path target =
        directory.has_filename() ? directory : directory.parent_path();
    checkTarget(target, result.bytes, options.overwrite);
    // Before anything of an old checkpoint goes: it may be in the same folder.
    const std::string configText = readTextFile(configFile, 1 << 20);
    StagingFolder staging(target);
    const float normMean = config.block.unitOffset ? 0 : 1;
    Writer writer(type, normMean, options, result.bytes);
    for (const Shard &shard : shards)
      writer.writeShard(staging.path() / shard.name, shard);
    if (shards.size() > 1)
      writeTextFile(staging.path() / "model.safetensors.index.json",
                    indexText(shards, result.bytes));
    if (options.byteTokenizer)
      writeTextFile(staging.path() / "tokenizer.json", byteTokenizerText());
    writeTextFile(staging.path() / "config.json", configText);
    staging.publish(options.byteTokenizer);
  } catch (const fs::filesystem_error &error) {
    throw Error(error.path1().string() + ": " + error.code().message());
  }
  return result;
}

} // namespace fairy2
