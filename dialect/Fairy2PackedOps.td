// SPDX-License-Identifier: Apache-2.0
//
// Ops of the packed stage: every weight has a byte layout and a place in the
// weight section. Nothing here names a CPU or a GPU.
#ifndef FAIRY2_PACKED_OPS_TD
#define FAIRY2_PACKED_OPS_TD

include "dialect/Fairy2Attrs.td"
include "dialect/Fairy2OpBase.td"

def Fairy2_PackOp : Fairy2_SymbolOp<"pack",
    Fairy2_Stages<"Packed", "Loops">, [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "bytes of the weight section, as a recipe";
  let description = [{
    Says what stands at [offset, offset + bytes) of the weight section. The
    sources are stacked by rows, in order; `dialect/phase/Packing.h` gives the
    exact layout of each kind:

    * `plane_stream`: `fairy2.phase_quantize` symbols of equal width and stages:
      biases (if any), scales per tile, sign planes;
    * `real_plane_stream`: the same of `fairy2.sign_quantize` symbols;
    * `dense`: one `fairy2.weight`, rows padded to 64 bytes, stored type;
    * `int8`: one `fairy2.weight`, tiles of 16 rows, a scale per row;
    * `int4`: one `fairy2.weight`, of an embedding, a scale per row.

    Example:
    ```mlir
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 0
    fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
    fairy2.pack @q.pack <plane_stream> [@q.phases] {bytes = 1088 : i64, offset = 0 : i64}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Fairy2_PackingKindAttr:$kind,
                       FlatSymbolRefArrayAttr:$sources,
                       OptionalAttr<ArrayAttr>:$biases,
                       ConfinedAttr<I64Attr, [IntNonNegative,
                                              IntMaxValue<281474976710656>]>
                           :$offset,
                       ConfinedAttr<I64Attr, [IntNonNegative]>:$bytes);
  let assemblyFormat = [{
    $sym_name $kind $sources (`biases` $biases^)? attr-dict
  }];
  let extraClassDeclaration = [{
    /// Whether the layout is that of a SignPlanePack.
    bool holdsPlanes() {
      return getKind() == PackingKind::SignPlanes ||
             getKind() == PackingKind::RealSignPlanes;
    }
    /// Whether the weight is integers with a scale per row.
    bool holdsIntegers() {
      return getKind() == PackingKind::Int8 || getKind() == PackingKind::Int4;
    }
  }];
}

def Fairy2_PackedLinearOp : Fairy2_Op<"packed_linear",
    Fairy2_Stages<"Packed", "Packed">, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "y = A x on packed weights";
  let description = [{
    The linear map that the pack's kind stands for, one result per source of the
    pack. `scales` is present when the input is int8.

    Example:
    ```mlir
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 0
    fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
    fairy2.pack @q.pack <plane_stream> [@q.phases] {bytes = 1088 : i64, offset = 0 : i64}
    func.func @f(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x64xf32> {
      %0 = fairy2.packed_linear %x scales %s @q.pack : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_LinearInput:$input,
                       Optional<Fairy2_TokenScales>:$scales,
                       FlatSymbolRefAttr:$pack);
  let results = (outs Variadic<Fairy2_Activations>:$results);
  let assemblyFormat = [{
    $input (`scales` $scales^)? $pack attr-dict
    `:` type($input) (`,` type($scales)^)? `->` type($results)
  }];
}

#endif // FAIRY2_PACKED_OPS_TD
