// SPDX-License-Identifier: Apache-2.0
//
// Two ops share a kernel only if nothing that its body may hold differs: two
// entry functions of one module, equal but for one attribute, are lowered and
// the kernels that they call are compared. Every attribute of every op that has
// kernels is tried.
#include "codegen/RegisterAll.h"
#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "passes/Passes.h"
#include "passes/cpu/loops/Lowerings.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/STLExtras.h"

#include <gtest/gtest.h>

#include <set>

using namespace mlir;
using namespace fairy2;

namespace {

/// Weights of one shape and the forms in which they are packed.
std::string globals() {
  std::string text = R"(
!ids = tensor<?xi32>
!row = tensor<?x64xf32>
!logits = tensor<?x32xf32>
!cache = !fairy2.kv_cache<layers = 2, heads = 4, dim = 16>
fairy2.weight @w : tensor<32x64xf32> from "f" at 0
fairy2.weight @v : tensor<32x64xf32> from "f" at 8192
fairy2.weight @half : tensor<32x64xf16> from "f" at 16384
fairy2.weight @bias : tensor<32xf32> from "f" at 20480
fairy2.weight @n : tensor<64xf32> from "f" at 20608
fairy2.weight @m : tensor<64xf32> from "f" at 20864
fairy2.weight @n4 : tensor<16xf32> from "f" at 21120
)";
  int64_t offset = 0;
  auto pack = [&](const std::string &name, const std::string &kind,
                  const std::string &sources, int64_t bytes) {
    text += "fairy2.pack @" + name + ".pack <" + kind + "> " + sources +
            " {bytes = " + std::to_string(bytes) +
            " : i64, offset = " + std::to_string(offset) + " : i64}\n";
    offset += bytes;
  };
  auto planes = [&](const std::string &name, const std::string &weight,
                    const std::string &scheme, int64_t bytes) {
    text += "fairy2.phase_quantize @" + name + " of @" + weight +
            " #fairy2.scheme<" + scheme + ", activations = float>\n";
    pack(name, "plane_stream", "[@" + name + "]", bytes);
  };
  pack("w", "dense", "[@w]", 8192);
  pack("v", "dense", "[@v]", 8192);
  pack("half", "dense", "[@half]", 4096);
  pack("biased", "dense", "[@w] biases [@bias]", 8320);
  pack("n", "dense", "[@n]", 256);
  pack("m", "dense", "[@m]", 256);
  pack("n4", "dense", "[@n4]", 64);
  // Scales and sums 128 bytes each, 2 tiles of 16 groups of 64 bytes.
  pack("w8", "int8", "[@w]", 2304);
  pack("v8", "int8", "[@v]", 2304);
  // Scales 128 bytes, 32 rows of 32 bytes.
  pack("w4", "int4", "[@w]", 1152);
  // Scales 64 bytes, 128 bytes of planes for each of two sets per stage.
  planes("p", "w", "stages = 2", 576);
  planes("q", "v", "stages = 2", 576);
  planes("p1", "w", "stages = 1", 320);
  planes("pr", "w", "stages = 2, scales = row", 704); // And 128 of factors.
  planes("pt", "w", "stages = 2, scales = tile", 576);
  // 64 bytes of units; means have integers beside them.
  planes("pb", "w", "stages = 2, stage_scales = binary, scale_grid = int8",
         576);
  planes("pg", "w", "stages = 2, scale_grid = int8", 640);
  return text;
}

/// An op of %x and the arguments, with `$` where the two functions differ. It
/// is %z, which the head reads, or else the logits.
struct Case {
  std::string op, attribute;
  std::string text, first, second;
  /// The attribute changes what the kernel is passed, not the kernel.
  bool shares = false;
  bool isLogits = false;
};

std::string replaced(std::string text, const std::string &value) {
  for (size_t at = 0; (at = text.find('$', at)) != std::string::npos;
       at += value.size())
    text.replace(at, 1, value);
  return text;
}

std::string entry(const std::string &name, const Case &test,
                  const std::string &value) {
  const std::string head =
      "  %h = fairy2.packed_linear %z @w.pack : !row -> !logits\n";
  return "func.func @" + name +
         "(%tokens: !ids, %slots: !ids, %positions: !ids, %rows: !ids, "
         "%cache: !cache) -> !logits {\n"
         "  %x = fairy2.embedding %tokens, @w.pack : !ids -> !row\n" +
         (test.isLogits
              ? "  %z = fairy2.gather_rows %x, %rows : !row, !ids\n" + head
              : "") +
         "  " + replaced(test.text, value) + "\n" +
         (test.isLogits ? "  return %y : !logits\n}\n"
                        : head + "  return %h : !logits\n}\n");
}

