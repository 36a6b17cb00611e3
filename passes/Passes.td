// SPDX-License-Identifier: Apache-2.0
//
// All passes, in the order in which a model meets them.
#ifndef FAIRY2_PASSES_TD
#define FAIRY2_PASSES_TD

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// model -> quantized
//===----------------------------------------------------------------------===//

def Fairy2ExpandWidelyLinearPass
    : Pass<"fairy2-expand-widely-linear", "::mlir::ModuleOp"> {
  let summary = "read linear layers as widely-linear complex maps";
  let description = [{
    y = A x with even extents becomes y = U x + W conj(x), still one op. A layer
    with an odd extent stays as it is, with a remark; so does the language
    model's head unless `head` is set, and every layer whose name an expression
    of `keep` matches. An expression that matches none is an error.

    ```mlir
    %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
    ==>
    %0 = fairy2.widely_linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
    ```
  }];
  let options = [
    Option<"head", "head", "bool", "false", "expand the head as well">,
    ListOption<"keep", "keep", "std::string",
               "regular expressions of layers that stay as they are">
  ];
  let dependentDialects = ["::fairy2::Fairy2Dialect"];
}

def Fairy2QuantizePhasesPass
    : Pass<"fairy2-quantize-phases", "::mlir::ModuleOp"> {
  let summary = "replace widely-linear layers by layers on phases";
  let description = [{
    Adds the recipe of the phases beside each weight, quantizes the layer's
    input as the scheme asks, and puts a layer on phases in place of the old
    one. A weight that the checkpoint holds as phases keeps its scheme. An
    expression of `stages-for` that matches no layer is an error.

    ```mlir
    %0 = fairy2.widely_linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
    ==>
    fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
    %values, %scales = fairy2.quantize_activations %x : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
    %0 = fairy2.phase_linear %values scales %scales [@q.phases] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
    ```
  }];
  let options = [
    Option<"stages", "stages", "int64_t", "2", "residual stages, 1 to 8">,
    Option<"scales", "scales", "::fairy2::ScaleGranularity",
           "::fairy2::ScaleGranularity::Tensor",
           "what shares a pair of scales",
           "::fairy2::Choices(::fairy2::kScaleGranularities)">,
    Option<"mode", "mode", "::fairy2::QuantizeMode",
           "::fairy2::QuantizeMode::Canonical", "arithmetic of the quantizer",
           "::fairy2::Choices(::fairy2::kQuantizeModes)">,
    Option<"stageScales", "stage-scales", "::fairy2::StageScales",
           "::fairy2::StageScales::Mean", "how the scales of stages relate",
           "::fairy2::Choices(::fairy2::kStageScales)">,
    Option<"scaleGrid", "scale-grid", "::fairy2::ScaleGrid",
           "::fairy2::ScaleGrid::Float",
           "what scales are: any numbers, or integers times a unit",
           "::fairy2::Choices(::fairy2::kScaleGrids)">,
    ListOption<"stagesFor", "stages-for", "std::string",
               "REGEX=T: other stages for the layers that match; the last "
               "that does counts">,
    Option<"activations", "activations", "::fairy2::ActivationKind",
           "::fairy2::ActivationKind::Int8", "input of quantized layers",
           "::fairy2::Choices(::fairy2::kActivationKinds)">
  ];
  let dependentDialects = ["::fairy2::Fairy2Dialect"];
}

def Fairy2QuantizeSignsPass
    : Pass<"fairy2-quantize-signs", "::mlir::ModuleOp"> {
  let summary = "replace linear layers by layers on sign planes";
  let description = [{
    Quantizers of real numbers, in place of phases: adds the recipe of the signs
    beside each weight, quantizes the layer's input as the scheme asks, and puts
    a layer on sign planes in place of the old one. A layer with an odd number
    of columns stays as it is, with a remark; so does the language model's head
    unless `head` is set, and every layer whose name an expression of `keep`
    matches. An expression that matches none is an error.

    ```mlir
    %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
    ==>
    fairy2.sign_quantize @q.signs of @q #fairy2.sign_scheme<method = ternary, activations = int8>
    %values, %scales = fairy2.quantize_activations %x : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
    %0 = fairy2.sign_linear %values scales %scales [@q.signs] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
    ```
  }];
  let options = [
    Option<"method", "method", "::fairy2::SignMethod",
           "::fairy2::SignMethod::Ternary", "how reals become signs",
           "::fairy2::Choices(::fairy2::kSignMethods)">,
    Option<"scales", "scales", "::fairy2::ScaleGranularity",
           "::fairy2::ScaleGranularity::Tensor",
           "what shares scales: tensor or row",
           "::fairy2::Choices(::fairy2::kScaleGranularities)">,
    Option<"head", "head", "bool", "false", "quantize the head as well">,
    ListOption<"keep", "keep", "std::string",
               "regular expressions of layers that stay as they are">,
    Option<"activations", "activations", "::fairy2::ActivationKind",
           "::fairy2::ActivationKind::Int8", "input of quantized layers",
           "::fairy2::Choices(::fairy2::kActivationKinds)">
  ];
  let dependentDialects = ["::fairy2::Fairy2Dialect"];
}

