// SPDX-License-Identifier: Apache-2.0
//
// Shards are written one after the other and hashed on the way; they are read
// in pieces, and every token once before training.
#include "trainer/data/TokenizedText.h"

#include "frontend/HFConfig.h"
#include "runtime/Artifact.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Documents.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"
#include "trainer/data/LoadTokenizer.h"
#include "trainer/data/TokenFile.h"
#include "trainer/run/Folders.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr char kMagic[] = "FAIRY2TK";
constexpr uint32_t kVersion = 1;
constexpr const char *kIndex = "index.json";

struct Header {
  char magic[8];
  uint32_t version, width;
  uint64_t tokens, documents;
  char separator[16];
  char tokenizer[64];
  uint64_t hash, zero;
};
static_assert(sizeof(Header) == 128);

/// Tokens that go into one shard after the other.
class ShardWriter {
public:
  ShardWriter(const TokenizeOptions &options, std::string tokenizerSha256,
              int64_t vocabSize)
      : options(options), tokenizer(std::move(tokenizerSha256)),
        vocabSize(vocabSize), width(tokenWidth(vocabSize)) {}

  void append(std::span<const int32_t> tokens, int64_t documents) {
    checkTokens(tokens, vocabSize, options.model);
    if (!file)
      begin();
    std::vector<uint8_t> stored(tokens.size() * width);
    for (size_t i = 0; i < tokens.size(); ++i)
      std::memcpy(stored.data() + i * width, &tokens[i], width);
    hasher->update(stored);
    file->append(stored);
    header.tokens += tokens.size();
    header.documents += uint64_t(documents);
    if (int64_t(header.tokens) >= options.shardTokens)
      end();
  }

  TokenizeResult finish() {
    if (!file && result.tokens == 0)
      throw Error(joined(options.inputs) + ": expected text, found none");
    if (file)
      end();
    nlohmann::ordered_json index = {{"format", "fairy2-tokens"},
                                    {"version", kVersion},
                                    {"separator", options.separator},
                                    {"special_tokens", options.specialTokens},
                                    {"tokenizer_sha256", tokenizer},
                                    {"tokens", result.tokens},
                                    {"documents", result.documents},
                                    {"inputs", options.inputs},
                                    {"shards", list}};
    writeTextFile(fs::path(options.output) / kIndex, index.dump(2) + "\n");
    return result;
  }

private:
  void begin() {
    char text[32];
    std::snprintf(text, sizeof text, "%05lld.tokens", (long long)result.shards);
    name = text;
    file = std::make_unique<OutputFile>(fs::path(options.output) / name);
    hasher = std::make_unique<RegionHasher>();
    header = {};
    std::memcpy(header.magic, kMagic, sizeof header.magic);
    header.version = kVersion;
    header.width = uint32_t(width);
    std::memcpy(header.separator, options.separator.data(),
                options.separator.size());
    std::memcpy(header.tokenizer, tokenizer.data(), sizeof header.tokenizer);
    file->append(bytesOf(header));
  }

  void end() {
    header.hash = hasher->finish();
    file->overwrite(0, bytesOf(header));
    file->commit();
    file.reset();
    list.push_back({{"file", name},
                    {"tokens", header.tokens},
                    {"documents", header.documents},
                    {"hash", hexOf(header.hash)}});
    ++result.shards;
    result.tokens += int64_t(header.tokens);
    result.documents += int64_t(header.documents);
  }

  const TokenizeOptions &options;
  const std::string tokenizer;
  const int64_t vocabSize;
  const size_t width;
  std::unique_ptr<OutputFile> file;
  std::unique_ptr<RegionHasher> hasher;
  std::string name;
  Header header{};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TokenizeResult result;
};

} // namespace

TokenizeResult tokenizeFiles(const TokenizeOptions &options,
                             const HFConfig &config) {
  const LoadedTokenizer loaded = loadTokenizer({options.model, options.rules});
  if (TokenizedText::isFolder(options.output))
    throw Error(options.output + ": holds tokenized text already");
  for (const std::string &input : options.inputs)
    checkDocuments(input);
  makeFolder(options.output);
  ShardWriter writer(options, loaded.sha256, config.vocabSize);
  DocumentTokenizer work(
      *loaded.tokenizer, joined(options.inputs), options.separator,
      specialTokensOf(config), options.specialTokens,
      [&](std::span<const int32_t> tokens, int64_t documents) {
        writer.append(tokens, documents);
        return true;
      });
  for (const std::string &input : options.inputs)
    readDocuments(input, options.textField, options.where, work.taking());
  work.finish();
  return writer.finish();
}

struct TokenizedText::Shard {
  InputFile file;
  int64_t begin = 0; ///< of its first token in the whole text
  int64_t tokens = 0;
  size_t width = 2;

