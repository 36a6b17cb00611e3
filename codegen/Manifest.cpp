// SPDX-License-Identifier: Apache-2.0
//
// Reads the packed module and the lowered one back into the fields of the
// manifest, so that it tells what the code does and not what was planned.
#include "codegen/Manifest.h"

#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "runtime/support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// [out, in] of the weight behind a pack's source; rows of all sources add up.
std::vector<int64_t> packShape(PackOp pack) {
  std::vector<int64_t> shape;
  for (auto symbol : pack.getSources().getAsRange<FlatSymbolRefAttr>()) {
    auto type = weightBehind(SymbolTable::lookupNearestSymbolFrom(pack, symbol))
                    .getTensorType();
    if (shape.empty())
      shape.assign(type.getShape().begin(), type.getShape().end());
    else
      shape[0] += type.getDimSize(0);
  }
  return shape;
}

/// The ops that read the pack, in their order: an embedding and a head may
/// share one.
std::vector<std::string> readersOf(ModuleOp module, PackOp pack) {
  std::vector<std::string> names;
  module.walk([&](Operation *op) {
    if (op->getBlock() == module.getBody())
      return;
    for (NamedAttribute attribute : op->getAttrs())
      if (auto symbol = dyn_cast<FlatSymbolRefAttr>(attribute.getValue()))
        if (symbol.getValue() == pack.getSymName())
          names.push_back(op->getName().stripDialect().str());
  });
  return names;
}

/// What became of the embedding; one that is tied to the head may have been
/// kept against the options.
EmbeddingKind embeddingOf(ModuleOp packed) {
  auto kind = EmbeddingKind::Keep;
  packed.walk([&](EmbeddingOp embedding) {
    auto pack = cast<PackOp>(SymbolTable::lookupNearestSymbolFrom(
        embedding, embedding.getWeightAttr()));
    if (pack.getKind() == PackingKind::Int8)
      kind = EmbeddingKind::Int8;
    else if (pack.getKind() == PackingKind::Int4)
      kind = EmbeddingKind::Int4;
  });
  return kind;
}

/// The layer whose bytes of the weight section an operand of a step points at,
/// or -1.
int64_t layerBehind(Value operand, func::FuncOp entry,
                    const nlohmann::json &layers) {
  auto view = operand.getDefiningOp<memref::ViewOp>();
  if (!view || view.getSource() != entry.getArgument(0))
    return -1;
  const std::optional<int64_t> start = getConstantIntValue(view.getByteShift());
  if (!start)
    return -1;
  for (const auto &[i, layer] : llvm::enumerate(layers))
    if (*start >= layer["offset"].get<int64_t>() &&
        *start < layer["offset"].get<int64_t>() + layer["bytes"].get<int64_t>())
      return int64_t(i);
  return -1;
}

/// What one forward call does, in order: the names of its kernels, and per step
/// [kernel, layer whose weights it reads or -1].
nlohmann::json stepsOf(func::FuncOp entry, const nlohmann::json &layers) {
  nlohmann::json kernels = nlohmann::json::array();
  nlohmann::json steps = nlohmann::json::array();
  llvm::StringMap<int64_t> number;
  for (auto call : entry.getOps<func::CallOp>()) {
    const auto [it, isNew] =
        number.try_emplace(call.getCallee(), int64_t(kernels.size()));
    if (isNew)
      kernels.push_back(call.getCallee().str());
    int64_t layer = -1;
    for (Value operand : call.getOperands())
      layer = std::max(layer, layerBehind(operand, entry, layers));
    steps.push_back({it->second, layer});
  }
  return {{"kernels", kernels}, {"steps", steps}};
}

} // namespace

ManifestBuilder::ManifestBuilder(ModuleOp packed, const ModelAssets &assets,
                                 const CompileOptions &options)
    : packed(packed) {
  manifest["producer"] = "fairy2-compile " FAIRY2_VERSION;
  manifest["model"] = assets.model;
  const QuantizeOptions &quantize = options.quantize;
  const int64_t stages = quantize.signs.hasValue()
                             ? SignScheme{quantize.signs}.planes()
                             : int64_t(quantize.stages);
  manifest["scheme"] = {
      {"method", methodName(quantize)},
      {"stages", stages},
      {"scales", nameOf(quantize.scales)},
      {"mode", nameOf(quantize.mode)},
      {"activations",
       nameOf(stages == 0 ? ActivationKind::Float : quantize.activations)},
      {"lm_head", nameOf(quantize.head)},
      {"embedding", nameOf(embeddingOf(packed))},
      {"kv_cache", nameOf(quantize.cache)}};
  if (!quantize.signs.hasValue() && stages > 0) {
    manifest["scheme"]["stage_scales"] = nameOf(quantize.stageScales);
    manifest["scheme"]["scale_grid"] = nameOf(quantize.scaleGrid);
  }
  manifest["batch"] = int64_t(options.loops.batch);
  manifest["variants"] = nlohmann::json::array();
  manifest["workspace_bytes"] = 0;
  if (!assets.chatTemplate.empty())
    manifest["chat_template"] = assets.chatTemplate;
  if (!assets.specialTokens.empty())
    manifest["special_tokens"] = assets.specialTokens;
  for (auto pack : packed.getOps<PackOp>()) {
    const std::vector<int64_t> shape = packShape(pack);
    int64_t parameters = 1;
    for (int64_t extent : shape)
      parameters *= extent;
    const std::vector<std::string> readers = readersOf(packed, pack);
    // An embedding reads one row per token, everything else all rows.
    int64_t bytesPerToken = 0;
    for (const std::string &reader : readers)
      bytesPerToken += int64_t(pack.getBytes()) /
                       (reader == "embedding" ? shape.front() : 1);
    manifest["layers"].push_back(
        {{"name", pack.getSymName().str()},
         {"op", llvm::join(readers, "+")},
         {"packing", stringifyPackingKind(pack.getKind()).str()},
         {"shape", shape},
         {"bits_per_parameter",
          double(pack.getBytes()) * 8 / double(parameters)},
         {"offset", int64_t(pack.getOffset())},
         {"bytes", int64_t(pack.getBytes())},
         {"bytes_per_token", bytesPerToken},
         {"kernels", nlohmann::json::object()}});
  }
}

