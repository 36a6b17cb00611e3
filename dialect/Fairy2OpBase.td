// SPDX-License-Identifier: Apache-2.0
//
// What the definitions of all ops share: the stages that an op may stand in,
// and the types of rows.
#ifndef FAIRY2_OP_BASE_TD
#define FAIRY2_OP_BASE_TD

include "dialect/Fairy2Dialect.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

/// Asked by fairy2-verify-stage.
def Fairy2_StagedOpInterface : OpInterface<"StagedOp"> {
  let description = "An op that knows the stages in which it may stand.";
  let cppNamespace = "::fairy2";
  let methods = [
    StaticInterfaceMethod<"The first and the last of its stages.",
                          "::fairy2::StageSpan", "getStages">
  ];
}

/// The first and the last stage (Stages.h) in which an op may stand.
class Fairy2_Stages<string first, string last>
    : ParamNativeOpTrait<"StandsIn", "::fairy2::Stage::" # first #
                                     ", ::fairy2::Stage::" # last> {
  let cppNamespace = "::fairy2";
}
/// One pass makes the op and a later one of the same pipeline replaces it.
def Fairy2_NoStage : Fairy2_Stages<"Llvm", "Model">;

/// No op without stages: one that survives its last stage would go unnoticed.
class Fairy2_Op<string mnemonic, Fairy2_Stages stages, list<Trait> traits = []>
    : Op<Fairy2Dialect, mnemonic,
         !listconcat([stages, Fairy2_StagedOpInterface], traits)>;

class Fairy2_SymbolOp<string mnemonic, Fairy2_Stages stages,
                      list<Trait> traits = []>
    : Fairy2_Op<mnemonic, stages, !listconcat([Symbol], traits)>;

/// One row of features per token.
class Fairy2_RowsOf<list<Type> elements>
    : Type<And<[2DTensorOf<elements>.predicate,
                CPred<"::llvm::cast<::mlir::ShapedType>($_self)"
                      ".getDimSize(1) > 0">]>,
           2DTensorOf<elements>.summary # " with a static number of features",
           "::mlir::RankedTensorType">;
def Fairy2_Activations : Fairy2_RowsOf<[F32]>;
def Fairy2_Int8Activations : Fairy2_RowsOf<[I8]>;
def Fairy2_LinearInput : Fairy2_RowsOf<[F32, I8]>;
def Fairy2_TokenIds : 1DTensorOf<[I32]>;
def Fairy2_TokenScales : 1DTensorOf<[F32]>;

#endif // FAIRY2_OP_BASE_TD
