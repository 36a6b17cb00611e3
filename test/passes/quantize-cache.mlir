// RUN: fairy2-opt %s --fairy2-quantize-cache | FileCheck %s --check-prefixes=CHECK,F16
// RUN: fairy2-opt %s --fairy2-quantize-cache=element=int8 | FileCheck %s --check-prefixes=CHECK,INT8
// RUN: not fairy2-opt %s --fairy2-quantize-cache=element=fp8 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: for the --element option: Cannot find option named 'fp8'

// F16-LABEL: func @forward
// F16-SAME: !fairy2.kv_cache<layers = 1, heads = 2, dim = 8, element = f16>
// INT8-LABEL: func @forward
// INT8-SAME: !fairy2.kv_cache<layers = 1, heads = 2, dim = 8, element = i8>
// CHECK-SAME: -> tensor<?x16xf32>
func.func @forward(%q: tensor<?x16xf32>, %slots: tensor<?xi32>,
                   %cache: !fairy2.kv_cache<layers = 1, heads = 2, dim = 8>) -> tensor<?x16xf32> {
  // F16: fairy2.attention {{.*}} <layers = 1, heads = 2, dim = 8, element = f16>
  // INT8: fairy2.attention {{.*}} <layers = 1, heads = 2, dim = 8, element = i8>
  %0 = fairy2.attention %q, %q, %q cache %cache[%slots, %slots] {layer = 0 : i64, scale = 0.35 : f32}
      : tensor<?x16xf32>, tensor<?x16xf32>, !fairy2.kv_cache<layers = 1, heads = 2, dim = 8>, tensor<?xi32>
  return %0 : tensor<?x16xf32>
}
