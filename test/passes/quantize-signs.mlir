// RUN: fairy2-opt %s --fairy2-quantize-signs=method=sign2 | FileCheck %s
// RUN: fairy2-opt %s --fairy2-quantize-signs="method=bitnet scales=row activations=float keep=layers.1" | FileCheck %s --check-prefix=FLOAT
// RUN: fairy2-opt %s --fairy2-quantize-signs="method=ternary head=true" | FileCheck %s --check-prefix=HEAD
// RUN: fairy2-opt %s --fairy2-quantize-signs --remarks-filter=".*" 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: not fairy2-opt %s --fairy2-quantize-signs=method=sign3 2>&1 | FileCheck %s --check-prefix=METHOD
// RUN: not fairy2-opt %s --fairy2-quantize-signs=scales=tile 2>&1 | FileCheck %s --check-prefix=TILE
// RUN: not fairy2-opt %s --fairy2-quantize-signs=keep=nowhere 2>&1 | FileCheck %s --check-prefix=KEEP
// METHOD: for the --method option: Cannot find option named 'sign3'
// TILE: expected scales per tensor or row for ternary, found scales per tile
// KEEP: --keep
// REMARK: Reason="model.layers.1.odd.weight of 32 x 5 stays in higher precision: columns have no two halves
// CHECK: fairy2.sign_quantize @model.layers.0.q.weight.signs of @model.layers.0.q.weight <method = sign2, activations = int8>
// FLOAT: fairy2.sign_quantize @model.layers.0.q.weight.signs of @model.layers.0.q.weight <method = bitnet, scales = row, activations = float>
fairy2.weight @model.layers.0.q.weight : tensor<31x64xf32> from "a.safetensors" at 0
fairy2.weight @model.layers.1.odd.weight : tensor<32x5xf32> from "a.safetensors" at 8192
fairy2.weight @lm_head.weight : tensor<32x64xf32> from "a.safetensors" at 16384

// CHECK-LABEL: func @layers
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>
// FLOAT-LABEL: func @layers
// FLOAT-SAME: (%[[X:.*]]: tensor<?x64xf32>
// HEAD-LABEL: func @layers
func.func @layers(%x: tensor<?x64xf32>, %y: tensor<?x5xf32>) -> (tensor<?x31xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK-NEXT: %[[V:.*]], %[[S:.*]] = fairy2.quantize_activations %[[X]]
  // CHECK-NEXT: fairy2.sign_linear %[[V]] scales %[[S]] [@model.layers.0.q.weight.signs] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x31xf32>
  // FLOAT-NEXT: fairy2.sign_linear %[[X]] [@model.layers.0.q.weight.signs] : tensor<?x64xf32> -> tensor<?x31xf32>
  %0 = fairy2.linear %x, @model.layers.0.q.weight : tensor<?x64xf32> -> tensor<?x31xf32>
  // CHECK-NEXT: fairy2.linear %{{.*}}, @model.layers.1.odd.weight
  %1 = fairy2.linear %y, @model.layers.1.odd.weight : tensor<?x5xf32> -> tensor<?x32xf32>
  // CHECK-NEXT: fairy2.linear %{{.*}}, @lm_head.weight head
  // HEAD: fairy2.sign_linear %{{.*}} [@lm_head.weight.signs]
  %2 = fairy2.linear %x, @lm_head.weight head : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0, %1, %2 : tensor<?x31xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}
