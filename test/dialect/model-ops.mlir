// RUN: fairy2-opt %s | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --mlir-print-op-generic | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --emit-bytecode -o %t.mlirbc && fairy2-opt %t.mlirbc | FileCheck %s

// CHECK: fairy2.weight @embed : tensor<512x64xbf16> from "a.safetensors" at 4096
fairy2.weight @embed : tensor<512x64xbf16> from "a.safetensors" at 4096
// CHECK: fairy2.weight @norm : tensor<64xf32> from "a.safetensors" at 0
fairy2.weight @norm : tensor<64xf32> from "a.safetensors" at 0
// CHECK: fairy2.weight @head_norm : tensor<16xf32> from "a.safetensors" at 256
fairy2.weight @head_norm : tensor<16xf32> from "a.safetensors" at 256
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
  // CHECK: fairy2.rms_norm %[[N]], @head_norm {epsilon = 9.99999974E-6 : f32, heads = 4 : i64, unit_offset} : tensor<?x64xf32>
  %h = fairy2.rms_norm %1, @head_norm {epsilon = 1.0e-5 : f32, heads = 4 : i64, unit_offset} : tensor<?x64xf32>
  // CHECK: fairy2.scale %{{.*}} {factor = 8.000000e+00 : f32} : tensor<?x64xf32>
  %s = fairy2.scale %h {factor = 8.0 : f32} : tensor<?x64xf32>
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
  // CHECK: fairy2.rope %{{.*}}, %[[T]] {heads = 16 : i64} : tensor<?x64xf32>, tensor<?x4xf32>
  %0 = fairy2.rope %q, %t {heads = 16 : i64} : tensor<?x64xf32>, tensor<?x4xf32>
  // CHECK: fairy2.rope_table %{{.*}} {inverse_frequencies = array<f32: 1.000000e+00>, long_after = 128 : i64, long_frequencies = array<f32: 5.000000e-01>, magnitude = 1.250000e+00 : f32, max_positions = 512 : i64} : tensor<?xi32> -> tensor<?x2xf32>
  %l = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0>, max_positions = 512 : i64, magnitude = 1.25 : f32, long_frequencies = array<f32: 0.5>, long_after = 128 : i64} : tensor<?xi32> -> tensor<?x2xf32>
  // Heads of 8, of which 2 features turn.
  // CHECK: fairy2.rope %{{.*}}, %{{.*}} {heads = 8 : i64} : tensor<?x64xf32>, tensor<?x2xf32>
  %1 = fairy2.rope %0, %l {heads = 8 : i64} : tensor<?x64xf32>, tensor<?x2xf32>
  return %1 : tensor<?x64xf32>
}

// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<?x64xf32>, %k: tensor<?x32xf32>, %v: tensor<?x32xf32>,
                     %cache: !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>,
                     %slots: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x64xf32> {
  // CHECK: fairy2.attention %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}}[%{{.*}}, %{{.*}}] {layer = 4 : i64, scale = 3.500000e-01 : f32}
  // CHECK-SAME: : tensor<?x64xf32>, tensor<?x32xf32>, {{.*}}<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
  %0 = fairy2.attention %q, %k, %v cache %cache[%slots, %positions] {layer = 4 : i64, scale = 0.35 : f32}
      : tensor<?x64xf32>, tensor<?x32xf32>, !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
  // CHECK: fairy2.attention {{.*}} {layer = 3 : i64, scale = 3.500000e-01 : f32, soft_cap = 5.000000e+01 : f32, window = 512 : i64}
  %1 = fairy2.attention %0, %k, %v cache %cache[%slots, %positions] {layer = 3 : i64, scale = 0.35 : f32, window = 512 : i64, soft_cap = 50.0 : f32}
      : tensor<?x64xf32>, tensor<?x32xf32>, !fairy2.kv_cache<layers = 5, heads = 4, dim = 8>, tensor<?xi32>
  return %1 : tensor<?x64xf32>
}

// CHECK-LABEL: func @gated
func.func @gated(%both: tensor<?x344xf32>) -> tensor<?x172xf32> {
  // CHECK: fairy2.slice %{{.*}} from 0 : tensor<?x344xf32> -> tensor<?x172xf32>
  %gate = fairy2.slice %both from 0 : tensor<?x344xf32> -> tensor<?x172xf32>
  // CHECK: fairy2.slice %{{.*}} from 172 : tensor<?x344xf32> -> tensor<?x172xf32>
  %up = fairy2.slice %both from 172 : tensor<?x344xf32> -> tensor<?x172xf32>
  // CHECK: fairy2.gated_activation silu %{{.*}}, %{{.*}} : tensor<?x172xf32>
  %0 = fairy2.gated_activation silu %gate, %up : tensor<?x172xf32>
  // CHECK: fairy2.gated_activation gelu_tanh %{{.*}}, %{{.*}} : tensor<?x172xf32>
  %1 = fairy2.gated_activation gelu_tanh %0, %up : tensor<?x172xf32>
  // CHECK: fairy2.soft_cap %{{.*}} {cap = 3.000000e+01 : f32} : tensor<?x172xf32>
  %2 = fairy2.soft_cap %1 {cap = 30.0 : f32} : tensor<?x172xf32>
  return %2 : tensor<?x172xf32>
}
