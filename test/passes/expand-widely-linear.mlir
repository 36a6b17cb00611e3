// RUN: fairy2-opt %s --fairy2-expand-widely-linear | FileCheck %s
// RUN: fairy2-opt %s --fairy2-expand-widely-linear=head=true | FileCheck %s --check-prefix=HEAD
// RUN: fairy2-opt %s --fairy2-expand-widely-linear --remarks-filter=fairy2.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

fairy2.weight @q : tensor<32x64xf32> from "a.safetensors" at 0
fairy2.weight @rows : tensor<33x64xf32> from "a.safetensors" at 8192
fairy2.weight @columns : tensor<32x33xf32> from "a.safetensors" at 16640
fairy2.weight @b : tensor<32xf32> from "a.safetensors" at 20864

// CHECK-LABEL: func @even
func.func @even(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: fairy2.widely_linear %{{.*}}, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  %0 = fairy2.linear %x, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  // CHECK: fairy2.widely_linear %{{.*}}, @q bias @b : tensor<?x64xf32> -> tensor<?x32xf32>
  %1 = fairy2.linear %x, @q bias @b : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @odd
func.func @odd(%x: tensor<?x64xf32>, %y: tensor<?x33xf32>) -> (tensor<?x33xf32>, tensor<?x32xf32>) {
  // CHECK: fairy2.linear %{{.*}}, @rows
  // REMARK: remark: [Missed] OddExtent | Category:fairy2-expand-widely-linear
  // REMARK-SAME: rows of 33 x 64 stays in higher precision
  %0 = fairy2.linear %x, @rows : tensor<?x64xf32> -> tensor<?x33xf32>
  // CHECK: fairy2.linear %{{.*}}, @columns
  // REMARK: remark: [Missed] OddExtent
  // REMARK-SAME: columns of 32 x 33 stays in higher precision
  %1 = fairy2.linear %y, @columns : tensor<?x33xf32> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x33xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @head
// HEAD-LABEL: func @head
func.func @head(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // CHECK: fairy2.linear %{{.*}}, @q head
  // HEAD-NOT: fairy2.linear
  // HEAD: fairy2.widely_linear %{{.*}}, @q : tensor<?x64xf32> -> tensor<?x32xf32>
  %0 = fairy2.linear %x, @q head : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