void ManifestBuilder::addVariant(ModuleOp loops, const CpuTarget &target,
                                 const std::string &symbol) {
  auto entry = loops.lookupSymbol<func::FuncOp>("forward");
  if (!entry)
    throw Error("the module has no function @forward");
  auto number = [&](StringRef name) {
    return entry->getAttrOfType<IntegerAttr>(name).getInt();
  };
  manifest["cache"]["bytes_per_position"] =
      number("fairy2.cache_bytes_per_position");
  manifest["cache"]["layers"] = number("fairy2.cache_layers");
  auto &planes = manifest["cache"]["planes"] = nlohmann::json::array();
  const ArrayRef<int64_t> pairs =
      entry->getAttrOfType<DenseI64ArrayAttr>("fairy2.cache_planes");
  for (size_t i = 0; i + 1 < pairs.size(); i += 2)
    planes.push_back({pairs[i], pairs[i + 1]});
  // One workspace serves whichever variant is chosen.
  manifest["workspace_bytes"] =
      std::max(manifest["workspace_bytes"].get<int64_t>(),
               number("fairy2.workspace_bytes"));
  llvm::SmallVector<StringRef> features;
  target.required.split(features, ',');
  nlohmann::json names = nlohmann::json::array();
  for (StringRef feature : features)
    names.push_back(feature.str());
  nlohmann::json variant = stepsOf(entry, manifest["layers"]);
  variant["name"] = target.name.str();
  variant["symbol"] = symbol;
  variant["features"] = names;
  if (const auto from =
          entry->getAttrOfType<IntegerAttr>("fairy2.products_from"))
    variant["products_from"] = from.getInt();
  manifest["variants"].push_back(std::move(variant));
  for (nlohmann::json &layer : manifest["layers"]) {
    auto pack = loops.lookupSymbol<PackOp>(layer["name"].get<std::string>());
    if (auto kernel = pack->getAttrOfType<StringAttr>("kernel"))
      layer["kernels"][target.name.str()] = kernel.getValue().str();
  }
}

void ManifestBuilder::setGrids(const WeightFactsMap &facts) {
  for (nlohmann::json &layer : manifest["layers"]) {
    auto pack = packed.lookupSymbol<PackOp>(layer["name"].get<std::string>());
    for (auto symbol : pack.getSources().getAsRange<FlatSymbolRefAttr>()) {
      const std::string weight =
          weightBehind(SymbolTable::lookupNearestSymbolFrom(pack, symbol))
              .getSymName()
              .str();
      const auto found = facts.find(weight);
      if (found == facts.end() || !found->second.grid)
        continue;
      const WeightGrid &grid = *found->second.grid;
      nlohmann::json integers = nlohmann::json::array();
      for (AxisIntegers set : grid.integers)
        integers.push_back({int(set.re), int(set.im)});
      layer["grids"].push_back(
          {{"weight", weight},
           {"units", {grid.smallestUnit, grid.largestUnit}},
           {"integers", integers}});
    }
  }
}

void ManifestBuilder::setTokenizer(int64_t offset, int64_t bytes) {
  manifest["tokenizer"] = {{"offset", offset}, {"bytes", bytes}};
}

std::vector<LayerSummary> ManifestBuilder::layers() const {
  std::vector<LayerSummary> result;
  std::string best; // The first target.
  if (!manifest["variants"].empty())
    best = manifest["variants"].front()["name"];
  for (const nlohmann::json &layer : manifest["layers"]) {
    LayerSummary summary;
    summary.name = layer["name"];
    summary.op = layer["op"];
    summary.kernel = layer["kernels"].value(best, "");
    summary.parameters = 1;
    for (int64_t extent : layer["shape"])
      summary.parameters *= extent;
    summary.bytes = layer["bytes"];
    result.push_back(summary);
  }
  return result;
}

} // namespace fairy2
