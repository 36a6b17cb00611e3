// SPDX-License-Identifier: Apache-2.0
//
// Reads the manifest field by field. Ranges are checked here once, so that the
// rest of the runtime may multiply and index without fear.
#include "runtime/Manifest.h"

#include "runtime/Status.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <limits>

namespace fairy2 {
namespace {

using nlohmann::json;

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
/// More than any file or machine has; products with it are still checked.
constexpr int64_t kMaxBytes = int64_t(1) << 48;

/// A JSON object and its place in the file, for error messages.
class Fields {
public:
  Fields(const json &object, std::string where)
      : object(object), where(std::move(where)) {
    if (!object.is_object())
      fail("", "an object", object);
  }

  bool has(const char *key) const { return object.contains(key); }
  auto items() const { return object.items(); }

  const json &at(const char *key, const char *expected) const {
    const auto it = object.find(key);
    if (it == object.end())
      throw StatusError(FAIRY2_BAD_FILE, where + "." + key + ": expected " +
                                             expected + ", found nothing");
    return *it;
  }

  Fields child(const char *key) const {
    return {at(key, "an object"), where + "." + key};
  }

  const json &array(const char *key) const {
    const json &value = at(key, "an array");
    if (!value.is_array())
      fail(key, "an array", value);
    return value;
  }

  std::string string(const char *key) const {
    const json &value = at(key, "a string");
    if (!value.is_string())
      fail(key, "a string", value);
    return value.get<std::string>();
  }

  std::string name(const char *key) const {
    std::string value = string(key);
    if (value.empty() || value.find('\0') != std::string::npos)
      fail(key, "a non-empty string", object.at(key));
    return value;
  }

  int64_t integer(const char *key, int64_t min, int64_t max) const {
    return inRange(at(key, "an integer"), key, min, max);
  }

  int64_t inRange(const json &value, const std::string &key, int64_t min,
                  int64_t max) const {
    const bool fits =
        value.is_number_unsigned()
            ? max >= 0 && value.get<uint64_t>() <= uint64_t(max) &&
                  int64_t(value.get<uint64_t>()) >= min
            : value.is_number_integer() && value.get<int64_t>() >= min &&
                  value.get<int64_t>() <= max;
    if (!fits)
      fail(key,
           "an integer from " + std::to_string(min) + " to " +
               std::to_string(max),
           value);
    return value.get<int64_t>();
  }

