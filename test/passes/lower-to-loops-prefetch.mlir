// RUN: fairy2-opt %s --fairy2-lower-to-loops="cpu=x86-64-v4-vnni prefetch-l1=256 prefetch-l2=0" --canonicalize --cse | FileCheck %s --check-prefix=FOUR
// RUN: fairy2-opt %s --fairy2-lower-to-loops="cpu=x86-64-v3 prefetch-l1=64 prefetch-l2=0" --canonicalize --cse | FileCheck %s --check-prefix=ONE
// RUN: fairy2-opt %s --fairy2-lower-to-loops="cpu=x86-64-v4-vnni prefetch-l1=0 prefetch-l2=0" | FileCheck %s --check-prefix=NONE

// Weights are fetched in the order in which they are read. A set of this layer
// is 4 blocks of 64 bytes; 8 sets are a tile.

fairy2.weight @w : tensor<32x128xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 4, activations = int8>
fairy2.pack @p.pack <sign_planes> [@p] {bytes = 2112 : i64, offset = 0 : i64}
fairy2.weight @e : tensor<32x128xf32> from "a.safetensors" at 16384
fairy2.pack @e.pack <dense> [@e] {bytes = 16384 : i64, offset = 2112 : i64}

// Four sets side by side, one block ahead: the next block, and after the last
// one the first of the next four sets, 3 sets further.
// FOUR: func.func private @phase_linear
// FOUR-DAG: %[[LAST:.+]] = arith.constant 3 : index
// FOUR-DAG: %[[NEXT:.+]] = arith.constant 64 : index
// FOUR-DAG: %[[WRAP:.+]] = arith.constant 832 : index
// FOUR: arith.cmpi ult, %{{.+}}, %[[LAST]]
// FOUR: arith.select %{{.+}}, %[[WRAP]]
// FOUR: memref.prefetch {{.*}} read, locality<3>, data

// One set at a time is one stream.
// ONE: func.func private @phase_linear
// ONE: memref.prefetch {{.*}} read, locality<3>, data
// ONE-NOT: locality<2>

// NONE-NOT: memref.prefetch
func.func @forward(%tokens: tensor<?xi32>, %slots: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>,
                   %cache: !fairy2.kv_cache<layers = 1, heads = 4, dim = 16>) -> tensor<?x32xf32> {
  %0 = fairy2.embedding %tokens, @e.pack : tensor<?xi32> -> tensor<?x128xf32>
  %1 = fairy2.gather_rows %0, %rows : tensor<?x128xf32>, tensor<?xi32>
  %v, %s = fairy2.quantize_activations %1 : tensor<?x128xf32> -> tensor<?x128xi8>, tensor<?xf32>
  %2 = fairy2.packed_linear %v scales %s @p.pack : tensor<?x128xi8>, tensor<?xf32> -> tensor<?x32xf32>
  return %2 : tensor<?x32xf32>
}
