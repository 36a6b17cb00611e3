// SPDX-License-Identifier: Apache-2.0
//
// The symbols that stand for weights, in all stages.
#ifndef FAIRY2_WEIGHT_OPS_TD
#define FAIRY2_WEIGHT_OPS_TD

include "dialect/Fairy2Attrs.td"
include "dialect/Fairy2OpBase.td"

def Fairy2_WeightOp : Fairy2_SymbolOp<"weight",
    Fairy2_Stages<"Model", "Loops">> {
  let summary = "a tensor of the checkpoint, by reference";
  let description = [{
    Names the bytes [offset, offset + size) of a file of the checkpoint, or, for
    small examples and tests, holds its value. With `phases` the file has codes
    at that place, and the values of type float32 are what codes and scales
    stand for.

    Example:
    ```mlir
    fairy2.weight @model.norm.weight : tensor<64xf32> from "model.safetensors" at 4096
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 4352 phases <stages = 2, scales = tensor>
    fairy2.weight @tiny : tensor<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypeAttrOf<RankedTensorOf<[F32, F16, BF16]>>:$type,
                       OptionalAttr<StrAttr>:$file,
                       OptionalAttr<I64Attr>:$offset,
                       OptionalAttr<ElementsAttr>:$value,
                       OptionalAttr<Fairy2_StoredPhasesAttr>:$phases);
  let assemblyFormat = [{
    $sym_name `:` $type (`from` $file^ `at` $offset)? (`phases` $phases^)?
    (`=` $value^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() {
      return ::mlir::cast<::mlir::RankedTensorType>(getType());
    }
  }];
}

#endif // FAIRY2_WEIGHT_OPS_TD