  [[noreturn]] void fail(const std::string &key, const std::string &expected,
                         const json &found) const {
    std::string text =
        found.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() > 40)
      text = text.substr(0, 40) + "..";
    throw StatusError(FAIRY2_BAD_FILE, where + (key.empty() ? "" : "." + key) +
                                           ": expected " + expected +
                                           ", found " + text);
  }

private:
  const json &object;
  std::string where;
};

Region parseRegion(const Fields &fields) {
  Region region;
  region.offset = uint64_t(fields.integer("offset", 0, kMaxBytes));
  region.bytes = uint64_t(fields.integer("bytes", 0, kMaxBytes));
  const std::string hash = fields.string("xxh3");
  const char *end = hash.data() + hash.size();
  const auto [rest, error] = std::from_chars(hash.data(), end, region.hash, 16);
  if (hash.size() != 16 || error != std::errc() || rest != end)
    fields.fail("xxh3", "16 hexadecimal digits", hash);
  return region;
}

/// An {offset, bytes} pair that lies inside the weight section.
std::pair<uint64_t, uint64_t> parseSlice(const Fields &fields,
                                         const Region &weights) {
  const int64_t size = int64_t(weights.bytes);
  const int64_t offset = fields.integer("offset", 0, size);
  return {uint64_t(offset),
          uint64_t(fields.integer("bytes", 0, size - offset))};
}

std::vector<Layer> parseLayers(const Fields &root, const Region &weights,
                               const std::string &origin) {
  std::vector<Layer> layers;
  for (const json &entry : root.array("layers")) {
    const Fields fields(entry, origin + ": manifest.layers[" +
                                   std::to_string(layers.size()) + "]");
    parseSlice(fields, weights);
    Layer layer{fields.name("name"), fields.name("op"), {}, 0};
    for (const json &extent : fields.array("shape"))
      layer.shape.push_back(fields.inRange(extent, "shape", 0, kMaxBytes));
    layer.bytesPerToken = fields.integer("bytes_per_token", 0, kMaxBytes);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<ForwardStep> parseSteps(const Fields &variant, size_t layers) {
  std::vector<std::string> kernels;
  for (const json &kernel : variant.array("kernels")) {
    if (!kernel.is_string())
      variant.fail("kernels", "strings", kernel);
    kernels.push_back(kernel.get<std::string>());
  }
  std::vector<ForwardStep> steps;
  for (const json &entry : variant.array("steps")) {
    if (!entry.is_array() || entry.size() != 2)
      variant.fail("steps", "pairs of a kernel and a layer", entry);
    const int64_t kernel =
        variant.inRange(entry[0], "steps", 0, int64_t(kernels.size()) - 1);
    steps.push_back(
        {kernels[size_t(kernel)],
         int32_t(variant.inRange(entry[1], "steps", -1, int64_t(layers) - 1))});
  }
  return steps;
}

std::vector<Variant> parseVariants(const Fields &root, size_t layers,
                                   const std::string &origin) {
  std::vector<Variant> variants;
  for (const json &entry : root.array("variants")) {
    const Fields fields(entry, origin + ": manifest.variants[" +
                                   std::to_string(variants.size()) + "]");
    Variant variant{fields.name("name"), fields.name("symbol"), {}, {}};
    for (const json &feature : fields.array("features")) {
      if (!feature.is_string())
        fields.fail("features", "strings", feature);
      variant.features.push_back(feature.get<std::string>());
    }
    variant.steps = parseSteps(fields, layers);
    variants.push_back(std::move(variant));
  }
  if (variants.empty())
    root.fail("variants", "at least one entry", root.array("variants"));
  return variants;
}

void parseModel(const Fields &model, Manifest &manifest) {
  manifest.architecture = model.name("architecture");
  for (const char *key :
       {"hidden_size", "layers", "heads", "kv_heads", "head_dim"})
    model.integer(key, 1, kMaxInt32);
  manifest.vocabSize = int32_t(model.integer("vocab_size", 1, kMaxInt32));
  manifest.maxPositions = int32_t(model.integer("max_positions", 1, kMaxInt32));
  const int64_t last = manifest.vocabSize - 1;
  if (model.has("bos_token"))
    manifest.bosToken = int32_t(model.integer("bos_token", 0, last));
  for (const json &token : model.array("eos_tokens"))
    manifest.eosTokens.push_back(
        int32_t(model.inRange(token, "eos_tokens", 0, last)));
}

std::map<std::string, std::string> parseSpecialTokens(const Fields &fields) {
  std::map<std::string, std::string> tokens;
  for (const auto &[role, text] : fields.items())
    tokens[role] = fields.string(role.c_str());
  return tokens;
}

} // namespace

Manifest Manifest::parse(std::string text, const std::string &origin) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded())
    throw StatusError(FAIRY2_BAD_FILE,
                      origin + ": manifest: expected JSON, found other text");
  const Fields root(document, origin + ": manifest");

  Manifest manifest;
  manifest.producer = root.name("producer");
  manifest.machine = root.name("machine");
  if (manifest.machine != "x86-64" && manifest.machine != "aarch64")
    root.fail("machine", "\"x86-64\" or \"aarch64\"", root.at("machine", ""));
  const Fields regions = root.child("regions");
  manifest.image = parseRegion(regions.child("image"));
  manifest.weights = parseRegion(regions.child("weights"));
  manifest.sections = parseRegion(regions.child("sections"));
  manifest.layers = parseLayers(root, manifest.weights, origin);
  manifest.variants = parseVariants(root, manifest.layers.size(), origin);
  parseModel(root.child("model"), manifest);
  manifest.cacheBytesPerPosition =
      root.child("cache").integer("bytes_per_position", 1, kMaxBytes);
  manifest.batch = int32_t(root.integer("batch", 1, 1 << 20));
  manifest.workspaceBytes = root.integer("workspace_bytes", 0, kMaxBytes);
  root.child("scheme").name("method");
  if (root.has("tokenizer"))
    manifest.tokenizer = parseSlice(root.child("tokenizer"), manifest.weights);
  if (root.has("chat_template"))
    manifest.chatTemplate = root.string("chat_template");
  if (root.has("special_tokens"))
    manifest.specialTokens = parseSpecialTokens(root.child("special_tokens"));
  manifest.text = std::move(text);
  return manifest;
}

} // namespace fairy2
