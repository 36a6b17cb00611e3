// SPDX-License-Identifier: Apache-2.0
//
// Linear layers become layers on sign planes; their weights, recipes.
#include "passes/Passes.h"
#include "passes/QuantizeActivations.h"
#include "passes/StaysDense.h"

#include "dialect/Fairy2WeightOps.h"
using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZESIGNSPASS
#include "passes/Passes.h.inc"

namespace {

struct QuantizeSigns : impl::Fairy2QuantizeSignsPassBase<QuantizeSigns> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    const SignSchemeAttr scheme = SignSchemeAttr::getChecked(
        [&] { return module.emitError(); }, &getContext(), method.getValue(),
        scales.getValue(), activations.getValue());
    if (!scheme)
      return signalPassFailure();
    LayerPatterns kept("--keep");
    for (const std::string &text : keep)
      if (failed(kept.add(text, module)))
        return signalPassFailure();
    SymbolTable symbols(module);
    // The functions of inner modules have symbols of their own.
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](LinearOp linear) {
        if (isLeftAlone(linear, head, kept, getArgument()))
          return;
        if (featuresOf(linear.getInput()) % 2)
          return remarkStaysDense(linear, "OddExtent", getArgument(),
                                  "columns have no two halves, their number is "
                                  "odd");
        quantize(linear, scheme, symbols);
      });
    if (failed(kept.verifyUsed(module)))
      signalPassFailure();
  }

private:
  void quantize(LinearOp linear, SignSchemeAttr scheme, SymbolTable &symbols) {
    const QuantizedInput input =
        quantizeInput(linear, linear.getInput(), activations);
    OpBuilder builder(linear);
    ArrayAttr biases;
    if (linear.getBiasAttr())
      biases = builder.getArrayAttr({linear.getBiasAttr()});
    auto onSigns = SignLinearOp::create(
        builder, linear.getLoc(), TypeRange{linear.getResult().getType()},
        input.values, input.scales,
        builder.getArrayAttr({signsOf(linear, scheme, symbols)}), biases);
    linear.replaceAllUsesWith(onSigns.getResult(0));
    linear.erase();
  }

  /// The recipe beside the layer's weight, made at its first use.
  FlatSymbolRefAttr signsOf(LinearOp linear, SignSchemeAttr scheme,
                            SymbolTable &symbols) {
    const std::string name = (linear.getWeight() + ".signs").str();
    if (!symbols.lookup(name)) {
      auto weight = symbols.lookup<WeightOp>(linear.getWeight());
      OpBuilder builder(&getContext());
      builder.setInsertionPointAfter(weight);
      symbols.insert(SignQuantizeOp::create(builder, weight.getLoc(), name,
                                            linear.getWeight(), scheme));
    }
    return FlatSymbolRefAttr::get(&getContext(), name);
  }
};

} // namespace
} // namespace fairy2
