// SPDX-License-Identifier: Apache-2.0
//
// The format's rules, one function each; all arithmetic is checked, and no
// number from the file is used before it was compared with the file's size.
#include "frontend/Safetensors.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"

#include <algorithm>
#include <cstring>

namespace fairy2 {

using nlohmann::json;

namespace {

constexpr size_t kMaxRank = 8;
constexpr size_t kMaxNameBytes = 1024;

struct ElementType {
  std::string_view name;
  int64_t bytes;
};
constexpr ElementType kElementTypes[] = {
    {"BOOL", 1},    {"U8", 1},          {"I8", 1},      {"F8_E5M2", 1},
    {"F8_E4M3", 1}, {"F8_E5M2FNUZ", 1}, {"F8_E8M0", 1}, {"F8_E4M3FNUZ", 1},
    {"U16", 2},     {"I16", 2},         {"F16", 2},     {"BF16", 2},
    {"U32", 4},     {"I32", 4},         {"F32", 4},     {"U64", 8},
    {"I64", 8},     {"F64", 8},         {"C64", 8},
};

int64_t elementBytes(const JsonObject &tensor) {
  const std::string name = tensor.string("dtype");
  for (const ElementType &type : kElementTypes)
    if (type.name == name)
      return type.bytes;
  tensor.fail("dtype", "unknown type " + quoteName(name));
}

void checkName(const std::string &name, const std::string &file) {
  if (name.empty())
    throw Error(file + ": a tensor has an empty name");
  if (name.size() > kMaxNameBytes)
    throw Error(file + ": the tensor name " + quoteName(name) + " has " +
                std::to_string(name.size()) + " bytes, expected at most " +
                std::to_string(kMaxNameBytes));
  for (unsigned char c : name)
    if (c < 0x20 || c == 0x7f)
      throw Error(file + ": the tensor name " + quoteName(name) +
                  " has a control character");
}

/// A list of `least` to `most` non-negative integers.
std::vector<int64_t> integers(const JsonObject &tensor, std::string_view key,
                              size_t least, size_t most,
                              const std::string &expected) {
  const json &list = tensor.require(key);
  if (!list.is_array() || list.size() < least || list.size() > most)
    tensor.failExpected(key, expected, list);
  std::vector<int64_t> result;
  for (const json &item : list) {
    // Unsigned is how the parser stores every integer from 0 on.
    if (!item.is_number_unsigned() ||
        item.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max()))
      tensor.fail(key, "expected integers from 0 to 2^63 - 1, found " +
                           describe(item));
    result.push_back(item.get<int64_t>());
  }
  return result;
}

/// Bytes of the whole tensor by its shape and type.
int64_t shapeBytes(const JsonObject &tensor, const std::vector<int64_t> &shape,
                   int64_t elementBytes) {
  int64_t bytes = elementBytes;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(bytes, extent, &bytes))
      tensor.fail("shape", "the tensor would have more than 2^63 bytes");
  return bytes;
}

SafetensorsEntry readEntry(const std::string &name, const json &value,
                           int64_t dataBytes, const std::string &file) {
  checkName(name, file);
  const JsonObject tensor(value, file + ": tensor " + quoteName(name));
  for (const auto &[key, unused] : value.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      tensor.fail(key, "expected only dtype, shape and data_offsets");

  SafetensorsEntry entry;
  entry.name = name;
  const int64_t width = elementBytes(tensor);
  entry.dtype = tensor.string("dtype");
  entry.shape =
      integers(tensor, "shape", 0, kMaxRank,
               "a list of at most " + std::to_string(kMaxRank) + " extents");
  const int64_t bytes = shapeBytes(tensor, entry.shape, width);
  const std::vector<int64_t> offsets =
      integers(tensor, "data_offsets", 2, 2, "a list of two offsets");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const std::string range = "[" + std::to_string(entry.begin) + ", " +
                            std::to_string(entry.end) + "]";
  if (entry.begin > entry.end || entry.end > dataBytes)
    tensor.fail("data_offsets", "expected a range inside the " +
                                    std::to_string(dataBytes) +
                                    " bytes of data, found " + range);
  if (entry.end - entry.begin != bytes)
    tensor.fail("data_offsets", "expected " + std::to_string(bytes) +
                                    " bytes by shape and dtype, found " +
                                    range);
  return entry;
}

std::map<std::string, std::string> readMetadata(const json &value,
                                                const std::string &file) {
  std::map<std::string, std::string> texts;
  if (value.is_null())
    return texts;
  const JsonObject metadata(value, file, "__metadata__");
  for (const auto &[key, unused] : value.items())
    texts.emplace(key, metadata.string(key));
  return texts;
}

/// First at 0, each at the end of the one before, the last at the file's end.
void checkCoverage(const std::vector<SafetensorsEntry> &entries,
                   int64_t dataBytes, const std::string &file) {
  int64_t reached = 0;
  for (const SafetensorsEntry &entry : entries) {
    if (entry.begin != reached)
      throw Error(file + ": tensor " + quoteName(entry.name) +
                  ": field 'data_offsets': " +
                  (entry.begin < reached ? "overlaps the tensor before it"
                                         : "leaves a hole before it") +
                  ": expected to begin at " + std::to_string(reached) +
                  ", found " + std::to_string(entry.begin));
    reached = entry.end;
  }
  if (reached != dataBytes)
    throw Error(file + ": " + std::to_string(dataBytes - reached) +
                " bytes follow the last tensor, expected none");
}

} // namespace

SafetensorsHeader parseSafetensorsHeader(std::string_view header,
                                         int64_t dataBytes,
                                         const std::string &file) {
  if (!header.starts_with('{'))
    throw Error(file + ": the header does not start with '{'; this is not a "
                       "safetensors file");
  JsonLimits limits;
  limits.bytes = kMaxSafetensorsHeaderBytes;
  limits.depth = 3;
  const json root = parseJson(header, file, limits);

  SafetensorsHeader result;
  std::vector<SafetensorsEntry> &entries = result.tensors;
  for (const auto &[name, value] : root.items()) {
    if (name == "__metadata__")
      result.metadata = readMetadata(value, file);
    else
      entries.push_back(readEntry(name, value, dataBytes, file));
  }
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry &a, const SafetensorsEntry &b) {
              return std::tie(a.begin, a.end, a.name) <
                     std::tie(b.begin, b.end, b.name);
            });
  checkCoverage(entries, dataBytes, file);
  return result;
}

std::string
formatSafetensorsHeader(const std::vector<SafetensorsEntry> &tensors,
                        const std::map<std::string, std::string> &metadata) {
  // Ordered, so that a reader of the JSON meets the tensors as the data has
  // them.
  nlohmann::ordered_json root;
  for (const auto &[key, text] : metadata)
    root["__metadata__"][key] = text;
  root["__metadata__"]["format"] = "pt";
  for (const SafetensorsEntry &tensor : tensors)
    root[tensor.name] = {{"dtype", tensor.dtype},
                         {"shape", tensor.shape},
                         {"data_offsets", {tensor.begin, tensor.end}}};
  std::string text = root.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::string result(sizeof(length), '\0');
  std::memcpy(result.data(), &length, sizeof(length));
  return result + text;
}

} // namespace fairy2
