// RUN: fairy2-opt %s --pass-pipeline='builtin.module(fairy2-expand-widely-linear{keep=0.v},fairy2-quantize-phases{scales=row stages-for=k=4},func.func(fairy2-group-linears),fairy2-pack-weights)' | FileCheck %s

// Scales per row, a layer with stages of its own, a kept layer, and a weight
// that is stored as phases and keeps its scheme. Only equal schemes share an op.

// CHECK: fairy2.phase_quantize @layers.0.q.weight.phases of @layers.0.q.weight {{.*}}<stages = 2, scales = row, activations = int8>
fairy2.weight @layers.0.q.weight : tensor<32x64xf32> from "m.safetensors" at 0
// CHECK: fairy2.phase_quantize @layers.0.k.weight.phases of @layers.0.k.weight {{.*}}<stages = 4, scales = row, activations = int8>
fairy2.weight @layers.0.k.weight : tensor<32x64xf32> from "m.safetensors" at 8192
// CHECK-NOT: fairy2.phase_quantize @layers.0.v.weight.phases
fairy2.weight @layers.0.v.weight : tensor<32x64xf32> from "m.safetensors" at 16384
// CHECK: fairy2.phase_quantize @layers.0.s.weight.phases of @layers.0.s.weight {{.*}}<stages = 3, scales = tile, activations = int8>
fairy2.weight @layers.0.s.weight : tensor<32x64xf32> from "m.safetensors" at 24576 phases <stages = 3, scales = tile>
// CHECK: fairy2.phase_quantize @layers.0.b.weight.phases of @layers.0.b.weight {{.*}}<stages = 4, scales = row, stage_scales = binary, scale_grid = int8, activations = int8>
fairy2.weight @layers.0.b.weight : tensor<32x64xf32> from "m.safetensors" at 32768 phases <stages = 4, scales = row, stage_scales = binary, scale_grid = int8>

// CHECK-DAG: fairy2.pack @layers.0.q.weight.phases.pack <plane_stream> [@layers.0.q.weight.phases] {bytes = 704
// CHECK-DAG: fairy2.pack @layers.0.v.weight.pack <dense>
func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  %q = fairy2.linear %x, @layers.0.q.weight : tensor<?x64xf32> -> tensor<?x32xf32>
  %k = fairy2.linear %x, @layers.0.k.weight : tensor<?x64xf32> -> tensor<?x32xf32>
  %v = fairy2.linear %x, @layers.0.v.weight : tensor<?x64xf32> -> tensor<?x32xf32>
  %s = fairy2.linear %x, @layers.0.s.weight : tensor<?x64xf32> -> tensor<?x32xf32>
  %b = fairy2.linear %x, @layers.0.b.weight : tensor<?x64xf32> -> tensor<?x32xf32>
  return %q, %k, %v, %s, %b : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}
