// SPDX-License-Identifier: Apache-2.0
//
// Widely-linear layers become layers on phases; their weights, recipes.
#include "passes/Passes.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZEPHASESPASS
#include "passes/Passes.h.inc"

namespace {

struct QuantizePhases : impl::Fairy2QuantizePhasesPassBase<QuantizePhases> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (stages < 1 || stages > kMaxStages) {
      module.emitError("expected 1 to ")
          << kMaxStages << " stages, found " << int64_t(stages);
      return signalPassFailure();
    }
    scheme = SchemeAttr::get(&getContext(), stages,
                             floatActivations ? ActivationKind::Float
                                              : ActivationKind::Int8);
    SymbolTable symbols(module);
    // The functions of inner modules have symbols of their own.
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](WidelyLinearOp linear) { quantize(linear, symbols); });
  }

private:
  void quantize(WidelyLinearOp linear, SymbolTable &symbols) {
    FlatSymbolRefAttr phases = phasesOf(linear, symbols);
    OpBuilder builder(linear);
    Value input = linear.getInput(), scales;
    if (!floatActivations) {
      auto quantized = QuantizeActivationsOp::create(
          builder, linear.getLoc(),
          cast<RankedTensorType>(input.getType()).clone(builder.getI8Type()),
          RankedTensorType::get({ShapedType::kDynamic}, builder.getF32Type()),
          input);
      input = quantized.getValues();
      scales = quantized.getScales();
    }
    ArrayAttr biases;
    if (linear.getBiasAttr())
      biases = builder.getArrayAttr({linear.getBiasAttr()});
    auto onPhases = PhaseLinearOp::create(
        builder, linear.getLoc(), TypeRange{linear.getResult().getType()},
        input, scales, builder.getArrayAttr({phases}), biases);
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
                                             linear.getWeight(), scheme));
    }
    return FlatSymbolRefAttr::get(&getContext(), name);
  }

  SchemeAttr scheme;
};

} // namespace
} // namespace fairy2
