// SPDX-License-Identifier: Apache-2.0
//
// Options of quantization that nobody gave get their values here, and those
// that would do nothing are refused.
#include "codegen/ResolveScheme.h"

#include "codegen/Compile.h"
#include "dialect/Fairy2WeightOps.h"
#include "runtime/support/Error.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// Of a checkpoint that says nothing of training.
constexpr PhaseScheme kUntrained = {4, ScaleGranularity::Row,
                                    QuantizeMode::Canonical,
                                    StageScales::Binary, ScaleGrid::Int8};
/// Fairy2i's own: 2 stages per tensor, scales that are means.
constexpr PhaseScheme kMethodsOwn = {2};

/// An option that was given for nothing.
struct Unused {
  bool isGiven;
  const char *name;
};

void refuse(std::initializer_list<Unused> options, const std::string &text) {
  for (const Unused &option : options)
    if (option.isGiven)
      throw Error(std::string(option.name) + ": " + text);
}

WeightOp findStored(ModuleOp module) {
  for (auto weight : module.getOps<WeightOp>())
    if (weight.getPhases())
      return weight;
  return nullptr;
}

/// What phases alone have is not asked for beside a method of signs.
void requireSignOptions(const QuantizeOptions &options, WeightOp stored) {
  const std::string method = nameOf(options.signs);
  refuse({{options.mode != QuantizeMode::Canonical, "--mode"},
          {options.stageScales.hasValue(), "--stage-scales"},
          {options.scaleGrid.hasValue(), "--scale-grid"},
          {!options.stagesFor.empty(), "--stages-for"}},
         "expected a method of complex phases beside it, found " + method);
  if (options.scales == ScaleGranularity::Tile)
    throw Error("--scales: expected tensor or row with method " + method +
                ", found tile");
  if (stored)
    throw Error(stored.getFile()->str() + ": tensor '" +
                stored.getSymName().str() +
                "' is stored as phases; expected no other method to be asked "
                "for");
}

/// Nor is how to quantize, where nothing is quantized.
void requireDenseOptions(const QuantizeOptions &options) {
  refuse({{options.scales.hasValue(), "--scales"},
          {options.mode.hasValue(), "--mode"},
          {options.stageScales.hasValue(), "--stage-scales"},
          {options.scaleGrid.hasValue(), "--scale-grid"},
          {!options.keep.empty(), "--keep"},
          {!options.stagesFor.empty(), "--stages-for"},
          {options.head == HeadKind::Quantize, "--lm-head=quantize"}},
         "expected a method beside it that quantizes, found none");
}

ScaleGrid defaultGrid(const PhaseScheme &base, StageScales stageScales,
                      int64_t stages) {
  if (stageScales == base.stageScales && stages == base.stages)
    return base.grid;
  return gridThatSuits(stageScales, stages);
}

void setPhases(const PhaseScheme &base, QuantizeOptions &options) {
  if (!options.stages.hasValue())
    options.stages = base.stages;
  if (!options.scales.hasValue())
    options.scales = base.scales;
  if (!options.stageScales.hasValue())
    options.stageScales = base.stageScales;
  if (!options.scaleGrid.hasValue())
    options.scaleGrid =
        defaultGrid(base, options.stageScales, int64_t(options.stages));
}

/// Nothing but what is stored may be asked for.
void setStored(WeightOp stored, QuantizeOptions &options) {
  const PhaseScheme scheme = phaseSchemeOf(*stored.getPhases());
  auto isOther = [](const auto &option, auto value) {
    return option.hasValue() && option != value;
  };
  if (isOther(options.stages, scheme.stages) ||
      isOther(options.scales, scheme.scales) ||
      isOther(options.stageScales, scheme.stageScales) ||
      isOther(options.scaleGrid, scheme.grid) ||
      options.mode != QuantizeMode::Canonical)
    throw Error(
        stored.getFile()->str() + ": tensor '" + stored.getSymName().str() +
        "' is stored as phases of " + std::to_string(scheme.stages) +
        " stages with scales per " + nameOf(scheme.scales) + ", stage scales " +
        nameOf(scheme.stageScales) + " and scale grid " + nameOf(scheme.grid) +
        "; expected no other stages, scales, grid or mode to be asked "
        "for");
  setPhases(scheme, options);
}

/// The method that a checkpoint was trained for, where none is asked for.
void setTrainedMethod(const TrainedScheme &trained, QuantizeOptions &options) {
  if (options.signs.hasValue() || options.stages.hasValue() ||
      options.mode.hasValue())
    return;
  if (trained.signs) {
    options.signs = trained.signs->method;
    if (!options.scales.hasValue())
      options.scales = trained.signs->scales;
  } else if (!trained.phases) {
    options.stages = 0;
  }
}

} // namespace

void resolveScheme(ModuleOp module, const std::optional<TrainedScheme> &trained,
                   bool isMethodNamed, QuantizeOptions &options) {
  if (trained) {
    setTrainedMethod(*trained, options);
    if (!options.activations.hasValue() && !trained->quantizesActivations)
      options.activations = ActivationKind::Float;
    if (!options.head.hasValue() && trained->quantizesHead &&
        options.stages != 0)
      options.head = HeadKind::Quantize;
  }
  WeightOp stored = findStored(module);
  if (options.signs.hasValue())
    return requireSignOptions(options, stored);
  if (options.stages == 0)
    return requireDenseOptions(options);
  if (stored)
    return setStored(stored, options);
  if (isMethodNamed || options.mode == QuantizeMode::OfficialBF16)
    return setPhases(kMethodsOwn, options);
  setPhases(trained && trained->phases ? *trained->phases : kUntrained,
            options);
}

bool isAsTrained(const TrainedScheme &trained, const QuantizeOptions &options) {
  if (!options.stagesFor.empty())
    return false;
  if (options.signs.hasValue())
    return trained.signs && trained.signs->method == options.signs &&
           trained.signs->scales == options.scales;
  return trained.phases &&
         *trained.phases == PhaseScheme{int(options.stages), options.scales,
                                        options.mode, options.stageScales,
                                        options.scaleGrid};
}

} // namespace fairy2
