// RUN: fairy2-opt %s | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --mlir-print-op-generic | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --emit-bytecode -o %t.mlirbc && fairy2-opt %t.mlirbc | FileCheck %s

fairy2.weight @q : tensor<64x64xf32> from "a.safetensors" at 0
fairy2.weight @k : tensor<32x64xf32> from "a.safetensors" at 16384
fairy2.weight @b : tensor<32xf32> from "a.safetensors" at 24576
// CHECK: fairy2.phase_quantize @q.phases of @q <stages = 2, activations = int8>
fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
fairy2.phase_quantize @k.phases of @k #fairy2.scheme<stages = 2, activations = int8>
// CHECK: fairy2.phase_quantize @q.float of @q <stages = 8, activations = float>
fairy2.phase_quantize @q.float of @q #fairy2.scheme<stages = 8, activations = float>

// CHECK: fairy2.phase_quantize @q.binary of @q <stages = 4, scales = row, stage_scales = binary, scale_grid = int8, activations = int8>
fairy2.phase_quantize @q.binary of @q #fairy2.scheme<stages = 4, scales = row, stage_scales = binary, scale_grid = int8, activations = int8>
// What is the default is not written.
// CHECK: fairy2.phase_quantize @q.mean of @q <stages = 2, activations = int8>
fairy2.phase_quantize @q.mean of @q #fairy2.scheme<stages = 2, mode = canonical, stage_scales = mean, scale_grid = float, activations = int8>

// CHECK-LABEL: func @widely_linear
func.func @widely_linear(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK: fairy2.widely_linear %{{.*}}, @q : tensor<?x64xf32> -> tensor<?x64xf32>
  %0 = fairy2.widely_linear %x, @q : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: fairy2.widely_linear %{{.*}}, @k bias @b : tensor<?x64xf32> -> tensor<?x32xf32>
  %1 = fairy2.widely_linear %x, @k bias @b : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @phase_linear
func.func @phase_linear(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK: %[[V:.*]], %[[S:.*]] = fairy2.quantize_activations %{{.*}} : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
  %v, %s = fairy2.quantize_activations %x : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
  // CHECK: fairy2.phase_linear %[[V]] scales %[[S]] [@q.phases, @k.phases] biases [unit, @b] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
  %0:2 = fairy2.phase_linear %v scales %s [@q.phases, @k.phases] biases [unit, @b]
      : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x32xf32>
  return %0#0, %0#1 : tensor<?x64xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @float_activations
func.func @float_activations(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: fairy2.phase_linear %{{.*}} [@q.float] : tensor<?x64xf32> -> tensor<?x64xf32>
  %0 = fairy2.phase_linear %x [@q.float] : tensor<?x64xf32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// CHECK-LABEL: func @int8_linear
func.func @int8_linear(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x32xf32> {
  // CHECK: fairy2.int8_linear %{{.*}} scales %{{.*}} @k : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  %0 = fairy2.int8_linear %x scales %s @k : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// CHECK-LABEL: func @quantized_embedding
func.func @quantized_embedding(%t: tensor<?xi32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: fairy2.quantized_embedding %{{.*}}, @k as i8 : tensor<?xi32> -> tensor<?x64xf32>
  %0 = fairy2.quantized_embedding %t, @k as i8 : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: fairy2.quantized_embedding %{{.*}}, @k as i4 : tensor<?xi32> -> tensor<?x64xf32>
  %1 = fairy2.quantized_embedding %t, @k as i4 : tensor<?xi32> -> tensor<?x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}
