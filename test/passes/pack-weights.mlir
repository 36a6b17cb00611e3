// RUN: fairy2-opt %s --fairy2-pack-weights | FileCheck %s
// A second run changes nothing.
// RUN: fairy2-opt %s --fairy2-pack-weights --fairy2-pack-weights | FileCheck %s

fairy2.weight @embed : tensor<9x20xbf16> from "a.safetensors" at 0
fairy2.weight @norm : tensor<20xf32> from "a.safetensors" at 360
fairy2.weight @q : tensor<34x20xf32> from "a.safetensors" at 440
fairy2.weight @k : tensor<2x20xf32> from "a.safetensors" at 3160
fairy2.weight @kb : tensor<2xf32> from "a.safetensors" at 3320
fairy2.weight @odd : tensor<3x20xf16> from "a.safetensors" at 3328
fairy2.weight @ob : tensor<3xf32> from "a.safetensors" at 3448
fairy2.phase_quantize @qp of @q #fairy2.scheme<stages = 1, activations = int8>
fairy2.phase_quantize @kp of @k #fairy2.scheme<stages = 1, activations = int8>

// In the order of use, every offset a multiple of 64; tied weights are packed
// once per layout.
// CHECK: fairy2.pack @embed.pack <dense> [@embed] {bytes = 576 : i64, offset = 0 : i64}
// CHECK-NEXT: fairy2.pack @norm.pack <dense> [@norm] {bytes = 128 : i64, offset = 576 : i64}
// Three tiles: 384 bytes of biases, 64 of scales (padded), 3 * 128 of planes.
// CHECK-NEXT: fairy2.pack @qp.pack <plane_stream> [@qp, @kp] biases [unit, @kb] {bytes = 832 : i64, offset = 704 : i64}
// CHECK-NEXT: fairy2.pack @odd.pack <dense> [@odd] biases [@ob] {bytes = 256 : i64, offset = 1536 : i64}
// CHECK-NEXT: fairy2.pack @embed.int8 <int8> [@embed] {bytes = 448 : i64, offset = 1792 : i64}

// CHECK-LABEL: func @forward
func.func @forward(%t: tensor<?xi32>) -> (tensor<?x34xf32>, tensor<?x2xf32>, tensor<?x3xf32>, tensor<?x9xf32>, tensor<?x9xf32>) {
  // CHECK: fairy2.embedding %{{.*}}, @embed.pack
  %x = fairy2.embedding %t, @embed : tensor<?xi32> -> tensor<?x20xf32>
  // CHECK: fairy2.rms_norm %{{.*}}, @norm.pack
  %n = fairy2.rms_norm %x, @norm {epsilon = 1.0e-5 : f32} : tensor<?x20xf32>
  %v, %s = fairy2.quantize_activations %n : tensor<?x20xf32> -> tensor<?x20xi8>, tensor<?xf32>
  // CHECK: fairy2.packed_linear %{{.*}} scales %{{.*}} @qp.pack : tensor<?x20xi8>, tensor<?xf32> -> tensor<?x34xf32>, tensor<?x2xf32>
  %0:2 = fairy2.phase_linear %v scales %s [@qp, @kp] biases [unit, @kb] : tensor<?x20xi8>, tensor<?xf32> -> tensor<?x34xf32>, tensor<?x2xf32>
  // CHECK: fairy2.packed_linear %{{.*}} @odd.pack : tensor<?x20xf32> -> tensor<?x3xf32>
  %1 = fairy2.linear %n, @odd bias @ob : tensor<?x20xf32> -> tensor<?x3xf32>
  // CHECK: fairy2.packed_linear %{{.*}} scales %{{.*}} @embed.int8
  %2 = fairy2.int8_linear %v scales %s @embed : tensor<?x20xi8>, tensor<?xf32> -> tensor<?x9xf32>
  // CHECK: fairy2.packed_linear %{{.*}} @embed.pack : tensor<?x20xf32> -> tensor<?x9xf32>
  %3 = fairy2.linear %n, @embed head : tensor<?x20xf32> -> tensor<?x9xf32>
  return %0#0, %0#1, %1, %2, %3 : tensor<?x34xf32>, tensor<?x2xf32>, tensor<?x3xf32>, tensor<?x9xf32>, tensor<?x9xf32>
}
