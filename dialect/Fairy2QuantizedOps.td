// SPDX-License-Identifier: Apache-2.0
//
// Ops of the quantized stage: phases, or signs, instead of weights.
#ifndef FAIRY2_QUANTIZED_OPS_TD
#define FAIRY2_QUANTIZED_OPS_TD

include "dialect/Fairy2Attrs.td"
include "dialect/Fairy2OpBase.td"

def Fairy2_PhaseQuantizeOp : Fairy2_SymbolOp<"phase_quantize",
    Fairy2_Stages<"Quantized", "Loops">, [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the phases of a weight, as a recipe";
  let description = [{
    Reads the real matrix A of shape (2n, 2m) as U = ((A11 + A22) + i (A21 -
    A12)) / 2 and W = ((A11 - A22) + i (A12 + A21)) / 2, and quantizes both in
    residual stages: a code i^k per entry and the scales s_re = mean |re| over
    codes +-1, s_im = mean |im| over codes +-i (dialect/phase/Phase.h; Fairy2i,
    arXiv 2512.02901).

    Example:
    ```mlir
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 0
    fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$weight,
                       Fairy2_SchemeAttr:$scheme);
  let assemblyFormat = "$sym_name `of` $weight $scheme attr-dict";
}

def Fairy2_SignQuantizeOp : Fairy2_SymbolOp<"sign_quantize",
    Fairy2_Stages<"Quantized", "Loops">, [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the signs of a real weight, as a recipe";
  let description = [{
    Reads the real matrix A, of an even number of columns, as a sum of planes of
    signs times scales, A = s_1 S_1 + s_2 S_2 with entries of S_p = +-1
    (dialect/phase/Signs.h): one plane for `bitnet`, two for `ternary` (equal
    scales), `sign2` (the second of what the first leaves) and `int2` (2 to 1).
    Baselines of `fairy2.phase_quantize` at equal bits.

    Example:
    ```mlir
    fairy2.weight @q : tensor<63x64xf32> from "model.safetensors" at 0
    fairy2.sign_quantize @q.signs of @q #fairy2.sign_scheme<method = ternary, activations = int8>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$weight,
                       Fairy2_SignSchemeAttr:$scheme);
  let assemblyFormat = "$sym_name `of` $weight $scheme attr-dict";
}

def Fairy2_WidelyLinearOp : Fairy2_Op<"widely_linear",
    Fairy2_NoStage, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "y = U x + W conj(x), one op until the loops";
  let description = [{
    The same map as `fairy2.linear`, known to have even extents, with the first
    halves of rows and columns as real parts and the second halves as imaginary
    parts. It never becomes four real products.

    Example:
    ```mlir
    fairy2.weight @q : tensor<32x64xf32> from "model.safetensors" at 0
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %0 = fairy2.widely_linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
      return %0 : tensor<?x32xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, FlatSymbolRefAttr:$weight,
                       OptionalAttr<FlatSymbolRefAttr>:$bias);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict
    `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Fairy2_QuantizeActivationsOp : Fairy2_Op<"quantize_activations",
    Fairy2_Stages<"Quantized", "Packed">, [Pure]> {
  let summary = "int8 values and one scale per token";
  let description = [{
    scale[t] = max |x[t]| / 127 and values = round(x / scale), ties to even, in
    -127 .. 127; an all-zero row has scale 0.

    Example:
    ```mlir
    func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x64xi8>, tensor<?xf32>) {
      %0, %1 = fairy2.quantize_activations %x : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
      return %0, %1 : tensor<?x64xi8>, tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input);
  let results = (outs Fairy2_Int8Activations:$values,
                      Fairy2_TokenScales:$scales);
  let assemblyFormat = [{
    $input attr-dict `:` type($input) `->` type($values) `,` type($scales)
  }];
  let hasVerifier = 1;
}

/// A linear map on quantized weights, for every layer that reads one input.
class Fairy2_RecipeLinearOp<string mnemonic>
    : Fairy2_Op<mnemonic, Fairy2_Stages<"Quantized", "Quantized">, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let arguments = (ins Fairy2_LinearInput:$input,
                       Optional<Fairy2_TokenScales>:$scales,
                       FlatSymbolRefArrayAttr:$recipes,
                       OptionalAttr<ArrayAttr>:$biases);
  let results = (outs Variadic<Fairy2_Activations>:$results);
  let assemblyFormat = [{
    $input (`scales` $scales^)? $recipes (`biases` $biases^)? attr-dict
    `:` type($input) (`,` type($scales)^)? `->` type($results)
  }];
  let hasVerifier = 1;
}

def Fairy2_PhaseLinearOp : Fairy2_RecipeLinearOp<"phase_linear"> {
  let summary = "y = U x + W conj(x) on phases, for every layer that reads x";
  let description = [{
    One result per matrix: y = (sum over the stages of U_t x + W_t conj(x)) *
    scale + bias. Matrices of one input (query, key and value; gate and up)
    share an op, so that they can share what is computed from x. Without
    `scales` the input is float.

    Example:
    ```mlir
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 0
    fairy2.weight @k : tensor<32x64xf32> from "model.safetensors" at 16384
    fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
    fairy2.phase_quantize @k.phases of @k #fairy2.scheme<stages = 2, activations = int8>
    func.func @f(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
      %0:2 = fairy2.phase_linear %x scales %s [@q.phases, @k.phases]
          : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
      return %0#0, %0#1 : tensor<?x64xf32>, tensor<?x32xf32>
    }
    ```
  }];
}

def Fairy2_SignLinearOp : Fairy2_RecipeLinearOp<"sign_linear"> {
  let summary = "y = A x on sums of sign planes, for every layer that reads x";
  let description = [{
    One result per matrix: y = (sum over the planes of s_p S_p x) * scale +
    bias. Sums of signs are exact integers where the input is int8; without
    `scales` it is float.

    Example:
    ```mlir
    fairy2.weight @q : tensor<64x64xf32> from "model.safetensors" at 0
    fairy2.sign_quantize @q.signs of @q #fairy2.sign_scheme<method = ternary, activations = int8>
    func.func @f(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x64xf32> {
      %0 = fairy2.sign_linear %x scales %s [@q.signs]
          : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
}

def Fairy2_Int8LinearOp : Fairy2_Op<"int8_linear",
    Fairy2_Stages<"Quantized", "Quantized">, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "y = A x with int8 weights, one scale per output row";
  let description = [{
    The weight's row r is quantized to round(A[r] / s_r) with s_r = max |A[r]| /
    127; sums are exact integers, then multiplied by s_r and the token's scale.

    Example:
    ```mlir
    fairy2.weight @head : tensor<512x64xf32> from "model.safetensors" at 0
    func.func @f(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x512xf32> {
      %0 = fairy2.int8_linear %x scales %s @head : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x512xf32>
      return %0 : tensor<?x512xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Int8Activations:$input,
                       Fairy2_TokenScales:$scales,
                       FlatSymbolRefAttr:$weight);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $input `scales` $scales $weight attr-dict
    `:` type($input) `,` type($scales) `->` type($result)
  }];
}

def Fairy2_QuantizedEmbeddingOp : Fairy2_Op<"quantized_embedding",
    Fairy2_Stages<"Quantized", "Quantized">, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the rows of a table of integers, one scale per row";
  let description = [{
    The weight's row r is quantized to q[r] = round(A[r] / s_r) with s_r = max
    |A[r]| / 127, or / 7 for i4; result[i] = q[tokens[i]] * s_tokens[i].

    Example:
    ```mlir
    fairy2.weight @embed : tensor<512x64xf32> from "model.safetensors" at 0
    func.func @f(%tokens: tensor<?xi32>) -> tensor<?x64xf32> {
      %0 = fairy2.quantized_embedding %tokens, @embed as i8 : tensor<?xi32> -> tensor<?x64xf32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_TokenIds:$tokens, FlatSymbolRefAttr:$weight,
                       TypeAttrOf<AnyTypeOf<[I8, I<4>]>>:$element);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $tokens `,` $weight `as` $element attr-dict
    `:` type($tokens) `->` type($result)
  }];
}

#endif // FAIRY2_QUANTIZED_OPS_TD