def Fairy2QuantizeHeadPass : Pass<"fairy2-quantize-head", "::mlir::ModuleOp"> {
  let summary = "give the language model's head int8 weights";
  let description = [{
    ```mlir
    %0 = fairy2.linear %x, @head head : tensor<?x64xf32> -> tensor<?x512xf32>
    ==>
    %values, %scales = fairy2.quantize_activations %x : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
    %0 = fairy2.int8_linear %values scales %scales @head : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x512xf32>
    ```
  }];
  let dependentDialects = ["::fairy2::Fairy2Dialect"];
}

def Fairy2QuantizeEmbeddingPass
    : Pass<"fairy2-quantize-embedding", "::mlir::ModuleOp"> {
  let summary = "give the embedding integers with a scale per row";
  let description = [{
    A table that a dense linear layer reads too, a
    tied head that keeps its precision, stays as it is, with a remark: integers
    beside it would make the file larger. A tied head of int8 shares the int8
    rows.

    ```mlir
    %0 = fairy2.embedding %tokens, @embed : tensor<?xi32> -> tensor<?x64xf32>
    ==>
    %0 = fairy2.quantized_embedding %tokens, @embed as i8 : tensor<?xi32> -> tensor<?x64xf32>
    ```
  }];
  let options = [
    Option<"element", "element", "::fairy2::EmbeddingKind",
           "::fairy2::EmbeddingKind::Int8",
           "what a number of the table is stored as",
           "::fairy2::Choices(::fairy2::kIntegerEmbeddings)">
  ];
}

def Fairy2QuantizeCachePass
    : Pass<"fairy2-quantize-cache", "::mlir::ModuleOp"> {
  let summary = "store keys and values in fewer bits";
  let description = [{
    ```mlir
    func.func @forward(.., %cache: !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>)
    ==>
    func.func @forward(.., %cache: !fairy2.kv_cache<layers = 5, heads = 4, dim = 8, element = f16>)
    ```
  }];
  let options = [
    Option<"element", "element", "::fairy2::CacheKind",
           "::fairy2::CacheKind::F16",
           "what a number of the cache is stored as",
           "::fairy2::Choices(::fairy2::kCacheKinds)">
  ];
  let dependentDialects = ["::fairy2::Fairy2Dialect"];
}

def Fairy2GroupLinearsPass
    : Pass<"fairy2-group-linears", "::mlir::func::FuncOp"> {
  let summary = "join the layers on phases, or signs, that read one input";
  let description = [{
    Query, key and value, or gate and up, become one op with several results, so
    that whatever a target derives from the input is computed once. Layers of
    different schemes stay apart.

    ```mlir
    %0 = fairy2.phase_linear %x scales %s [@q.phases] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
    %1 = fairy2.phase_linear %x scales %s [@k.phases] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
    ==>
    %0:2 = fairy2.phase_linear %x scales %s [@q.phases, @k.phases] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
    ```
  }];
}

//===----------------------------------------------------------------------===//
// quantized -> packed
//===----------------------------------------------------------------------===//

