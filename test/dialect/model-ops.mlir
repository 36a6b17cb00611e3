// RUN: fairy2-opt %s | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --mlir-print-op-generic | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --emit-bytecode -o %t.mlirbc && fairy2-opt %t.mlirbc | FileCheck %s

// CHECK: fairy2.weight @embed : tensor<512x64xbf16> from "a.safetensors" at 4096
fairy2.weight @embed : tensor<512x64xbf16> from "a.safetensors" at 4096
// CHECK: fairy2.weight @norm : tensor<64xf32> from "a.safetensors" at 0
fairy2.weight @norm : tensor<64xf32> from "a.safetensors" at 0
// CHECK: fairy2.weight @q : tensor<32x64xf16> from "b.safetensors" at 8
fairy2.weight @q : tensor<32x64xf16> from "b.safetensors" at 8
// CHECK: fairy2.weight @"odd name/'$(x)'" : tensor<32xf32> = dense<5.000000e-01> : tensor<32xf32>
fairy2.weight @"odd name/'$(x)'" : tensor<32xf32> = dense<0.5> : tensor<32xf32>

// CHECK-LABEL: func @rows
// CHECK-SAME: (%[[TOKENS:.*]]: tensor<?xi32>, %[[ROWS:.*]]: tensor<?xi32>)
func.func @rows(%tokens: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x64xf32> {
  // CHECK: %[[X:.*]] = fairy2.embedding %[[TOKENS]], @embed : tensor<?xi32> -> tensor<?x64xf32>
  %0 = fairy2.embedding %tokens, @embed : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: %[[N:.*]] = fairy2.rms_norm %[[X]], @norm {epsilon = 9.99999974E-6 : f32} : tensor<?x64xf32>
  %1 = fairy2.rms_norm %0, @norm {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
  // CHECK: fairy2.gather_rows %[[N]], %[[ROWS]] : tensor<?x64xf32>, tensor<?xi32>
  %2 = fairy2.gather_rows %1, %rows : tensor<?x64xf32>, tensor<?xi32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func @linear
func.func @linear(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x512xf32>) {
  // CHECK: fairy2.linear %{{.*}}, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  // CHECK: fairy2.linear %{{.*}}, @q bias @"odd name/'$(x)'" : tensor<?x64xf32> -> tensor<?x32xf32>
  %1 = fairy2.linear %x, @q bias @"odd name/'$(x)'" : tensor<?x64xf32> -> tensor<?x32xf32>
  // CHECK: fairy2.linear %{{.*}}, @embed head : tensor<?x64xf32> -> tensor<?x512xf32>
  %2 = fairy2.linear %x, @embed head : tensor<?x64xf32> -> tensor<?x512xf32>
  return %0, %1, %2 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x512xf32>
}

// CHECK-LABEL: func @rope
func.func @rope(%p: tensor<?xi32>, %q: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[T:.*]] = fairy2.rope_table %{{.*}} {inverse_frequencies = array<f32: 1.000000e+00, 0.00999999977>, max_positions = 512 : i64} : tensor<?xi32> -> tensor<?x4xf32>
  %t = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0, 0.01>, max_positions = 512 : i64} : tensor<?xi32> -> tensor<?x4xf32>
  // CHECK: fairy2.rope %{{.*}}, %[[T]] : tensor<?x64xf32>, tensor<?x4xf32>
  %0 = fairy2.rope %q, %t : tensor<?x64xf32>, tensor<?x4xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %v: tensor<?x32xf32>,
                     %cache: !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>,
                     %slots: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x64xf32> {
  // CHECK: fairy2.attention %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}}[%{{.*}}, %{{.*}}] {layer = 4 : i64, scale = 3.500000e-01 : f32}
  // CHECK-SAME: : tensor<?x64xf32>, tensor<?x32xf32>, {{.*}}<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
  %0 = fairy2.attention %q, %k, %v cache %cache[%slots, %positions] {layer = 4 : i64, scale = 0.35 : f32}
      : tensor<?x64xf32>, tensor<?x32xf32>, !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func @gated
func.func @gated(%gate: tensor<?x172xf32>, %up: tensor<?x172xf32>) -> tensor<?x172xf32> {
  // CHECK: fairy2.gated_activation silu %{{.*}}, %{{.*}} : tensor<?x172xf32>
  %0 = fairy2.gated_activation silu %gate, %up : tensor<?x172xf32>
  return %0 : tensor<?x172xf32>
}
