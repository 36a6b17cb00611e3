// RUN: fairy2-opt %s --fairy2-quantize-phases --fairy2-pack-weights | FileCheck %s

// Symbols of an inner module are its own: passes of the outer one leave it
// alone.
module {
  module @inner {
    fairy2.weight @w : tensor<8x4xf32> from "a.safetensors" at 0
    // CHECK-LABEL: func @f
    func.func @f(%t: tensor<?xi32>) -> tensor<?x8xf32> {
      // CHECK: fairy2.embedding %{{.*}}, @w :
      %0 = fairy2.embedding %t, @w : tensor<?xi32> -> tensor<?x4xf32>
      // CHECK: fairy2.widely_linear %{{.*}}, @w :
      %1 = fairy2.widely_linear %0, @w : tensor<?x4xf32> -> tensor<?x8xf32>
      return %1 : tensor<?x8xf32>
    }
  }
}
