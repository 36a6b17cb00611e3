// SPDX-License-Identifier: Apache-2.0
//
// Widely-linear layers become layers on phases; their weights, recipes.
#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "passes/LayerPatterns.h"
#include "passes/Passes.h"
#include "passes/QuantizeActivations.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZEPHASESPASS
#include "passes/Passes.h.inc"

namespace {

struct QuantizePhases : impl::Fairy2QuantizePhasesPassBase<QuantizePhases> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto emitError = [&] { return module.emitError(); };
    const SchemeAttr attribute = SchemeAttr::getChecked(
        emitError, &getContext(), int64_t(stages), scales.getValue(),
        mode.getValue(), stageScales.getValue(), scaleGrid.getValue(),
        activations.getValue());
    if (!attribute)
      return signalPassFailure();
    scheme = phaseSchemeOf(attribute);
    LayerPatterns patterns("--stages-for");
    overrides = &patterns;
    overridden.clear();
    for (const std::string &text : stagesFor)
      if (failed(addOverride(text)))
        return signalPassFailure();
    SymbolTable symbols(module);
    // The functions of inner modules have symbols of their own.
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](WidelyLinearOp linear) { quantize(linear, symbols); });
    if (failed(patterns.verifyUsed(module)))
      signalPassFailure();
  }

private:
  /// REGEX=T.
  LogicalResult addOverride(StringRef text) {
    const auto [regex, number] = text.rsplit('=');
    int64_t count = 0;
    if (number.getAsInteger(10, count) || count < 1 || count > kMaxStages)
      return getOperation().emitError("--stages-for: expected REGEX=T with T "
                                      "from 1 to ")
             << kMaxStages << ", found '" << text << "'";
    PhaseScheme other = scheme;
    other.stages = int(count);
    if (const std::string fault = schemeFault(other); !fault.empty())
      return getOperation().emitError("--stages-for: ") << fault;
    overridden.push_back(other);
    return overrides->add(regex, getOperation());
  }

  void quantize(WidelyLinearOp linear, SymbolTable &symbols) {
    FlatSymbolRefAttr phases = phasesOf(linear, symbols);
    OpBuilder builder(linear);
    const QuantizedInput input =
        quantizeInput(linear, linear.getInput(), activations);
    ArrayAttr biases;
    if (linear.getBiasAttr())
      biases = builder.getArrayAttr({linear.getBiasAttr()});
    auto onPhases = PhaseLinearOp::create(
        builder, linear.getLoc(), TypeRange{linear.getResult().getType()},
        input.values, input.scales, builder.getArrayAttr({phases}), biases);
    linear.replaceAllUsesWith(onPhases.getResult(0));
    linear.erase();
  }

  /// The recipe beside the layer's weight, made at its first use.
  FlatSymbolRefAttr phasesOf(WidelyLinearOp linear, SymbolTable &symbols) {
    const std::string name = (linear.getWeight() + ".phases").str();
    if (!symbols.lookup(name)) {
      auto weight = symbols.lookup<WeightOp>(linear.getWeight());
      OpBuilder builder(&getContext());
      builder.setInsertionPointAfter(weight);
      symbols.insert(PhaseQuantizeOp::create(builder, weight.getLoc(), name,
                                             linear.getWeight(),
                                             schemeOf(weight)));
    }
    return FlatSymbolRefAttr::get(&getContext(), name);
  }

  /// What is stored as phases stays as it is.
  SchemeAttr schemeOf(WeightOp weight) {
    const auto found = overrides->find(layerName(weight.getSymName()));
    PhaseScheme result = found ? overridden[*found] : scheme;
    if (StoredPhasesAttr stored = weight.getPhasesAttr()) {
      if (found && result.stages != stored.getStages()) {
        getOperation().emitError("--stages-for: ")
            << weight.getSymName() << " is stored as phases of "
            << stored.getStages() << " stages";
        signalPassFailure();
      }
      result = phaseSchemeOf(stored);
    }
    return schemeAttrOf(&getContext(), result, activations.getValue());
  }

  PhaseScheme scheme;
  LayerPatterns *overrides = nullptr;
  std::vector<PhaseScheme> overridden; ///< by the number of the expression
};

} // namespace
} // namespace fairy2
