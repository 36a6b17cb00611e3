// SPDX-License-Identifier: Apache-2.0
//
// Finds the files of a checkpoint, refuses what is not safetensors by its first
// bytes, and reads tensors by pread, which a file that shrinks cannot crash.
#include "frontend/Checkpoint.h"

#include "frontend/Safetensors.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr char kHowToConvert[] =
    "; convert it to safetensors first, e.g. with transformers' "
    "save_pretrained(DIR, safe_serialization=True)";

bool isPickleName(const fs::path &path) {
  for (const char *suffix : {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
    if (path.extension() == suffix)
      return true;
  return false;
}

/// Names what the file really is, when its first bytes tell. To be called only
/// when they are no safetensors header: a header's length may look like any of
/// these.
void refuseOtherFormats(std::string_view start, const std::string &path) {
  const bool zip = start.starts_with("PK\x03\x04");
  const bool pickle =
      start.size() >= 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5;
  if (zip || pickle)
    throw Error(path +
                ": is a PyTorch pickle file, which can run code when "
                "loaded and is never read" +
                kHowToConvert);
  if (start.starts_with("GGUF"))
    throw Error(path + ": is a GGUF file, expected safetensors");
  if (start.starts_with("version "))
    throw Error(path + ": is a Git LFS pointer and not the file itself; run "
                       "'git lfs pull' in its folder");
}

SafetensorsHeader readHeader(const InputFile &file, int64_t &dataOffset) {
  constexpr int64_t kLengthBytes = sizeof(uint64_t);
  const auto size = int64_t(file.bytes);
  char start[kLengthBytes + 1] = {};
  const int64_t startBytes = std::min<int64_t>(size, sizeof(start));
  file.read(0, writableBytesOf(start).first(size_t(startBytes)), "header");
  uint64_t length = 0;
  std::memcpy(&length, start, kLengthBytes);

  const int64_t room = std::max<int64_t>(size - kLengthBytes, 0);
  if (start[kLengthBytes] != '{' || length > uint64_t(room))
    refuseOtherFormats({start, size_t(startBytes)}, file.path);
  if (size < kLengthBytes)
    throw Error(file.path + ": has " + std::to_string(size) +
                " bytes, expected at least the 8 of a safetensors header");
  if (length > uint64_t(kMaxSafetensorsHeaderBytes))
    throw Error(file.path + ": the header claims " + std::to_string(length) +
                " bytes, expected at most " +
                std::to_string(kMaxSafetensorsHeaderBytes) +
                "; this is not a safetensors file");
  if (length > uint64_t(room))
    throw Error(file.path + ": the header claims " + std::to_string(length) +
                " bytes, the file has " + std::to_string(room) +
                " after the length");

  std::string header(length, '\0');
  file.read(kLengthBytes, writableBytesOf(header), "header");
  dataOffset = kLengthBytes + int64_t(length);
  return parseSafetensorsHeader(header, size - dataOffset, file.path);
}

struct Index {
  std::map<std::string, std::string> fileOfTensor;
  std::set<std::string> files;
};

void checkShardName(const JsonObject &weightMap, const std::string &tensor,
                    const std::string &name) {
  const bool plain =
      !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
      std::none_of(name.begin(), name.end(), [](unsigned char c) {
        return c < 0x20 || c == 0x7f || c == '/' || c == '\\';
      });
  if (!plain)
    weightMap.fail(tensor, "expected the name of a file in the same folder, "
                           "found " +
                               quoteName(name));
}

Index readIndex(const fs::path &path) {
  JsonLimits limits;
  limits.bytes = int64_t(64) << 20;
  const nlohmann::json root = readJson(path, limits);
  const JsonObject top(root, path.string());
  const std::optional<JsonObject> weightMap = top.object("weight_map");
  if (!weightMap)
    top.fail("weight_map", "is missing");

  Index index;
  for (const auto &[tensor, unused] : weightMap->value().items()) {
    const std::string file = weightMap->string(tensor);
    checkShardName(*weightMap, tensor, file);
    index.fileOfTensor.emplace(tensor, file);
    index.files.insert(file);
  }
  // metadata.total_size is a remark that programs write as 0, as text, or of
  // another model: each tensor's bytes are checked in its own file.
  return index;
}

[[noreturn]] void failWithoutTensors(const fs::path &directory) {
  std::error_code code;
  for (const fs::directory_entry &entry :
       fs::directory_iterator(directory, code))
    if (isPickleName(entry.path()))
      throw Error(directory.string() + ": has no " + kSingleFile + " but " +
                  quoteName(entry.path().filename().string()) +
                  ", a PyTorch pickle file, which can run code when loaded "
                  "and is never read" +
                  kHowToConvert);
  throw Error(directory.string() + ": has neither " + kSingleFile + " nor " +
              kIndexFile);
}

} // namespace

struct Checkpoint::State {
  fs::path directory;
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, OtherTensor> otherTypes; ///< by tensor name
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::unique_ptr<const InputFile>> files;

  /// Opens one file and lists its tensors. With an index, the two must agree.
  void addFile(const ModelFolder &folder, const std::string &name,
               const Index *index) {
    auto file = std::make_unique<const InputFile>(
        InputFile::open(folder.file(name).string()));
    int64_t dataOffset = 0;
    const SafetensorsHeader header = readHeader(*file, dataOffset);
    addMetadata(header.metadata, file->path);
    for (const SafetensorsEntry &entry : header.tensors) {
      if (index) {
        const auto place = index->fileOfTensor.find(entry.name);
        if (place == index->fileOfTensor.end() || place->second != name)
          throw Error(
              file->path + ": tensor " + quoteName(entry.name) + ": expected " +
              (place == index->fileOfTensor.end()
                   ? "a tensor that " + std::string(kIndexFile) + " lists"
                   : "in " + quoteName(place->second) + " by " + kIndexFile));
      }
      const StoredTensor place{entry.name, entry.shape, name,
                               dataOffset + entry.begin,
                               entry.end - entry.begin};
      if (const auto type = dtypeFromName(entry.dtype))
        tensors.emplace(entry.name, TensorInfo{place, *type});
      else if (entry.dtype == "F64")
        tensors.emplace(entry.name, TensorInfo{place, DType::F32, true});
      else
        otherTypes.emplace(entry.name, OtherTensor{place, entry.dtype});
    }
    files.emplace(name, std::move(file));
  }

  void addMetadata(const std::map<std::string, std::string> &texts,
                   const std::string &file) {
    for (const auto &[key, text] : texts) {
      const auto [place, isNew] = metadata.emplace(key, text);
      if (!isNew && place->second != text && key.starts_with("fairy2."))
        throw Error(file + ": field '__metadata__." + key + "': expected " +
                    quoteName(place->second) +
                    " as in another file of the checkpoint, found " +
                    quoteName(text));
    }
  }

  void addShards(const ModelFolder &folder) {
    const fs::path indexPath = folder.file(kIndexFile);
    const Index index = readIndex(indexPath);
    for (const std::string &name : index.files)
      addFile(folder, name, &index);
    for (const auto &[tensor, file] : index.fileOfTensor)
      if (!tensors.count(tensor) && !otherTypes.count(tensor) &&
          !mayBeTied(tensor))
        throw Error(indexPath.string() + ": tensor " + quoteName(tensor) +
                    ": is not in " + quoteName(file));
  }

  /// One of the pair is often listed and not stored; the model says whether it
  /// does without.
  static bool mayBeTied(const std::string &tensor) {
    return tensor == "lm_head.weight" ||
           tensor.ends_with("embed_tokens.weight");
  }

  /// Gives the tensors of a model that was saved without a head the names that
  /// they have in one with it.
  void completeNames() {
    constexpr std::string_view kPrefix = "model.";
    // The embedding may be stored as the head alone.
    const bool isShort =
        std::any_of(tensors.begin(), tensors.end(), [](const auto &entry) {
          return entry.first == "embed_tokens.weight" ||
                 entry.first.starts_with("layers.");
        });
    if (!isShort)
      return;
    const auto complete = [&](auto &map) {
      std::remove_reference_t<decltype(map)> named;
      for (auto &[name, tensor] : map) {
        if (!name.starts_with(kPrefix) && !name.starts_with("lm_head."))
          tensor.name = std::string(kPrefix) + name;
        if (!named.emplace(tensor.name, tensor).second)
          throw Error(directory.string() + ": tensor " + quoteName(name) +
                      ": stands beside " + quoteName(tensor.name));
      }
      map = std::move(named);
    };
    complete(tensors);
    complete(otherTypes);
  }

  const InputFile &fileOf(const StoredTensor &tensor) const {
    const auto place = files.find(tensor.file);
    if (place == files.end() || tensor.bytes < 0 || tensor.offset < 0 ||
        tensor.offset > int64_t(place->second->bytes) - tensor.bytes)
      throw Error(directory.string() + ": tensor " + quoteName(tensor.name) +
                  ": is not of this checkpoint");
    return *place->second;
  }
};

Checkpoint Checkpoint::open(const ModelFolder &folder) {
  const fs::path &directory = folder.path();
  std::error_code code;
  if (!fs::exists(directory, code))
    throw Error(directory.string() + ": no such directory");
  if (!fs::is_directory(directory, code))
    throw Error(directory.string() +
                ": is not a directory; expected the folder of a Hugging Face "
                "checkpoint");
  auto state = std::make_unique<State>();
  state->directory = directory;
  if (folder.has(kSingleFile))
    state->addFile(folder, kSingleFile, nullptr);
  else if (folder.has(kIndexFile))
    state->addShards(folder);
  else
    failWithoutTensors(directory);
  state->completeNames();
  return Checkpoint(std::move(state));
}

Checkpoint::Checkpoint(std::unique_ptr<State> state)
    : state(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint &&) noexcept = default;
Checkpoint &Checkpoint::operator=(Checkpoint &&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const fs::path &Checkpoint::directory() const { return state->directory; }

const std::map<std::string, TensorInfo> &Checkpoint::tensors() const {
  return state->tensors;
}

const std::map<std::string, OtherTensor> &Checkpoint::otherTensors() const {
  return state->otherTypes;
}

const std::map<std::string, std::string> &Checkpoint::metadata() const {
  return state->metadata;
}

const TensorInfo &Checkpoint::tensor(const std::string &name) const {
  if (const auto place = state->tensors.find(name);
      place != state->tensors.end())
    return place->second;
  const std::string start =
      state->directory.string() + ": tensor " + quoteName(name) + ": ";
  if (const auto place = state->otherTypes.find(name);
      place != state->otherTypes.end())
    throw Error(start + "expected type F32, F16, BF16 or F64, found " +
                place->second.typeName);
  throw Error(start + "is missing");
}

void Checkpoint::share(const std::string &stored, const std::string &name) {
  state->tensors.insert_or_assign(name, tensor(stored));
}

void Checkpoint::readBytes(const TensorInfo &tensor, int64_t begin, int64_t end,
                           uint8_t *out) const {
  if (!tensor.isDouble)
    return readBytes(static_cast<const StoredTensor &>(tensor), begin, end,
                     out);
  const int64_t first = begin / 4, last = (end + 3) / 4;
  std::vector<float> values(size_t(last - first));
  readFloats(tensor, first, last, values.data());
  std::memcpy(out, reinterpret_cast<const uint8_t *>(values.data()) + begin % 4,
              size_t(end - begin));
}

void Checkpoint::readBytes(const StoredTensor &tensor, int64_t begin,
                           int64_t end, uint8_t *out) const {
  const InputFile &file = state->fileOf(tensor);
  if (begin < 0 || begin > end || end > tensor.bytes)
    throw Error(file.path + ": tensor " + quoteName(tensor.name) +
                ": has no bytes [" + std::to_string(begin) + ", " +
                std::to_string(end) + ")");
  file.read(uint64_t(tensor.offset + begin), {out, size_t(end - begin)},
            "tensor " + quoteName(tensor.name));
}

void Checkpoint::readFloats(const TensorInfo &tensor, int64_t begin,
                            int64_t end, float *out) const {
  const int64_t width = tensor.isDouble ? 8 : byteWidth(tensor.type);
  if (begin < 0 || begin > end || end > tensor.bytes / width)
    throw Error((state->directory / tensor.file).string() + ": tensor " +
                quoteName(tensor.name) + ": has no elements [" +
                std::to_string(begin) + ", " + std::to_string(end) + ")");
  const StoredTensor &stored = tensor;
  if (tensor.type == DType::F32 && !tensor.isDouble)
    return readBytes(stored, begin * 4, end * 4,
                     reinterpret_cast<uint8_t *>(out));
  // A chunk that stays in the first-level cache between read and conversion.
  constexpr int64_t kChunkElements = 2048;
  uint8_t chunk[kChunkElements * sizeof(double)];
  while (begin < end) {
    const int64_t count = std::min(end - begin, kChunkElements);
    readBytes(stored, begin * width, (begin + count) * width, chunk);
    if (tensor.isDouble)
      for (int64_t i = 0; i < count; ++i) {
        double value;
        std::memcpy(&value, chunk + i * 8, sizeof value);
        out[i] = float(value);
      }
    else
      toFloats(tensor.type, chunk, count, out);
    begin += count;
    out += count;
  }
}

} // namespace fairy2
