// RUN: fairy2-opt %s | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --mlir-print-op-generic | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --emit-bytecode -o %t.mlirbc && fairy2-opt %t.mlirbc | FileCheck %s

fairy2.weight @q : tensor<64x64xf32> from "a.safetensors" at 0
fairy2.weight @k : tensor<34x64xf32> from "a.safetensors" at 16384
fairy2.weight @b : tensor<34xf32> from "a.safetensors" at 24576
fairy2.weight @head : tensor<17x20xbf16> from "a.safetensors" at 32768
fairy2.phase_quantize @q.phases of @q #fairy2.scheme<stages = 2, activations = int8>
fairy2.phase_quantize @k.phases of @k #fairy2.scheme<stages = 2, activations = int8>

// 4 tiles: 4 * 128 bytes of biases, 4 * 32 of scales, 4 * 512 of planes.
// CHECK: fairy2.pack @qk.pack <plane_stream> [@q.phases, @k.phases] biases [unit, @b] {bytes = 2688 : i64, offset = 0 : i64}
fairy2.pack @qk.pack <plane_stream> [@q.phases, @k.phases] biases [unit, @b] {bytes = 2688 : i64, offset = 0 : i64}
// 17 rows of 40 bytes, each padded to 64.
// CHECK: fairy2.pack @head.pack <dense> [@head] {bytes = 1088 : i64, offset = 2688 : i64}
fairy2.pack @head.pack <dense> [@head] {bytes = 1088 : i64, offset = 2688 : i64}
// 2 tiles: 128 bytes of scales, 128 of sums, 5 groups of 64 bytes each.
// CHECK: fairy2.pack @head.int8 <int8> [@head] {bytes = 896 : i64, offset = 3776 : i64}
fairy2.pack @head.int8 <int8> [@head] {bytes = 896 : i64, offset = 3776 : i64}
// 17 scales in 128 bytes, 17 rows of one group of 16 bytes, padded to 320.
// CHECK: fairy2.pack @head.int4 <int4> [@head] {bytes = 448 : i64, offset = 4672 : i64}
fairy2.pack @head.int4 <int4> [@head] {bytes = 448 : i64, offset = 4672 : i64}

// CHECK-LABEL: func @phases
func.func @phases(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?x34xf32>) {
  // CHECK: fairy2.packed_linear %{{.*}} scales %{{.*}} @qk.pack : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x34xf32>
  %0:2 = fairy2.packed_linear %x scales %s @qk.pack : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x34xf32>
  return %0#0, %0#1 : tensor<?x64xf32>, tensor<?x34xf32>
}

// CHECK-LABEL: func @dense
func.func @dense(%t: tensor<?xi32>, %x: tensor<?x20xf32>) -> (tensor<?x20xf32>, tensor<?x17xf32>) {
  // CHECK: fairy2.embedding %{{.*}}, @head.pack : tensor<?xi32> -> tensor<?x20xf32>
  %0 = fairy2.embedding %t, @head.pack : tensor<?xi32> -> tensor<?x20xf32>
  // CHECK: fairy2.packed_linear %{{.*}} @head.pack : tensor<?x20xf32> -> tensor<?x17xf32>
  %1 = fairy2.packed_linear %x @head.pack : tensor<?x20xf32> -> tensor<?x17xf32>
  return %0, %1 : tensor<?x20xf32>, tensor<?x17xf32>
}

// CHECK-LABEL: func @int8
func.func @int8(%x: tensor<?x20xi8>, %s: tensor<?xf32>) -> tensor<?x17xf32> {
  // CHECK: fairy2.packed_linear %{{.*}} scales %{{.*}} @head.int8 : tensor<?x20xi8>, tensor<?xf32> -> tensor<?x17xf32>
  %0 = fairy2.packed_linear %x scales %s @head.int8 : tensor<?x20xi8>, tensor<?xf32> -> tensor<?x17xf32>
  return %0 : tensor<?x17xf32>
}

// CHECK-LABEL: func @embeddings
func.func @embeddings(%t: tensor<?xi32>) -> (tensor<?x20xf32>, tensor<?x20xf32>) {
  // CHECK: fairy2.embedding %{{.*}}, @head.int8 : tensor<?xi32> -> tensor<?x20xf32>
  %0 = fairy2.embedding %t, @head.int8 : tensor<?xi32> -> tensor<?x20xf32>
  // CHECK: fairy2.embedding %{{.*}}, @head.int4 : tensor<?xi32> -> tensor<?x20xf32>
  %1 = fairy2.embedding %t, @head.int4 : tensor<?xi32> -> tensor<?x20xf32>
  return %0, %1 : tensor<?x20xf32>, tensor<?x20xf32>
}
