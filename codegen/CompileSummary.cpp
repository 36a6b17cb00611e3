// SPDX-License-Identifier: Apache-2.0
//
// Gathers layers of one kind and one form into a line each, and draws the
// tables that fairy2-compile prints.
#include "codegen/CompileSummary.h"

#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "passes/LayerPatterns.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace mlir;

namespace fairy2 {
namespace {

/// Units and integers, "8" for sets whose four are equal, else "U re/im W
/// re/im" as "9/8 8/8".
std::string gridText(const WeightGrid &grid) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << "unit " << llvm::format("%.4g", grid.smallestUnit);
  if (grid.largestUnit != grid.smallestUnit)
    out << llvm::format(" to %.4g", grid.largestUnit);
  if (!grid.integers.empty())
    out << " x";
  for (size_t set = 0; set < grid.integers.size(); set += 2) {
    const AxisIntegers u = grid.integers[set], w = grid.integers[set + 1];
    if (u == w && u.re == u.im)
      out << " " << int(u.re);
    else
      out << " " << int(u.re) << "/" << int(u.im) << " " << int(w.re) << "/"
          << int(w.im);
  }
  return text;
}

/// What the weight behind a source of a layer's pack became.
QuantizedLayer quantizedLayer(PackOp pack, FlatSymbolRefAttr source,
                              const WeightFactsMap &facts,
                              const DenseReasons &reasons) {
  QuantizedLayer layer;
  llvm::raw_string_ostream form(layer.form);
  Operation *recipe = SymbolTable::lookupNearestSymbolFrom(pack, source);
  WeightOp weight = weightBehind(recipe);
  if (auto phases = dyn_cast<PhaseQuantizeOp>(recipe)) {
    const PhaseScheme scheme = phaseSchemeOf(phases.getScheme());
    form << scheme.stages
         << (scheme.stageScales == StageScales::Binary ? " binary" : "")
         << (scheme.stages == 1 ? " stage, " : " stages, ")
         << nameOf(scheme.scales)
         << (scheme.grid == ScaleGrid::Int8 ? ", int8" : "");
  } else if (auto signs = dyn_cast<SignQuantizeOp>(recipe)) {
    const SignScheme scheme = signSchemeOf(signs.getScheme());
    form << nameOf(scheme.method) << ", " << nameOf(scheme.scales);
  } else if (pack.holdsIntegers()) {
    form << stringifyPackingKind(pack.getKind());
  } else {
    form << weight.getTensorType().getElementType();
  }
  layer.onPlanes = pack.holdsPlanes();
  layer.name = layerName(weight.getSymName()).str();
  const StringRef measured =
      pack.holdsIntegers() ? pack.getSymName() : weight.getSymName();
  if (const auto found = facts.find(measured.str()); found != facts.end()) {
    if (found->second.error)
      layer.relativeError = found->second.error->relative();
    if (found->second.grid)
      layer.grid = gridText(*found->second.grid);
  }
  if (const auto found = reasons.find(layer.name);
      found != reasons.end() && pack.getKind() == PackingKind::Dense)
    layer.reason = found->second;
  return layer;
}

/// "model.layers.*.mlp.up_proj" for that of every number.
std::string kindOf(const std::string &layer) {
  std::string kind;
  for (size_t i = 0; i < layer.size(); ++i) {
    if (!llvm::isDigit(layer[i]))
      kind += layer[i];
    else if (i == 0 || !llvm::isDigit(layer[i - 1]))
      kind += '*';
  }
  return kind;
}

/// One line for the weights that one kernel reads.
void printWeights(llvm::raw_ostream &out,
                  const std::vector<LayerSummary> &layers) {
  struct Group {
    int64_t packs = 0, parameters = 0, bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (const LayerSummary &layer : layers) {
    Group &group = groups[{layer.op, layer.kernel}];
    ++group.packs;
    group.parameters += layer.parameters;
    group.bytes += layer.bytes;
  }
  if (!groups.empty())
    out << llvm::format("%-16s %-20s %6s %14s %14s %9s\n", "weights of",
                        "kernel", "packs", "parameters", "bytes", "bits/par.");
  for (const auto &[key, group] : groups)
    out << llvm::format(
        "%-16s %-20s %6lld %14lld %14lld %9.3f\n", key.first.c_str(),
        key.second.empty() ? "-" : key.second.c_str(), (long long)group.packs,
        (long long)group.parameters, (long long)group.bytes,
        8.0 * double(group.bytes) / double(group.parameters));
}

/// One line for the layers of one kind and form: their mean error, the worst
/// and whose it is.
void printQuantized(llvm::raw_ostream &out,
                    const std::vector<QuantizedLayer> &layers,
                    bool everyLayer) {
  struct Group {
    int64_t count = 0;
    double sum = 0;
    const QuantizedLayer *first = nullptr, *worst = nullptr;
  };
  using Key = std::tuple<std::string, std::string, std::string>;
  llvm::MapVector<Key, Group, std::map<Key, unsigned>> groups;
  for (const QuantizedLayer &layer : layers) {
    Group &group = groups[{everyLayer ? layer.name : kindOf(layer.name),
                           layer.form, layer.reason}];
    if (++group.count == 1)
      group.first = &layer;
    if (!layer.relativeError)
      continue;
    group.sum += *layer.relativeError;
    if (!group.worst || *layer.relativeError > *group.worst->relativeError)
      group.worst = &layer;
  }
  if (!groups.empty())
    out << llvm::format("%-36s %-24s %6s %14s\n", "layers", "form", "number",
                        "|A-Aq|/|A|");
  for (const auto &[key, group] : groups) {
    const auto &[kind, form, reason] = key;
    out << llvm::format("%-36s %-24s %6lld", kind.c_str(), form.c_str(),
                        (long long)group.count);
    if (!reason.empty())
      out << "  " << reason;
    if (group.worst)
      out << llvm::format(" %14.4f", group.sum / double(group.count));
    if (group.worst && group.count > 1)
      out << llvm::format(", worst %.4f in ", *group.worst->relativeError)
          << group.worst->name;
    if (everyLayer && !group.first->grid.empty())
      out << ", " << group.first->grid;
    out << "\n";
  }
}

/// The mean |A-Aq|/|A| above which the user is warned. Independent of who
/// shares scales, models of normal weights lose 0.63, 0.40 and 0.29 with one,
/// two and three stages of means, and 0.60, 0.34 and 0.19 with binary ones
/// (stories260K).
constexpr double kBearableError = 0.2;
/// Above this the user hears what does better at the same bits: four binary
/// stages lose 0.1, five half of that.
constexpr double kNoticeableError = 0.04;

void printAdvice(llvm::raw_ostream &out, const CompileSummary &summary) {
  if (summary.isAsTrained)
    return;
  double sum = 0;
  int64_t count = 0;
  for (const QuantizedLayer &layer : summary.quantized)
    if (layer.relativeError && layer.onPlanes) {
      sum += *layer.relativeError;
      ++count;
    }
  if (count && sum > kBearableError * double(count))
    out << llvm::format(
        "note: the weights lose %.2f of their norm; unless the model was "
        "trained for that (fairy2-train), expect text that makes little "
        "sense: more stages (--stages), fairy2-quantize or training help\n",
        sum / double(count));
  else if (count && sum > kNoticeableError * double(count))
    out << llvm::format(
        "note: the weights lose %.2f of their norm; with some text "
        "fairy2-quantize keeps more of the model at the same bits\n",
        sum / double(count));
}

} // namespace

std::vector<QuantizedLayer> quantizedLayers(ModuleOp packed,
                                            const WeightFactsMap &facts,
                                            const DenseReasons &reasons) {
  std::vector<QuantizedLayer> layers;
  llvm::StringSet<> ofLinears; // Packs: a tied embedding is listed as the head.
  packed.walk(
      [&](PackedLinearOp linear) { ofLinears.insert(linear.getPack()); });
  auto add = [&](Operation *op, FlatSymbolRefAttr symbol) {
    auto pack = cast<PackOp>(SymbolTable::lookupNearestSymbolFrom(op, symbol));
    for (auto source : pack.getSources().getAsRange<FlatSymbolRefAttr>())
      layers.push_back(quantizedLayer(pack, source, facts, reasons));
  };
  packed.walk([&](Operation *op) {
    if (auto linear = dyn_cast<PackedLinearOp>(op))
      add(op, linear.getPackAttr());
    else if (auto embedding = dyn_cast<EmbeddingOp>(op);
             embedding && !ofLinears.contains(embedding.getWeight()))
      add(op, embedding.getWeightAttr());
  });
  return layers;
}

std::string toTables(const CompileSummary &summary, bool everyLayer) {
  std::string text;
  llvm::raw_string_ostream out(text);
  printWeights(out, summary.layers);
  printQuantized(out, summary.quantized, everyLayer);
  printAdvice(out, summary);
  return text;
}

} // namespace fairy2
