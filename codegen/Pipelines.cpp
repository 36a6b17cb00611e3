// SPDX-License-Identifier: Apache-2.0
//
// The order of passes in every stage, ours and upstream's.
#include "codegen/Pipelines.h"

#include "passes/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace fairy2 {

const char *nameOf(HeadKind head) {
  switch (head) {
  case HeadKind::Keep:
    return "keep";
  case HeadKind::Int8:
    return "int8";
  case HeadKind::Quantize:
    return "quantize";
  }
  llvm_unreachable("all kinds are handled");
}

static void verifyStage(OpPassManager &pm, Stage stage) {
  Fairy2VerifyStagePassOptions options;
  options.stage = stage;
  pm.addPass(createFairy2VerifyStagePass(options));
}

void buildQuantizePipeline(OpPassManager &pm, const QuantizeOptions &options) {
  if (options.signs.hasValue()) {
    Fairy2QuantizeSignsPassOptions quantize;
    quantize.method = options.signs;
    quantize.scales = options.scales;
    quantize.head = options.head == HeadKind::Quantize;
    llvm::append_range(quantize.keep, options.keep);
    quantize.activations = options.activations;
    pm.addPass(createFairy2QuantizeSignsPass(quantize));
  } else if (options.stages > 0) {
    // Which layers can be on phases at all.
    Fairy2ExpandWidelyLinearPassOptions expand;
    expand.head = options.head == HeadKind::Quantize;
    llvm::append_range(expand.keep, options.keep);
    pm.addPass(createFairy2ExpandWidelyLinearPass(expand));
    Fairy2QuantizePhasesPassOptions quantize;
    quantize.stages = options.stages;
    quantize.scales = options.scales;
    quantize.mode = options.mode;
    quantize.stageScales = options.stageScales;
    quantize.scaleGrid = options.scaleGrid;
    llvm::append_range(quantize.stagesFor, options.stagesFor);
    quantize.activations = options.activations;
    pm.addPass(createFairy2QuantizePhasesPass(quantize));
  }
  if (options.head == HeadKind::Int8)
    pm.addPass(createFairy2QuantizeHeadPass());
  // After the head: a table that it keeps as it is serves both.
  if (options.embedding != EmbeddingKind::Keep) {
    Fairy2QuantizeEmbeddingPassOptions embedding;
    embedding.element = options.embedding;
    pm.addPass(createFairy2QuantizeEmbeddingPass(embedding));
  }
  if (options.cache != CacheKind::F32) {
    Fairy2QuantizeCachePassOptions cache;
    cache.element = options.cache;
    pm.addPass(createFairy2QuantizeCachePass(cache));
  }
  // Layers with one input share its quantization ..
  pm.addPass(createCSEPass());
  // .. and then one op, so that targets can share more.
  pm.addNestedPass<func::FuncOp>(createFairy2GroupLinearsPass());
  verifyStage(pm, Stage::Quantized);
}

void buildPackPipeline(OpPassManager &pm) {
  pm.addPass(createFairy2PackWeightsPass());
  verifyStage(pm, Stage::Packed);
}

void buildLoopsPipeline(OpPassManager &pm, const LoopsOptions &options) {
  Fairy2LowerToLoopsPassOptions lower;
  lower.cpu = options.cpu;
  lower.batch = options.batch;
  pm.addPass(createFairy2LowerToLoopsPass(lower));
  // Address arithmetic is emitted without care for constants and repetition.
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  verifyStage(pm, Stage::Loops);
}

void buildLlvmPipeline(OpPassManager &pm, const CpuOptions &options) {
  pm.addPass(createFairy2StripRecipesPass());
  pm.addPass(createFairy2DistributeThreadsPass());
  Fairy2LowerLookupsPassOptions lookups;
  lookups.cpu = options.cpu;
  pm.addPass(createFairy2LowerLookupsPass(lookups));
  pm.addPass(createFairy2ExpandMathPass());
  // Addresses and masks that do not change leave the inner loops.
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // From here on upstream alone. Weights and buffers are bare pointers: their
  // sizes are in the types.
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  FinalizeMemRefToLLVMConversionPassOptions memrefs;
  pm.addPass(createFinalizeMemRefToLLVMConversionPass(memrefs));
  ConvertFuncToLLVMPassOptions functions;
  functions.useBarePtrCallConv = true;
  pm.addPass(createConvertFuncToLLVMPass(functions));
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void registerPipelines() {
  PassPipelineRegistration<QuantizeOptions>("fairy2-to-quantized",
                                            "stage model to stage quantized",
                                            buildQuantizePipeline);
  PassPipelineRegistration<>("fairy2-to-packed",
                             "stage quantized to stage packed",
                             [](OpPassManager &pm) { buildPackPipeline(pm); });
  PassPipelineRegistration<LoopsOptions>(
      "fairy2-to-loops", "stage packed to stage loops", buildLoopsPipeline);
  PassPipelineRegistration<CpuOptions>(
      "fairy2-to-llvm", "stage loops to the LLVM dialect", buildLlvmPipeline);
}

} // namespace fairy2
