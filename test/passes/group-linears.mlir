// RUN: fairy2-opt %s --pass-pipeline='builtin.module(func.func(fairy2-group-linears))' | FileCheck %s

fairy2.weight @q : tensor<64x64xf32> from "a.safetensors" at 0
fairy2.weight @k : tensor<32x64xf32> from "a.safetensors" at 16384
fairy2.weight @b : tensor<32xf32> from "a.safetensors" at 24576
fairy2.phase_quantize @qp of @q #fairy2.scheme<stages = 2, activations = int8>
fairy2.phase_quantize @kp of @k #fairy2.scheme<stages = 2, activations = int8>

// CHECK-LABEL: func @one_input
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xi8>, %[[S:.*]]: tensor<?xf32>)
func.func @one_input(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK-NEXT: %[[Y:.*]]:3 = fairy2.phase_linear %[[X]] scales %[[S]] [@qp, @kp, @kp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>
  // CHECK-NEXT: return %[[Y]]#0, %[[Y]]#1, %[[Y]]#2
  %0 = fairy2.phase_linear %x scales %s [@qp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
  %1 = fairy2.phase_linear %x scales %s [@kp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  %2 = fairy2.phase_linear %x scales %s [@kp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  return %0, %1, %2 : tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}

// A matrix without a bias beside one that has it gets `unit`.
// CHECK-LABEL: func @biases
func.func @biases(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK-NEXT: fairy2.phase_linear %{{.*}} scales %{{.*}} [@qp, @kp] biases [unit, @b]
  %0 = fairy2.phase_linear %x scales %s [@qp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
  %1 = fairy2.phase_linear %x scales %s [@kp] biases [@b] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @two_inputs
func.func @two_inputs(%x: tensor<?x64xi8>, %y: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK-NEXT: fairy2.phase_linear %{{.*}} scales %{{.*}} [@qp] :
  // CHECK-NEXT: fairy2.phase_linear %{{.*}} scales %{{.*}} [@kp] :
  %0 = fairy2.phase_linear %x scales %s [@qp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x64xf32>
  %1 = fairy2.phase_linear %y scales %s [@kp] : tensor<?x64xi8>, tensor<?xf32> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x32xf32>
}
