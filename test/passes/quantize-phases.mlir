// RUN: fairy2-opt %s --fairy2-quantize-phases=stages=3 | FileCheck %s
// RUN: fairy2-opt %s --fairy2-quantize-phases="stages=1 activations=float" | FileCheck %s --check-prefix=FLOAT
// RUN: fairy2-opt %s --fairy2-quantize-phases="stages=4 scales=row stage-scales=binary scale-grid=int8" | FileCheck %s --check-prefix=BINARY

// BINARY: fairy2.phase_quantize @q.phases of @q <stages = 4, scales = row, stage_scales = binary, scale_grid = int8, activations = int8>
// CHECK: fairy2.weight @q
// CHECK-NEXT: fairy2.phase_quantize @q.phases of @q <stages = 3, activations = int8>
// FLOAT: fairy2.phase_quantize @q.phases of @q <stages = 1, activations = float>
fairy2.weight @q : tensor<32x64xf32> from "a.safetensors" at 0
fairy2.weight @b : tensor<32xf32> from "a.safetensors" at 8192
// CHECK-NOT: fairy2.phase_quantize

// CHECK-LABEL: func @shared
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>)
// FLOAT-LABEL: func @shared
// FLOAT-SAME: (%[[X:.*]]: tensor<?x64xf32>)
func.func @shared(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: %[[V:.*]], %[[S:.*]] = fairy2.quantize_activations %[[X]] : tensor<?x64xf32> -> tensor<?x64xi8>, tensor<?xf32>
  // CHECK: fairy2.phase_linear %[[V]] scales %[[S]] [@q.phases] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  // FLOAT-NOT: fairy2.quantize_activations
  // FLOAT: fairy2.phase_linear %[[X]] [@q.phases] : tensor<?x64xf32> -> tensor<?x32xf32>
  %0 = fairy2.widely_linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  // CHECK: fairy2.phase_linear %{{.*}} scales %{{.*}} [@q.phases] biases [@b]
  // FLOAT: fairy2.phase_linear %[[X]] [@q.phases] biases [@b]
  %1 = fairy2.widely_linear %x, @q bias @b : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @untouched
func.func @untouched(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // CHECK-NEXT: fairy2.linear %{{.*}}, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
