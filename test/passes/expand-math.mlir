// RUN: fairy2-opt %s --fairy2-expand-math | FileCheck %s

// No library function is left, and no fused product either: it would round
// once where other CPUs round twice.
// CHECK-NOT: math.exp
// CHECK-NOT: math.tanh
// CHECK-NOT: math.fma

// CHECK-LABEL: func @exp
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  // CHECK-DAG: arith.mulf
  // CHECK-DAG: arith.addf
  // CHECK: return
  %0 = math.exp %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// CHECK-LABEL: func @scalar
func.func @scalar(%x: f32) -> f32 {
  // CHECK: arith.mulf
  // CHECK: return
  %0 = math.exp %x : f32
  return %0 : f32
}

// CHECK-LABEL: func @tanh
func.func @tanh(%x: vector<16xf32>) -> vector<16xf32> {
  // CHECK: arith.divf
  // CHECK: return
  %0 = math.tanh %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// CHECK-LABEL: func @fma
func.func @fma(%a: f32, %b: f32, %c: f32) -> f32 {
  // CHECK: %[[P:.*]] = arith.mulf
  // CHECK: arith.addf %[[P]]
  %0 = math.fma %a, %b, %c : f32
  return %0 : f32
}

// These are instructions, or bit operations, on every CPU.
// CHECK-LABEL: func @kept
func.func @kept(%x: vector<16xf32>) -> vector<16xf32> {
  // CHECK: math.sqrt
  // CHECK: math.absf
  // CHECK: math.roundeven
  %0 = math.sqrt %x : vector<16xf32>
  %1 = math.absf %0 : vector<16xf32>
  %2 = math.roundeven %1 : vector<16xf32>
  return %2 : vector<16xf32>
}
