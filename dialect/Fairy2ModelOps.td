// SPDX-License-Identifier: Apache-2.0
//
// Ops of the model stage.
#ifndef FAIRY2_MODEL_OPS_TD
#define FAIRY2_MODEL_OPS_TD

include "dialect/Fairy2Attrs.td"
include "dialect/Fairy2OpBase.td"
include "dialect/Fairy2Types.td"

def Fairy2_EmbeddingOp : Fairy2_Op<"embedding",
    Fairy2_Stages<"Model", "Packed">, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the rows of a table that tokens name";
  let description = [{
    result[i] = weight[tokens[i]]. From the packed stage on the weight is a
    pack, whose integers are multiplied by the scale of their row.

    Example:
    ```mlir
    fairy2.weight @embed : tensor<512x64xf32> from "model.safetensors" at 0
    func.func @f(%tokens: tensor<?xi32>) -> tensor<?x64xf32> {
      %0 = fairy2.embedding %tokens, @embed : tensor<?xi32> -> tensor<?x64xf32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_TokenIds:$tokens, FlatSymbolRefAttr:$weight);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $tokens `,` $weight attr-dict `:` type($tokens) `->` type($result)
  }];
}

def Fairy2_GatherRowsOp : Fairy2_Op<"gather_rows",
    Fairy2_Stages<"Model", "Packed">, [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "the rows of a tensor that an index names";
  let description = [{
    result[i] = input[rows[i]]: the tokens whose logits are wanted.

    Example:
    ```mlir
    func.func @f(%x: tensor<?x64xf32>, %rows: tensor<?xi32>) -> tensor<?x64xf32> {
      %0 = fairy2.gather_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, Fairy2_TokenIds:$rows);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $input `,` $rows attr-dict `:` type($input) `,` type($rows)
  }];
}

def Fairy2_RmsNormOp : Fairy2_Op<"rms_norm",
    Fairy2_Stages<"Model", "Packed">, [Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "root-mean-square normalization of each row";
  let description = [{
    result = x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich,
    arXiv 1910.07467). `heads` equal parts of a row are normalized on their own,
    by the same weight. With `unit_offset` the factor is 1 + weight (Gemma).

    Example:
    ```mlir
    fairy2.weight @norm : tensor<64xf32> from "model.safetensors" at 0
    fairy2.weight @q_norm : tensor<16xf32> from "model.safetensors" at 256
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %0 = fairy2.rms_norm %x, @norm {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
      %1 = fairy2.rms_norm %0, @q_norm {epsilon = 1.0e-6 : f32, heads = 4 : i64, unit_offset} : tensor<?x64xf32>
      return %1 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, FlatSymbolRefAttr:$weight,
                       F32Attr:$epsilon,
                       DefaultValuedAttr<ConfinedAttr<I64Attr, [IntPositive]>,
                                         "1">:$heads,
                       UnitAttr:$unit_offset);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input)";
}

def Fairy2_LinearOp : Fairy2_Op<"linear",
    Fairy2_Stages<"Model", "Quantized">, [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "y = A x, one row per token";
  let description = [{
    result[t] = weight input[t] + bias, weight of shape [out, in].

    Example:
    ```mlir
    fairy2.weight @q : tensor<32x64xf32> from "model.safetensors" at 0
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
      return %0 : tensor<?x32xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, FlatSymbolRefAttr:$weight,
                       OptionalAttr<FlatSymbolRefAttr>:$bias,
                       UnitAttr:$head);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? (`head` $head^)? attr-dict
    `:` type($input) `->` type($result)
  }];
}

def Fairy2_RopeTableOp : Fairy2_Op<"rope_table",
    Fairy2_Stages<"Model", "Packed">, [Pure]> {
  let summary = "cosines and sines of each token's rotary angles";
  let description = [{
    With f = inverse_frequencies of length d/2: result[t, j] = cos(p f_j) and
    result[t, d/2 + j] = sin(p f_j) for position p = positions[t] <
    max_positions, both times `magnitude` (YaRN, arXiv 2309.00071). Computed in
    float64 and rounded to float32.

    `long_frequencies` replace them in every session whose context has more than
    `long_after` positions (LongRoPE, arXiv 2402.13753).

    Example:
    ```mlir
    func.func @f(%p: tensor<?xi32>) -> tensor<?x4xf32> {
      %0 = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0, 0.01>, max_positions = 512 : i64} : tensor<?xi32> -> tensor<?x4xf32>
      %1 = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0, 0.01>, max_positions = 512 : i64, magnitude = 1.2 : f32,
                                 long_frequencies = array<f32: 1.0, 0.001>, long_after = 128 : i64} : tensor<?xi32> -> tensor<?x4xf32>
      return %1 : tensor<?x4xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_TokenIds:$positions,
                       DenseF32ArrayAttr:$inverse_frequencies,
                       ConfinedAttr<I64Attr,
                                    [IntPositive, IntMaxValue<16777216>]>
                           :$max_positions,
                       DefaultValuedAttr<F32Attr, "1.0f">:$magnitude,
                       OptionalAttr<DenseF32ArrayAttr>:$long_frequencies,
                       OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>
                           :$long_after);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $positions attr-dict `:` type($positions) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Fairy2_RopeOp : Fairy2_Op<"rope",
    Fairy2_Stages<"Model", "Packed">, [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "rotary position embedding of every head";
  let description = [{
    Rotates each head (x1 | x2), split in halves, by the table's angles:
    (x1 cos - x2 sin | x2 cos + x1 sin) (Su et al., arXiv 2104.09864, in the
    half-split form of Hugging Face checkpoints). A table that is narrower than
    a head turns the head's first features; the others stay.

    Example:
    ```mlir
    func.func @f(%q: tensor<?x64xf32>, %table: tensor<?x8xf32>) -> tensor<?x64xf32> {
      %0 = fairy2.rope %q, %table {heads = 8 : i64} : tensor<?x64xf32>, tensor<?x8xf32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, Fairy2_Activations:$table,
                       ConfinedAttr<I64Attr, [IntPositive]>:$heads);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $input `,` $table attr-dict `:` type($input) `,` type($table)
  }];
  let hasVerifier = 1;
}

