// SPDX-License-Identifier: Apache-2.0
//
// Linear layers become layers on sign planes; their weights, recipes.
#include "passes/LayerPatterns.h"
#include "passes/Passes.h"
#include "passes/QuantizeActivations.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZESIGNSPASS
#include "passes/Passes.h.inc"

namespace {

struct QuantizeSigns : impl::Fairy2QuantizeSignsPassBase<QuantizeSigns> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    const auto known = signMethodFromName(method);
    if (!known) {
      module.emitError(
          "expected method bitnet, ternary, sign2 or int2, found '")
          << method << "'";
      return signalPassFailure();
    }
    const auto granularity = granularityFromName(scales);
    if (!granularity) {
      module.emitError("expected scales per tensor or row, found '")
          << scales << "'";
      return signalPassFailure();
    }
    const SignSchemeAttr scheme = SignSchemeAttr::getChecked(
        [&] { return module.emitError(); }, &getContext(), *known, *granularity,
        floatActivations ? ActivationKind::Float : ActivationKind::Int8);
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
        if (linear.getHead() && !head)
          return;
        if (!kept.find(layerName(linear.getWeight())) && isEven(linear))
          quantize(linear, scheme, symbols);
      });
    if (failed(kept.verifyUsed(module)))
      signalPassFailure();
  }

private:
  /// Columns are read in two halves.
  static bool isEven(LinearOp linear) {
    const int64_t in = featuresOf(linear.getInput());
    if (in % 2)
      remark::missed(linear.getLoc(), remark::RemarkOpts::name("OddExtent")
                                          .category("fairy2-quantize-signs"))
          << remark::reason("{0} of {1} x {2} stays in higher precision: "
                            "columns have no two halves",
                            linear.getWeight(), featuresOf(linear.getResult()),
                            in);
    return in % 2 == 0;
  }

  void quantize(LinearOp linear, SignSchemeAttr scheme, SymbolTable &symbols) {
    const QuantizedInput input =
        quantizeInput(linear, linear.getInput(), floatActivations);
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