class KernelIdentityTest : public testing::Test {
protected:
  KernelIdentityTest() {
    DialectRegistry registry;
    registerAllDialects(registry);
    context.appendDialectRegistry(registry);
  }

  /// Whether both functions call the same kernels.
  bool shares(const Case &test) {
    auto module =
        parseSourceString<ModuleOp>(globals() + entry("a", test, test.first) +
                                        entry("b", test, test.second),
                                    ParserConfig(&context));
    if (!module)
      throw std::runtime_error("the module is not valid");
    PassManager pm(&context);
    pm.addPass(createFairy2LowerToLoopsPass());
    if (failed(pm.run(*module)))
      throw std::runtime_error("the pass failed");
    auto kernelsOf = [&](StringRef name) {
      std::set<std::string> names;
      auto function = module->lookupSymbol<func::FuncOp>(name);
      function.walk(
          [&](func::CallOp call) { names.insert(call.getCallee().str()); });
      return names;
    };
    return kernelsOf("a") == kernelsOf("b");
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
};

const std::string kNorm = "%z = fairy2.rms_norm %x, ";
const std::string kTable =
    "%t = fairy2.rope_table %positions {inverse_frequencies = ";
const std::string kTableTail = "} : !ids -> tensor<?x4xf32>\n"
                               "  %z = fairy2.rope %x, %t {heads = 4 : i64} "
                               ": !row, tensor<?x4xf32>";
const std::string kAttention =
    "%z = fairy2.attention %x, %x, %x cache %cache[%slots, %positions] "
    "{layer = ";
const std::string kAttentionTail = "} : !row, !row, !cache, !ids";

const std::vector<Case> kAttributes = {
    {"fairy2.embedding", "weight",
     "%z = fairy2.embedding %tokens, $ : !ids -> !row", "@w.pack", "@v.pack",
     true},
    {"fairy2.rms_norm", "weight", kNorm + "$ {epsilon = 1.0e-5 : f32} : !row",
     "@n.pack", "@m.pack", true},
    {"fairy2.rms_norm", "epsilon", kNorm + "@n.pack {epsilon = $ : f32} : !row",
     "1.0e-5", "1.1e-5"},
    {"fairy2.rms_norm", "heads",
     kNorm + "$ : i64, epsilon = 1.0e-5 : f32} : !row", "@n.pack {heads = 1",
     "@n4.pack {heads = 4"},
    {"fairy2.rms_norm", "unit_offset",
     kNorm + "@n.pack {epsilon = 1.0e-5 : f32$} : !row", "", ", unit_offset"},
    {"arith.addf", "fastmath", "%z = arith.addf %x, %x $ : !row", "",
     "fastmath<fast>"},
    {"fairy2.scale", "factor", "%z = fairy2.scale %x {factor = $ : f32} : !row",
     "2.0", "3.0"},
    {"fairy2.soft_cap", "cap",
     "%y = fairy2.soft_cap %h {cap = $ : f32} : !logits", "30.0", "31.0", false,
     true},
    {"fairy2.gated_activation", "kind",
     "%z = fairy2.gated_activation $ %x, %x : !row", "silu", "gelu_tanh"},
    {"fairy2.rope_table", "inverse_frequencies",
     kTable + "array<f32: 1.0, $>, max_positions = 64 : i64" + kTableTail,
     "0.01", "0.02"},
    {"fairy2.rope_table", "max_positions",
     kTable + "array<f32: 1.0, 0.1>, max_positions = $ : i64" + kTableTail,
     "64", "128"},
    {"fairy2.rope_table", "magnitude",
     kTable +
         "array<f32: 1.0, 0.1>, max_positions = 64 : i64, magnitude = $ "
         ": f32" +
         kTableTail,
     "1.0", "1.2"},
    {"fairy2.rope_table", "long_frequencies",
     kTable +
         "array<f32: 1.0, 0.1>, max_positions = 64 : i64, "
         "long_frequencies = array<f32: 1.0, $>, long_after = 16 : i64" +
         kTableTail,
     "0.01", "0.02"},
    {"fairy2.rope_table", "long_after",
     kTable +
         "array<f32: 1.0, 0.1>, max_positions = 64 : i64, "
         "long_frequencies = array<f32: 1.0, 0.01>, long_after = $ : i64" +
         kTableTail,
     "16", "32"},
    {"fairy2.rope", "heads",
     kTable +
         "array<f32: 1.0, 0.1>, max_positions = 64 : i64} : !ids -> "
         "tensor<?x4xf32>\n"
         "  %z = fairy2.rope %x, %t {heads = $ : i64} : !row, tensor<?x4xf32>",
     "4", "8"},
    {"fairy2.attention", "layer",
     kAttention + "$ : i64, scale = 0.25 : f32" + kAttentionTail, "0", "1",
     true},
    {"fairy2.attention", "scale",
     kAttention + "0 : i64, scale = $ : f32" + kAttentionTail, "0.25", "0.5"},
    {"fairy2.attention", "window",
     kAttention + "0 : i64, scale = 0.25 : f32, window = $ : i64" +
         kAttentionTail,
     "16", "32"},
    {"fairy2.attention", "soft_cap",
     kAttention + "0 : i64, scale = 0.25 : f32, soft_cap = $ : f32" +
         kAttentionTail,
     "30.0", "50.0"},
    {"fairy2.packed_linear", "pack",
     "%y = fairy2.packed_linear %z $ : !row -> "
     "!logits",
     "@w.pack", "@v.pack", true, true},
};

/// Attributes of the ops in the list that no row above has.
template <typename... Ops> std::set<std::string> untried(OpList<Ops...>) {
  std::set<std::string> missing;
  auto addOp = [&](StringRef op, ArrayRef<StringRef> attributes) {
    for (StringRef attribute : attributes)
      if (llvm::none_of(kAttributes, [&](const Case &test) {
            return test.op == op && test.attribute == attribute;
          }))
        missing.insert((op + "." + attribute).str());
  };
  (addOp(Ops::getOperationName(), Ops::getAttributeNames()), ...);
  return missing;
}

TEST_F(KernelIdentityTest, EveryAttributeOfEveryOpIsTried) {
  EXPECT_EQ(untried(OpsWithKernels()), std::set<std::string>());
}

TEST_F(KernelIdentityTest, AttributesThatBodiesHoldTellKernelsApart) {
  for (const Case &test : kAttributes)
    EXPECT_EQ(shares(test), test.shares) << test.op << "." << test.attribute;
}

TEST_F(KernelIdentityTest, OptionalAttributesTellKernelsApart) {
  const std::string attention =
      kAttention + "0 : i64, scale = 0.25 : f32$" + kAttentionTail;
  EXPECT_FALSE(shares({"", "", attention, "", ", window = 16 : i64"}));
  EXPECT_FALSE(shares({"", "", attention, "", ", soft_cap = 30.0 : f32"}));
}

TEST_F(KernelIdentityTest, LayoutsOfPacksTellKernelsApart) {
  auto sharesPacks = [&](const std::string &first, const std::string &second) {
    return shares({"", "", "%y = fairy2.packed_linear %z $ : !row -> !logits",
                   first, second, false, true});
  };
  EXPECT_TRUE(sharesPacks("@p.pack", "@q.pack")); // Other weights.
  EXPECT_FALSE(sharesPacks("@p.pack", "@w.pack"));
  EXPECT_FALSE(sharesPacks("@p.pack", "@p1.pack"));
  EXPECT_FALSE(sharesPacks("@p.pack", "@pr.pack"));
  EXPECT_FALSE(sharesPacks("@p.pack", "@pt.pack"));
  EXPECT_FALSE(sharesPacks("@p.pack", "@pb.pack"));
  EXPECT_FALSE(sharesPacks("@p.pack", "@pg.pack"));
  EXPECT_FALSE(sharesPacks("@pb.pack", "@pg.pack"));
  EXPECT_FALSE(sharesPacks("@w.pack", "@half.pack"));
  EXPECT_FALSE(sharesPacks("@w.pack", "@biased.pack"));
  auto sharesTables = [&](const std::string &first, const std::string &second) {
    return shares({"", "", "%z = fairy2.embedding %tokens, $ : !ids -> !row",
                   first, second});
  };
  EXPECT_TRUE(sharesTables("@w8.pack", "@v8.pack")); // Other weights.
  EXPECT_FALSE(sharesTables("@w8.pack", "@w.pack"));
  EXPECT_FALSE(sharesTables("@w8.pack", "@w4.pack"));
  EXPECT_FALSE(sharesTables("@w4.pack", "@w.pack"));
}

/// Layers that attend in different ways write their cache by one kernel.
TEST_F(KernelIdentityTest, AttributesThatNoBodyReadsDoNotSplitKernels) {
  const Case test{"", "",
                  kAttention + "0 : i64, scale = $ : f32" + kAttentionTail,
                  "0.25", "0.5"};
  auto module = parseSourceString<ModuleOp>(
      globals() + entry("a", test, test.first) + entry("b", test, test.second),
      ParserConfig(&context));
  PassManager pm(&context);
  pm.addPass(createFairy2LowerToLoopsPass());
  ASSERT_TRUE(succeeded(pm.run(*module)));
  int64_t writes = 0, walks = 0;
  for (auto function : module->getOps<func::FuncOp>()) {
    writes += function.getName().starts_with("cache_write");
    walks += function.getName().starts_with("attend");
  }
  EXPECT_EQ(writes, 1);
  EXPECT_EQ(walks, 2);
}

} // namespace
