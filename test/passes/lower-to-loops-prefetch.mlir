// RUN: fairy2-opt %s --fairy2-lower-to-loops="cpu=x86-64-v4-vnni" --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,FOUR
// RUN: fairy2-opt %s --fairy2-lower-to-loops="cpu=x86-64-v3" --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,ONE

// Weights are fetched in the order in which they lie, the session's distances
// ahead. A block of this layer is 8 sets of 64 bytes.

fairy2.weight @w : tensor<32x128xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 4, activations = int8>
fairy2.pack @p.pack <plane_stream> [@p] {bytes = 2112 : i64, offset = 0 : i64}
fairy2.weight @e : tensor<32x128xf32> from "a.safetensors" at 16384
fairy2.pack @e.pack <dense> [@e] {bytes = 16384 : i64, offset = 2112 : i64}

// CHECK: func.func private @phase_linear

// Each chunk asks for one: once for four tokens and for two, which walk set
// after set, and for the eight sets of one token, four side by side. Those of
// the wide blocks were fetched already.
// FOUR-COUNT-10: locality<2>
// FOUR-NOT: locality<2>
// FOUR: return

// One set after the other, in a loop.
// ONE: locality<2>
// ONE-NOT: locality<2>
// ONE: return
func.func @forward(%tokens: tensor<?xi32>, %slots: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>,
                   %cache: !fairy2.kv_cache<layers = 1, heads = 4, dim = 16>) -> tensor<?x32xf32> {
  %0 = fairy2.embedding %tokens, @e.pack : tensor<?xi32> -> tensor<?x128xf32>
  %1 = fairy2.gather_rows %0, %rows : tensor<?x128xf32>, tensor<?xi32>
  %v, %s = fairy2.quantize_activations %1 : tensor<?x128xf32> -> tensor<?x128xi8>, tensor<?xf32>
  %2 = fairy2.packed_linear %v scales %s @p.pack : tensor<?x128xi8>, tensor<?xf32> -> tensor<?x32xf32>
  return %2 : tensor<?x32xf32>
}
