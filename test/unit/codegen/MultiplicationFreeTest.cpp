// SPDX-License-Identifier: Apache-2.0
//
// The promise of phases: over the columns of a layer there are additions,
// table look-ups and loads, and no product; many tokens at once may be
// multiplied, in a branch of its own. Walks the loops of whole models, for
// every CPU level.
#include "codegen/Pipelines.h"
#include "codegen/RegisterAll.h"
#include "dialect/Fairy2LoopOps.h"
#include "frontend/Checkpoint.h"
#include "frontend/ImportModel.h"
#include "frontend/Synthesize.h"
#include "passes/cpu/CpuTarget.h"
#include "test/unit/frontend/TestFiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace fairy2;

namespace {

/// Whether the op multiplies data. Products of indices are addresses.
bool multiplies(Operation *op) {
  for (Value operand : op->getOperands())
    if (getElementTypeOrSelf(operand.getType()).isIndex())
      return false;
  // A sum of bytes with weight 1, or 4 for high parts, which is a shift.
  if (isa<Sum4AccumulateOp>(op))
    return false;
  const StringRef name = op->getName().stripDialect();
  for (StringRef part :
       {"mul", "fma", "dot", "contract", "outerproduct", "div", "pow", "call"})
    if (name.contains(part))
      return true;
  return false;
}

/// The memory that a load reads or a store writes.
Value memoryOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<vector::LoadOp, vector::StoreOp>(
          [](auto access) { return access.getBase(); })
      .Case<memref::LoadOp, memref::StoreOp>(
          [](auto access) { return access.getMemRef(); })
      .Default(Value());
}

/// The loops of a kernel that run over columns: they read sign planes and leave
/// the output alone, which is written once per row when the sums are there.
SmallVector<scf::ForOp> columnLoops(func::FuncOp kernel) {
  const Value planes = kernel.getArgument(0);
  SmallVector<scf::ForOp> loops;
  kernel.walk([&](scf::ForOp loop) {
    bool readsPlanes = false, writesOutput = false;
    loop.getBody()->walk([&](Operation *op) {
      readsPlanes |= memoryOf(op) == planes;
      // Scratch is what the kernel allocates.
      writesOutput |= isa<vector::StoreOp, memref::StoreOp>(op) &&
                      isa<BlockArgument>(memoryOf(op));
    });
    if (readsPlanes && !writesOutput)
      loops.push_back(loop);
  });
  return loops;
}

/// Whether the op runs only when a call has at least as many tokens as the
/// kernel is told.
bool isForManyTokens(Operation *op) {
  for (auto branch = op->getParentOfType<scf::IfOp>(); branch;
       branch = branch->getParentOfType<scf::IfOp>()) {
    auto compare = branch.getCondition().getDefiningOp<arith::CmpIOp>();
    if (compare && compare.getPredicate() == arith::CmpIPredicate::sge &&
        isa<BlockArgument>(compare.getLhs()) &&
        isa<BlockArgument>(compare.getRhs()) &&
        branch.getThenRegion().isAncestor(op->getParentRegion()))
      return true;
  }
  return false;
}

struct Findings {
  int kernels = 0;
  int loops = 0;
  int withProducts = 0; ///< kernels that multiply many tokens
  std::vector<std::string> products;
};

Findings walk(ModuleOp module) {
  Findings findings;
  for (auto kernel : module.getOps<func::FuncOp>()) {
    if (!kernel.getName().starts_with("phase_linear"))
      continue;
    ++findings.kernels;
    const SmallVector<scf::ForOp> loops = columnLoops(kernel);
    EXPECT_FALSE(loops.empty()) << kernel.getName().str();
    findings.loops += int(loops.size());
    bool hasProducts = false;
    kernel.walk([&](Operation *op) {
      if (isForManyTokens(op)) {
        hasProducts |= isa<Dot4AccumulateOp, Dot2Op>(op);
        return;
      }
      if (isa<Dot4AccumulateOp, Dot2Op>(op) ||
          (multiplies(op) && llvm::any_of(loops, [&](scf::ForOp loop) {
             return loop->isProperAncestor(op);
           })))
        findings.products.push_back(kernel.getName().str() + ": " +
                                    op->getName().getStringRef().str());
    });
    findings.withProducts += hasProducts;
  }
  return findings;
}