def Fairy2_AttentionOp : Fairy2_Op<"attention",
    Fairy2_Stages<"Model", "Packed">, [
    AllTypesMatch<["query", "result"]>, AllTypesMatch<["key", "value"]>,
    AllTypesMatch<["slots", "positions"]>]> {
  let summary = "writes keys and values to the cache, then attends causally";
  let description = [{
    Token t stores key[t] and value[t] at (slots[t], layer, positions[t]); after
    all tokens have done so, every head of token t attends to positions
    0 .. positions[t] of its slot: softmax(scale q k) v. Query heads share the
    cache's heads in equal groups. With `window` only the last that many
    positions count, the token's own among them. With `soft_cap` scores enter
    the softmax as soft_cap tanh(scale q k / soft_cap).

    Example:
    ```mlir
    func.func @f(%q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %v: tensor<?x32xf32>,
                 %cache: !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>,
                 %slots: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x64xf32> {
      %0 = fairy2.attention %q, %k, %v cache %cache[%slots, %positions] {layer = 0 : i64, scale = 0.35 : f32}
          : tensor<?x64xf32>, tensor<?x32xf32>, !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
      %1 = fairy2.attention %0, %k, %v cache %cache[%slots, %positions] {layer = 1 : i64, scale = 0.35 : f32, window = 512 : i64, soft_cap = 50.0 : f32}
          : tensor<?x64xf32>, tensor<?x32xf32>, !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
      return %1 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$query, Fairy2_Activations:$key,
                       Fairy2_Activations:$value,
                       Arg<Fairy2_KVCacheType, "", [MemRead, MemWrite]>:$cache,
                       1DTensorOf<[I32]>:$slots, 1DTensorOf<[I32]>:$positions,
                       ConfinedAttr<I64Attr, [IntNonNegative]>:$layer,
                       F32Attr:$scale,
                       OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>
                           :$window,
                       OptionalAttr<F32Attr>:$soft_cap);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value `cache` $cache `[` $slots `,` $positions `]`
    attr-dict `:` type($query) `,` type($key) `,` type($cache) `,` type($slots)
  }];
  let hasVerifier = 1;
}

def Fairy2_GatedActivationOp : Fairy2_Op<"gated_activation",
    Fairy2_Stages<"Model", "Packed">, [Pure,
    SameOperandsAndResultType]> {
  let summary = "activation(gate) * up";
  let description = [{
    result = f(gate) * up (Shazeer, arXiv 2002.05202) with
    silu(x) = x / (1 + exp(-x)) or
    gelu_tanh(x) = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (Hendrycks
    and Gimpel, arXiv 1606.08415).

    Example:
    ```mlir
    func.func @f(%gate: tensor<?x172xf32>, %up: tensor<?x172xf32>) -> tensor<?x172xf32> {
      %0 = fairy2.gated_activation silu %gate, %up : tensor<?x172xf32>
      %1 = fairy2.gated_activation gelu_tanh %0, %up : tensor<?x172xf32>
      return %1 : tensor<?x172xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_GateKindAttr:$kind, Fairy2_Activations:$gate,
                       Fairy2_Activations:$up);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = "$kind $gate `,` $up attr-dict `:` type($gate)";
}

def Fairy2_ScaleOp : Fairy2_Op<"scale",
    Fairy2_Stages<"Model", "Packed">, [Pure, SameOperandsAndResultType]> {
  let summary = "multiplies every feature by one constant";
  let description = [{
    result = factor * x: the multipliers of embedding and residual in Gemma and
    Granite.

    Example:
    ```mlir
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %0 = fairy2.scale %x {factor = 8.0 : f32} : tensor<?x64xf32>
      return %0 : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, F32Attr:$factor);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Fairy2_SoftCapOp : Fairy2_Op<"soft_cap",
    Fairy2_Stages<"Model", "Packed">, [Pure, SameOperandsAndResultType]> {
  let summary = "keeps logits within a bound, smoothly";
  let description = [{
    result = cap tanh(x / cap) (Gemma 2, arXiv 2408.00118).

    Example:
    ```mlir
    func.func @f(%x: tensor<?x512xf32>) -> tensor<?x512xf32> {
      %0 = fairy2.soft_cap %x {cap = 30.0 : f32} : tensor<?x512xf32>
      return %0 : tensor<?x512xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input, F32Attr:$cap);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Fairy2_SliceOp : Fairy2_Op<"slice",
    Fairy2_Stages<"Model", "Packed">, [Pure]> {
  let summary = "a range of each row's features";
  let description = [{
    result[t, i] = input[t, begin + i]: the parts of a fused projection. Costs
    nothing: the parts are views of one buffer.

    Example:
    ```mlir
    func.func @f(%qkv: tensor<?x128xf32>) -> tensor<?x32xf32> {
      %0 = fairy2.slice %qkv from 64 : tensor<?x128xf32> -> tensor<?x32xf32>
      return %0 : tensor<?x32xf32>
    }
    ```
  }];
  let arguments = (ins Fairy2_Activations:$input,
                       ConfinedAttr<I64Attr, [IntNonNegative]>:$begin);
  let results = (outs Fairy2_Activations:$result);
  let assemblyFormat = [{
    $input `from` $begin attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // FAIRY2_MODEL_OPS_TD
