// RUN: fairy2-opt %s --fairy2-lower-to-loops=cpu=x86-64-v4-vnni --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,QUAD
// RUN: fairy2-opt %s --fairy2-lower-to-loops=cpu=x86-64-v3 --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,LANE32
// RUN: fairy2-opt %s --fairy2-lower-to-loops=cpu=aarch64-neon --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,LANE16
// RUN: fairy2-opt %s --fairy2-lower-to-loops=cpu=scalar --canonicalize --cse | FileCheck %s --check-prefixes=CHECK,SCALAR
// RUN: fairy2-opt %s --fairy2-lower-to-loops="cpu=x86-64-v3 batch=3" | FileCheck %s --check-prefix=BATCH

fairy2.weight @w : tensor<96x64xf32> from "a.safetensors" at 0
fairy2.weight @n : tensor<64xf32> from "a.safetensors" at 24576
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 2, activations = int8>
fairy2.pack @w.pack <dense> [@w] {bytes = 24576 : i64, offset = 0 : i64}
fairy2.pack @n.pack <dense> [@n] {bytes = 256 : i64, offset = 24576 : i64}
fairy2.pack @p.pack <plane_stream> [@p] {bytes = 1664 : i64, offset = 24832 : i64}

// One kernel per shape: two norms of 64 features share theirs.
// CHECK-COUNT-1: func.func private @rms_norm
// CHECK-NOT: func.func private @rms_norm

// A kernel is one parallel step. Which look-up it uses depends on the CPU, and
// the oracle uses none.
// CHECK: func.func private @[[LINEAR:phase_linear[a-z0-9_]*]](
// CHECK: scf.forall
// QUAD: fairy2.table_lookup quad {{.*}} : vector<64xi8>
// QUAD: fairy2.sum4_accumulate
// LANE32: fairy2.table_lookup lane {{.*}} : vector<32xi8>
// LANE16: fairy2.table_lookup lane {{.*}} : vector<16xi8>
// SCALAR-NOT: fairy2.table_lookup
// CHECK: return

// The signature of runtime/include/fairy2/abi.h, sizes as attributes.
// CHECK-LABEL: func @forward
// CHECK-SAME: (%[[W:.*]]: memref<26496xi8>, %{{.*}}: memref<1099511627776xf32>, %{{.*}}: memref<{{[0-9]+}}xi8>,
// CHECK-SAME: %[[TOKENS:[a-z0-9]+]]: memref<64xi32>, %{{[a-z0-9]+}}: memref<64xi32>, %{{[a-z0-9]+}}: memref<64xi32>, %[[COUNT:[a-z0-9]+]]: index,
// CHECK-SAME: %[[ROWS:[a-z0-9]+]]: memref<64xi32>, %[[ROWCOUNT:[a-z0-9]+]]: index, %[[LOGITS:[a-z0-9]+]]: memref<6144xf32>, %{{[a-z0-9]+}}: index, %{{[a-z0-9]+}}: index, %{{[a-z0-9]+}}: index, %{{[a-z0-9]+}}: index)
// CHECK-SAME: fairy2.batch = 64 : i64
// CHECK-SAME: fairy2.cache_bytes_per_position = 512 : i64
// CHECK-SAME: fairy2.cache_layers = 1 : i64, fairy2.cache_planes = array<i64: 8, 64>
// CHECK-SAME: fairy2.weight_bytes = 26496 : i64
// BATCH-LABEL: func @forward
// BATCH-SAME: memref<3xi32>
// BATCH-SAME: fairy2.batch = 3 : i64
func.func @forward(%tokens: tensor<?xi32>, %slots: tensor<?xi32>, %positions: tensor<?xi32>, %rows: tensor<?xi32>,
                   %cache: !fairy2.kv_cache<layers = 1, heads = 4, dim = 16>) -> tensor<?x96xf32> {
  // CHECK: call @embedding{{.*}}(%[[TOKENS]], %{{.*}}, %[[COUNT]])
  %0 = fairy2.embedding %tokens, @w.pack : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: call @rms_norm{{.*}}(%{{.*}}, %[[COUNT]])
  %1 = fairy2.rms_norm %0, @n.pack {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
  // What follows the gathered rows has their number of rows.
  // CHECK: call @gather_rows{{.*}}(%{{.*}}, %[[ROWS]], %{{.*}}, %[[ROWCOUNT]])
  %2 = fairy2.gather_rows %1, %rows : tensor<?x64xf32>, tensor<?xi32>
  // CHECK: call @rms_norm{{.*}}(%{{.*}}, %[[ROWCOUNT]])
  %3 = fairy2.rms_norm %2, @n.pack {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
  // CHECK: call @quantize
  %v, %s = fairy2.quantize_activations %3 : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
  // QUAD: call @build_tables
  // SCALAR-NOT: call @build_tables
  // CHECK: call @[[LINEAR]]({{.*}}%[[LOGITS]]
  %4 = fairy2.packed_linear %v scales %s @p.pack : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x96xf32>
  return %4 : tensor<?x96xf32>
}