class MultiplicationFreeTest : public testing::Test {
protected:
  MultiplicationFreeTest() {
    folder.write("config.json", R"({
      "architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 88, "intermediate_size": 90, "num_hidden_layers": 2,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24,
      "vocab_size": 64, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
      "attention_bias": true, "torch_dtype": "float32"})");
    synthesizeCheckpoint(folder / "config.json", folder / "model", {});
    registerAllDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  /// The whole model at stage loops.
  OwningOpRef<ModuleOp> loopsOf(const CpuTarget &target, int64_t stages,
                                bool floatActivations,
                                ScaleGrid grid = ScaleGrid::Float,
                                StageScales scales = StageScales::Mean) {
    const HFConfig config = HFConfig::read(folder / "model");
    const Checkpoint checkpoint = Checkpoint::open(folder / "model");
    OwningOpRef<ModuleOp> module = importModel(&context, checkpoint, config);
    PassManager pm(&context);
    QuantizeOptions quantize;
    quantize.stages = stages;
    quantize.scaleGrid = grid;
    quantize.stageScales = scales;
    quantize.activations =
        floatActivations ? ActivationKind::Float : ActivationKind::Int8;
    quantize.head = HeadKind::Quantize;
    buildQuantizePipeline(pm, quantize);
    buildPackPipeline(pm);
    LoopsOptions cpu;
    cpu.cpu = target.name.str();
    buildLoopsPipeline(pm, cpu);
    if (failed(pm.run(*module)))
      throw Error("the passes failed");
    return module;
  }

  TemporaryFolder folder;
  DialectRegistry registry;
  MLIRContext context;
};

TEST_F(MultiplicationFreeTest, NoProductOverTheColumns) {
  for (const CpuTarget &target : cpuTargets())
    for (bool isFloat : {false, true})
      for (int64_t stages : {1, 2, 8}) {
        if (target.form == LookupForm::Scalar && !isFloat)
          continue; // The oracle; see below.
        SCOPED_TRACE(target.name.str() + (isFloat ? ", float, " : ", int8, ") +
                     std::to_string(stages));
        OwningOpRef<ModuleOp> module = loopsOf(target, stages, isFloat);
        const Findings findings = walk(*module);
        // q/k/v, o, gate/up, down and the head.
        EXPECT_EQ(findings.kernels, 5);
        EXPECT_GE(findings.loops, findings.kernels);
        EXPECT_EQ(findings.products, std::vector<std::string>());
        EXPECT_EQ(findings.withProducts, 0);
      }
}

/// Pairs of products fit 16 bits where stages are binary and at most 5.
TEST_F(MultiplicationFreeTest, OnTheGridOnlyManyTokensAreMultiplied) {
  for (const CpuTarget &target : cpuTargets())
    for (StageScales scales : {StageScales::Mean, StageScales::Binary})
      for (int64_t stages : {1, 2, 6}) {
        if (target.form == LookupForm::Scalar)
          continue;
        const bool isBinary = scales == StageScales::Binary;
        SCOPED_TRACE(target.name.str() + ", " + std::to_string(stages) +
                     (isBinary ? ", binary" : ", mean"));
        OwningOpRef<ModuleOp> module =
            loopsOf(target, stages, false, ScaleGrid::Int8, scales);
        const Findings findings = walk(*module);
        EXPECT_EQ(findings.kernels, 5);
        EXPECT_GE(findings.loops, findings.kernels);
        EXPECT_EQ(findings.products, std::vector<std::string>());
        const bool multiplies = target.productsFrom && stages > 1 &&
                                (target.dot4() || (isBinary && stages <= 5));
        EXPECT_EQ(findings.withProducts, multiplies ? 5 : 0);
      }
}

TEST_F(MultiplicationFreeTest, TheWalkSeesTheProductsOfTheOracle) {
  OwningOpRef<ModuleOp> module = loopsOf(*findCpuTarget("scalar"), 2, false);
  const Findings findings = walk(*module);
  EXPECT_EQ(findings.kernels, 5);
  EXPECT_GE(findings.products.size(), 5u);
}

TEST_F(MultiplicationFreeTest, TheWalkSeesAPlantedProduct) {
  for (const char *name : {"x86-64-v4-vnni", "x86-64-v3", "aarch64-neon"}) {
    OwningOpRef<ModuleOp> module = loopsOf(*findCpuTarget(name), 2, false);
    scf::ForOp loop;
    for (auto kernel : module->getOps<func::FuncOp>())
      if (!loop && kernel.getName().starts_with("phase_linear"))
        loop = columnLoops(kernel).back();
    ASSERT_TRUE(loop) << name;
    ImplicitLocOpBuilder builder(loop.getLoc(), loop.getBody(),
                                 loop.getBody()->begin());
    Value two =
        arith::ConstantOp::create(builder, builder.getI32IntegerAttr(2));
    arith::MulIOp::create(builder, two, two);
    EXPECT_EQ(walk(*module).products.size(), 1u) << name;
  }
}

} // namespace
