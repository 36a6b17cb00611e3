// RUN: fairy2-opt %s --fairy2-pack-weights | FileCheck %s

fairy2.weight @both : tensor<9x20xbf16> from "a.safetensors" at 0
fairy2.weight @own : tensor<9x40xbf16> from "a.safetensors" at 360

// The head and the embedding read one pack.
// CHECK: fairy2.pack @both.int8 <int8> [@both] {bytes = 448 : i64, offset = 0 : i64}
// 64 bytes of scales, 9 rows of 2 groups of 16 bytes.
// CHECK-NEXT: fairy2.pack @own.int4 <int4> [@own] {bytes = 384 : i64, offset = 448 : i64}
// CHECK-NOT: fairy2.pack

// CHECK-LABEL: func @forward
func.func @forward(%t: tensor<?xi32>) -> (tensor<?x9xf32>, tensor<?x40xf32>) {
  // CHECK: fairy2.embedding %{{.*}}, @both.int8 : tensor<?xi32> -> tensor<?x20xf32>
  %x = fairy2.quantized_embedding %t, @both as i8 : tensor<?xi32> -> tensor<?x20xf32>
  %v, %s = fairy2.quantize_activations %x : tensor<?x20xf32> -> tensor<?x20xi8>, tensor<?xf32>
  // CHECK: fairy2.packed_linear %{{.*}} scales %{{.*}} @both.int8
  %0 = fairy2.int8_linear %v scales %s @both : tensor<?x20xi8>, tensor<?xf32> -> tensor<?x9xf32>
  // CHECK: fairy2.embedding %{{.*}}, @own.int4 : tensor<?xi32> -> tensor<?x40xf32>
  %1 = fairy2.quantized_embedding %t, @own as i4 : tensor<?xi32> -> tensor<?x40xf32>
  return %0, %1 : tensor<?x9xf32>, tensor<?x40xf32>
}
