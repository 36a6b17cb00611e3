// RUN: fairy2-opt %s | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --fairy2-pack-weights | FileCheck %s --check-prefix=PACK

fairy2.weight @q : tensor<63x64xf32> from "a.safetensors" at 0
fairy2.weight @k : tensor<32x64xf32> from "a.safetensors" at 16128
fairy2.weight @b : tensor<32xf32> from "a.safetensors" at 24320
// CHECK: fairy2.sign_quantize @q.signs of @q <method = ternary, activations = int8>
fairy2.sign_quantize @q.signs of @q #fairy2.sign_scheme<method = ternary, activations = int8>
fairy2.sign_quantize @k.signs of @k #fairy2.sign_scheme<method = ternary, activations = int8>
// CHECK: fairy2.sign_quantize @k.row of @k <method = bitnet, scales = row, activations = float>
fairy2.sign_quantize @k.row of @k #fairy2.sign_scheme<method = bitnet, scales = row, activations = float>

// 6 tiles of 16 rows, 2 planes of 2 blocks of 64 bytes; a bias per row and a
// scale per plane and tile before them.
// PACK: fairy2.pack @q.signs.pack <real_plane_stream> [@q.signs, @k.signs] biases [unit, @b] {bytes = 1984
// CHECK-LABEL: func @group
func.func @group(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x63xf32>, tensor<?x32xf32>) {
  // CHECK: fairy2.sign_linear %{{.*}} scales %{{.*}} [@q.signs, @k.signs] biases [unit, @b] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x63xf32>, tensor<?x32xf32>
  %0:2 = fairy2.sign_linear %x scales %s [@q.signs, @k.signs] biases [unit, @b]
      : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x63xf32>, tensor<?x32xf32>
  return %0#0, %0#1 : tensor<?x63xf32>, tensor<?x32xf32>
}

// PACK: fairy2.packed_linear
// CHECK-LABEL: func @float
func.func @float(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // CHECK: fairy2.sign_linear %{{.*}} [@k.row] : tensor<?x64xf32> -> tensor<?x32xf32>
  %0 = fairy2.sign_linear %x [@k.row] : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
