// RUN: fairy2-opt %s --fairy2-quantize-embedding | FileCheck %s --check-prefixes=CHECK,INT8
// RUN: fairy2-opt %s --fairy2-quantize-embedding=element=int4 | FileCheck %s --check-prefixes=CHECK,INT4
// RUN: fairy2-opt %s --fairy2-quantize-embedding --remarks-filter='fairy2.*' --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: not fairy2-opt %s --fairy2-quantize-embedding=element=f16 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: {{.*}}element{{.*}}'f16'
// REMARK: TiedHead{{.*}}tied of 31 x 64 stays in higher precision: embedding and head in one, and the head keeps its precision

fairy2.weight @own : tensor<31x64xbf16> from "a.safetensors" at 0
fairy2.weight @tied : tensor<31x64xbf16> from "a.safetensors" at 3968
fairy2.weight @both : tensor<31x64xbf16> from "a.safetensors" at 7936

// CHECK-LABEL: func @alone
func.func @alone(%t: tensor<?xi32>) -> tensor<?x64xf32> {
  // INT8: %[[X:.*]] = fairy2.quantized_embedding %{{.*}}, @own as i8 : tensor<?xi32> -> tensor<?x64xf32>
  // INT4: %[[X:.*]] = fairy2.quantized_embedding %{{.*}}, @own as i4 : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: return %[[X]]
  %0 = fairy2.embedding %t, @own : tensor<?xi32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// A head that keeps its precision keeps the table's: one set of bytes.
// CHECK-LABEL: func @dense_head
func.func @dense_head(%t: tensor<?xi32>) -> tensor<?x31xf32> {
  // CHECK-NEXT: fairy2.embedding %{{.*}}, @tied
  %0 = fairy2.embedding %t, @tied : tensor<?xi32> -> tensor<?x64xf32>
  %1 = fairy2.linear %0, @tied head : tensor<?x64xf32> -> tensor<?x31xf32>
  return %1 : tensor<?x31xf32>
}

// CHECK-LABEL: func @int8_head
func.func @int8_head(%t: tensor<?xi32>) -> tensor<?x31xf32> {
  // CHECK-NEXT: fairy2.quantized_embedding %{{.*}}, @both
  %0 = fairy2.embedding %t, @both : tensor<?xi32> -> tensor<?x64xf32>
  %v, %s = fairy2.quantize_activations %0 : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
  %1 = fairy2.int8_linear %v scales %s @both : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x31xf32>
  return %1 : tensor<?x31xf32>
}