  /// Fills `out` from token `at` of this shard.
  void read(int64_t at, std::span<int32_t> out) const {
    readTokens(file, sizeof(Header) + uint64_t(at) * width, width, out);
  }

  [[noreturn]] void fail(const std::string &text) const {
    throw Error(file.path + ": " + text);
  }

  Header readHeader() const {
    Header header;
    if (file.bytes < sizeof header)
      fail("the file ends before its header");
    file.read(0, writableBytesOf(header));
    if (std::memcmp(header.magic, kMagic, sizeof header.magic) != 0)
      fail("expected FAIRY2TK at its start");
    if (header.version != kVersion)
      fail("expected version 1, found " + std::to_string(header.version));
    if (header.width != 2 && header.width != 4)
      fail("expected 2 or 4 bytes per token, found " +
           std::to_string(header.width));
    const uint64_t bytes = file.bytes - sizeof header;
    if (bytes % header.width != 0 || header.tokens != bytes / header.width)
      fail("expected " + std::to_string(header.tokens) +
           " tokens as its header says, found " + std::to_string(bytes) +
           " bytes");
    return header;
  }

  /// Reads every token once.
  void check(const Header &header, int64_t vocabSize) const {
    RegionHasher hasher;
    std::vector<int32_t> piece;
    std::vector<uint8_t> stored;
    for (int64_t at = 0; at < tokens; at += int64_t(piece.size())) {
      piece.resize(size_t(std::min<int64_t>(tokens - at, 1 << 20)));
      read(at, piece);
      stored.resize(piece.size() * width);
      for (size_t i = 0; i < piece.size(); ++i)
        std::memcpy(stored.data() + i * width, &piece[i], width);
      hasher.update(stored);
      checkTokens(piece, vocabSize, file.path);
    }
    if (hasher.finish() != header.hash)
      fail("its tokens do not have the hash that its header gives");
  }
};

bool TokenizedText::isFolder(const fs::path &path) {
  std::error_code unreadable; // what cannot be read is told by who opens it
  return fs::exists(path / kIndex, unreadable);
}

TokenizedText TokenizedText::open(const fs::path &folder,
                                  const std::string &separator,
                                  const std::string &specialTokens,
                                  const std::string &tokenizerSha256,
                                  int64_t vocabSize) {
  const fs::path path = folder / kIndex;
  const nlohmann::json json = readJson(path);
  const JsonObject index(json, path.string());
  if (index.string("format") != "fairy2-tokens")
    throw Error(path.string() + ": field 'format': expected fairy2-tokens");
  if (index.string("separator") != separator)
    throw Error(path.string() + ": was tokenized with the separator " +
                quoteName(index.string("separator")) +
                ", and data.separator is '" + separator + "'");
  // What was tokenized before this choice was there took all for text.
  const std::string special =
      json.contains("special_tokens") ? index.string("special_tokens") : "text";
  if (special != specialTokens)
    throw Error(path.string() + ": was tokenized with special_tokens " +
                quoteName(special) + ", and data.special_tokens is '" +
                specialTokens + "'");
  if (index.string("tokenizer_sha256") != tokenizerSha256)
    throw Error(path.string() +
                ": was tokenized with another tokenizer than the model's");
  TokenizedText text;
  const nlohmann::json &list = index.require("shards");
  if (!list.is_array())
    throw Error(path.string() + ": field 'shards': expected a list");
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonObject entry(list[i], path.string(),
                           "shards[" + std::to_string(i) + "]");
    const std::string name = entry.string("file");
    if (name.empty() || fs::path(name).filename() != name || name[0] == '.')
      throw Error(path.string() + ": field 'shards[" + std::to_string(i) +
                  "].file': expected a name, found " + quoteName(name));
    auto shard = std::make_shared<Shard>();
    shard->file = InputFile::open((folder / name).string());
    const Header header = shard->readHeader();
    if (hexOf(header.hash) != entry.string("hash"))
      shard->fail("is not the shard that index.json lists");
    shard->begin = text.total;
    shard->tokens = int64_t(header.tokens);
    shard->width = header.width;
    shard->check(header, vocabSize);
    text.total += shard->tokens;
    text.shards.push_back(std::move(shard));
  }
  return text;
}

void TokenizedText::read(int64_t begin, std::span<int32_t> out) const {
  auto shard = std::partition_point(
      shards.begin(), shards.end(),
      [&](const auto &shard) { return shard->begin + shard->tokens <= begin; });
  while (!out.empty()) {
    const int64_t at = begin - (*shard)->begin;
    const auto count =
        std::min<size_t>(out.size(), size_t((*shard)->tokens - at));
    (*shard)->read(at, out.first(count));
    out = out.subspan(count);
    begin += int64_t(count);
    ++shard;
  }
}

} // namespace fairy2::trainer