def Fairy2PackWeightsPass : Pass<"fairy2-pack-weights", "::mlir::ModuleOp"> {
  let summary = "give every weight a layout and a place";
  let description = [{
    Adds one `fairy2.pack` for everything that is read as a unit and makes the
    ops of the function refer to packs. Places are given in the order of use, so
    that a token walks through the section from front to back.

    ```mlir
    %0 = fairy2.phase_linear %x scales %s [@q.phases] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
    ==>
    fairy2.pack @q.pack <plane_stream> [@q.phases] {bytes = 1088 : i64, offset = 0 : i64}
    %0 = fairy2.packed_linear %x scales %s @q.pack : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = ["::fairy2::Fairy2Dialect"];
}

//===----------------------------------------------------------------------===//
// packed -> loops
//===----------------------------------------------------------------------===//

def Fairy2LowerToLoopsPass
    : Pass<"fairy2-lower-to-loops", "::mlir::ModuleOp"> {
  let summary = "turn every op into a kernel for one CPU";
  let description = [{
    The function on tensors becomes a sequence of calls on a workspace, a KV
    cache and the weight section; each call is one parallel step. A kernel is a
    private function around one `scf.forall`, shared by all calls of equal
    shape. `cpu` names a row of passes/cpu/CpuTarget.cpp; `scalar` lowers packed
    linears naively, code by code, and is the oracle of all others.

    ```mlir
    %1 = fairy2.rms_norm %0, @norm.pack {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
    ==>
    func.call @rms_norm_64_..(%in, %weight, %out, %count) : ..
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", "\"x86-64-v3\"", "target CPU level">,
    Option<"batch", "batch", "int64_t", "64",
           "most tokens of one call of the function">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
    "::mlir::LLVM::LLVMDialect"
  ];
}

//===----------------------------------------------------------------------===//
// loops -> LLVM
//===----------------------------------------------------------------------===//

def Fairy2DistributeThreadsPass
    : Pass<"fairy2-distribute-threads", "::mlir::ModuleOp"> {
  let summary = "split parallel steps among threads that meet in a barrier";
  let description = [{
    Every thread runs the whole function. A kernel takes the thread's number and
    the number of threads and runs its contiguous share of the `scf.forall`;
    after each call all threads meet.

    ```mlir
    func.func private @k(%n: index) {
      scf.forall (%i) in (%n) { .. }
    ==>
    func.func private @k(%n: index, %thread: index, %threads: index) {
      %begin, %end = n * thread / threads, n * (thread + 1) / threads
      scf.for %i = %begin to %end step %c1 { .. }
    ```
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

def Fairy2StripRecipesPass : Pass<"fairy2-strip-recipes", "::mlir::ModuleOp"> {
  let summary = "drop the weight symbols that loops no longer name";
  let description = [{
    ```mlir
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 0
    ==>
    // nothing: kernels address the weight section by offset
    ```
  }];
}

def Fairy2LowerLookupsPass : Pass<"fairy2-lower-lookups", "::mlir::ModuleOp"> {
  let summary = "choose instructions for look-ups, byte sums and halves";
  let description = [{
    `fairy2.table_lookup`, `fairy2.sum4_accumulate` and
    `fairy2.dot4_accumulate` become the intrinsics of the CPU, or generic
    arithmetic where it has none. So do conversions of finite float16 where the
    CPU has none.

    ```mlir
    %0 = fairy2.table_lookup quad %t, %i : vector<64xi8>
    ==>
    %0 = llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"(%t, %j) : (vector<64xi8>, vector<64xi8>) -> vector<64xi8>
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", "\"x86-64-v3\"", "target CPU level">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::vector::VectorDialect"];
}

def Fairy2ExpandMathPass : Pass<"fairy2-expand-math", "::mlir::ModuleOp"> {
  let summary = "replace exp and tanh by polynomials, without fused products";
  let description = [{
    ```mlir
    %0 = math.exp %x : vector<16xf32>
    ==>
    %0 = .. arith.mulf, arith.addf ..
    ```
  }];
  let dependentDialects = ["::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::vector::VectorDialect"];
}

//===----------------------------------------------------------------------===//
// Any stage
//===----------------------------------------------------------------------===//

def Fairy2VerifyStagePass : Pass<"fairy2-verify-stage", "::mlir::ModuleOp"> {
  let summary = "fail when an op of another stage survives";
  let description = [{
    `stage` is model, quantized, packed, loops or llvm. Changes nothing.

    ```mlir
    %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
    // stage=packed ==> error: 'fairy2.linear' op belongs to stage model and
    //                  may not be in stage packed
    ```
  }];
  let options = [
    Option<"stage", "stage", "::fairy2::Stage", "::fairy2::Stage::Model",
           "the stage to expect", "::fairy2::Choices(::fairy2::kStages)">
  ];
}

#endif // FAIRY2_PASSES_TD
