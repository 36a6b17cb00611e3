// RUN: fairy2-opt %s --fairy2-quantize-head | FileCheck %s

fairy2.weight @w : tensor<31x64xbf16> from "a.safetensors" at 0

// CHECK-LABEL: func @head
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>)
func.func @head(%x: tensor<?x64xf32>) -> tensor<?x31xf32> {
  // CHECK: %[[V:.*]], %[[S:.*]] = fairy2.quantize_activations %[[X]]
  // CHECK: %[[Y:.*]] = fairy2.int8_linear %[[V]] scales %[[S]] @w : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x31xf32>
  // CHECK: return %[[Y]]
  %0 = fairy2.linear %x, @w head : tensor<?x64xf32> -> tensor<?x31xf32>
  return %0 : tensor<?x31xf32>
}

// CHECK-LABEL: func @not_the_head
func.func @not_the_head(%x: tensor<?x64xf32>) -> tensor<?x31xf32> {
  // CHECK-NEXT: fairy2.linear %{{.*}}, @w : tensor<?x64xf32> -> tensor<?x31xf32>
  %0 = fairy2.linear %x, @w : tensor<?x64xf32> -> tensor<?x31xf32>
  return %0 : tensor<?x31xf32>
}
