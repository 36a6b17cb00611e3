// SPDX-License-Identifier: Apache-2.0
//
// Reads the manifest field by field. Ranges are checked here once, so that the
// rest of the runtime may multiply and index without fear.
#include "runtime/Manifest.h"

#include "runtime/Status.h"
#include "runtime/support/Json.h"

#include <charconv>
#include <limits>

namespace fairy2 {
namespace {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
/// More than any file or machine has; products with it are still checked.
constexpr int64_t kMaxBytes = int64_t(1) << 48;

std::string nameOf(const JsonField &field) {
  std::string name = field.string();
  if (name.empty() || name.find('\0') != std::string::npos)
    field.fail("a non-empty string");
  return name;
}

std::vector<std::string> stringsOf(const JsonField &field) {
  std::vector<std::string> strings;
  for (const JsonField &element : field.elements())
    strings.push_back(element.string());
  return strings;
}

Region parseRegion(const JsonField &fields) {
  Region region;
  region.offset = uint64_t(fields["offset"].integer(0, kMaxBytes));
  region.bytes = uint64_t(fields["bytes"].integer(0, kMaxBytes));
  const std::string hash = fields["xxh3"].string();
  const char *end = hash.data() + hash.size();
  const auto [rest, error] = std::from_chars(hash.data(), end, region.hash, 16);
  if (hash.size() != 16 || error != std::errc() || rest != end)
    fields["xxh3"].fail("16 hexadecimal digits");
  return region;
}

/// An {offset, bytes} pair that lies inside the weight section.
std::pair<uint64_t, uint64_t> parseSlice(const JsonField &fields,
                                         const Region &weights) {
  const int64_t size = int64_t(weights.bytes);
  const int64_t offset = fields["offset"].integer(0, size);
  return {uint64_t(offset),
          uint64_t(fields["bytes"].integer(0, size - offset))};
}

std::vector<Layer> parseLayers(const JsonField &list, const Region &weights) {
  std::vector<Layer> layers;
  for (const JsonField &fields : list.elements()) {
    parseSlice(fields, weights);
    Layer layer{nameOf(fields["name"]), nameOf(fields["op"]), {}, 0};
    for (const JsonField &extent : fields["shape"].elements())
      layer.shape.push_back(extent.integer(0, kMaxBytes));
    layer.bytesPerToken = fields["bytes_per_token"].integer(0, kMaxBytes);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<ForwardStep> parseSteps(const JsonField &variant, size_t layers) {
  const std::vector<std::string> kernels = stringsOf(variant["kernels"]);
  std::vector<ForwardStep> steps;
  for (const JsonField &entry : variant["steps"].elements()) {
    const std::vector<JsonField> pair = entry.elements();
    if (pair.size() != 2)
      entry.fail("a pair of a kernel and a layer");
    const int64_t kernel = pair[0].integer(0, int64_t(kernels.size()) - 1);
    steps.push_back({kernels[size_t(kernel)],
                     int32_t(pair[1].integer(-1, int64_t(layers) - 1))});
  }
  return steps;
}

std::vector<Variant> parseVariants(const JsonField &list, size_t layers) {
  std::vector<Variant> variants;
  for (const JsonField &fields : list.elements()) {
    Variant variant{nameOf(fields["name"]),
                    nameOf(fields["symbol"]),
                    stringsOf(fields["features"]),
                    {}};
    if (const JsonField from = fields["products_from"]; !from.isAbsent())
      variant.productsFrom = from.integer(2, kMaxInt32);
    variant.steps = parseSteps(fields, layers);
    variants.push_back(std::move(variant));
  }
  if (variants.empty())
    list.fail("at least one entry");
  return variants;
}

/// Which arrays a slot of the cache consists of, if the file tells.
void parseCachePlanes(const JsonField &cache, Manifest &manifest) {
  const JsonField planes = cache["planes"];
  if (planes.isAbsent())
    return;
  const int64_t most = manifest.cacheBytesPerPosition;
  manifest.cacheLayers = cache["layers"].integer(1, most);
  int64_t bytes = 0;
  for (const JsonField &entry : planes.elements()) {
    const std::vector<JsonField> pair = entry.elements();
    if (pair.size() != 2)
      entry.fail("a pair of a count and a size");
    const int64_t count = pair[0].integer(1, most);
    const int64_t size = pair[1].integer(1, most / count);
    bytes += count * size; // of at most `most`, of few entries
    manifest.cachePlanes.push_back({count, size});
    if (bytes > most / manifest.cacheLayers)
      break;
  }
  if (bytes != most / manifest.cacheLayers || most % manifest.cacheLayers != 0)
    planes.fail("arrays that make up bytes_per_position");
}

void parseModel(const JsonField &model, Manifest &manifest) {
  manifest.architecture = nameOf(model["architecture"]);
  for (const char *key :
       {"hidden_size", "layers", "heads", "kv_heads", "head_dim"})
    model[key].integer(1, kMaxInt32);
  manifest.vocabSize = int32_t(model["vocab_size"].integer(1, kMaxInt32));
  manifest.maxPositions = int32_t(model["max_positions"].integer(1, kMaxInt32));
  const int64_t last = manifest.vocabSize - 1;
  if (const JsonField token = model["bos_token"]; !token.isAbsent())
    manifest.bosToken = int32_t(token.integer(0, last));
  for (const JsonField &token : model["eos_tokens"].elements())
    manifest.eosTokens.push_back(int32_t(token.integer(0, last)));
}

Manifest parseFields(const JsonField &root) {
  Manifest manifest;
  manifest.producer = nameOf(root["producer"]);
  manifest.machine = nameOf(root["machine"]);
  if (manifest.machine != "x86-64" && manifest.machine != "aarch64")
    root["machine"].fail("\"x86-64\" or \"aarch64\"");
  const JsonField regions = root["regions"];
  manifest.image = parseRegion(regions["image"]);
  manifest.weights = parseRegion(regions["weights"]);
  manifest.sections = parseRegion(regions["sections"]);
  manifest.layers = parseLayers(root["layers"], manifest.weights);
  manifest.variants = parseVariants(root["variants"], manifest.layers.size());
  parseModel(root["model"], manifest);
  manifest.cacheBytesPerPosition =
      root["cache"]["bytes_per_position"].integer(1, kMaxBytes);
  parseCachePlanes(root["cache"], manifest);
  manifest.batch = int32_t(root["batch"].integer(1, 1 << 20));
  manifest.workspaceBytes = root["workspace_bytes"].integer(0, kMaxBytes);
  nameOf(root["scheme"]["method"]);
  if (const JsonField slice = root["tokenizer"]; !slice.isAbsent())
    manifest.tokenizer = parseSlice(slice, manifest.weights);
  if (const JsonField text = root["chat_template"]; !text.isAbsent())
    manifest.chatTemplate = text.string();
  if (const JsonField tokens = root["special_tokens"]; !tokens.isAbsent())
    for (const auto &[role, text] : tokens.members())
      manifest.specialTokens[role] = text.string();
  return manifest;
}

} // namespace

Manifest Manifest::parse(std::string text, const std::string &origin) {
  const nlohmann::json document =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded())
    throw StatusError(FAIRY2_BAD_FILE,
                      origin + ": manifest: expected JSON, found other text");
  try {
    Manifest manifest = parseFields(JsonField(document, origin, "manifest"));
    manifest.text = std::move(text);
    return manifest;
  } catch (const Error &error) {
    throw StatusError(FAIRY2_BAD_FILE, error.what());
  }
}

int64_t Manifest::weightBytesPerToken() const {
  int64_t bytes = 0;
  for (const Layer &layer : layers)
    bytes += layer.bytesPerToken;
  return bytes;
}

} // namespace fairy2
