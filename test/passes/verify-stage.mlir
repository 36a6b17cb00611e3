// Every module is accepted at its own stage and at none where an op of it may
// not stand.
// RUN: split-file %s %t
// RUN: fairy2-opt %t/model.mlir --fairy2-verify-stage=stage=model -o /dev/null
// RUN: fairy2-opt %t/quantized.mlir --fairy2-verify-stage=stage=quantized -o /dev/null
// RUN: fairy2-opt %t/packed.mlir --fairy2-verify-stage=stage=packed -o /dev/null
// RUN: fairy2-opt %t/loops.mlir --fairy2-verify-stage=stage=loops -o /dev/null
// RUN: fairy2-opt %t/llvm.mlir --fairy2-verify-stage=stage=llvm -o /dev/null
// RUN: not fairy2-opt %t/model.mlir --fairy2-verify-stage=stage=packed 2>&1 | FileCheck %s --check-prefix=MODEL
// RUN: not fairy2-opt %t/quantized.mlir --fairy2-verify-stage=stage=model 2>&1 | FileCheck %s --check-prefix=QUANTIZED
// RUN: not fairy2-opt %t/packed.mlir --fairy2-verify-stage=stage=loops 2>&1 | FileCheck %s --check-prefix=PACKED
// RUN: not fairy2-opt %t/loops.mlir --fairy2-verify-stage=stage=packed 2>&1 | FileCheck %s --check-prefix=LOOPS
// RUN: not fairy2-opt %t/loops.mlir --fairy2-verify-stage=stage=llvm 2>&1 | FileCheck %s --check-prefix=LLVM
// RUN: not fairy2-opt %t/widely.mlir --fairy2-verify-stage=stage=quantized 2>&1 | FileCheck %s --check-prefix=WIDELY
// RUN: not fairy2-opt %t/other.mlir --fairy2-verify-stage=stage=model 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: not fairy2-opt %t/other.mlir --fairy2-verify-stage=stage=llvm 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: not fairy2-opt %t/model.mlir --fairy2-verify-stage=stage=later 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not fairy2-opt %t/model.mlir --fairy2-verify-stage 2>&1 | FileCheck %s --check-prefix=NONE
// UNKNOWN: Cannot find option named 'later'
// NONE: error: stage: expected model, quantized, packed, loops or llvm, found none

//--- model.mlir
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // MODEL: error: 'fairy2.linear' op belongs to stage model and may not be in stage packed
  %0 = fairy2.linear %x, @w : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
//--- quantized.mlir
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// QUANTIZED: error: 'fairy2.phase_quantize' op belongs to stage quantized and may not be in stage model
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = fairy2.phase_linear %x [@p] : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
//--- widely.mlir
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // WIDELY: error: 'fairy2.widely_linear' op stands between two passes and may not be in stage quantized
  %0 = fairy2.widely_linear %x, @w : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
//--- packed.mlir
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.pack @w.pack <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // PACKED: error: 'fairy2.packed_linear' op belongs to stage packed and may not be in stage loops
  %0 = fairy2.packed_linear %x @w.pack : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
//--- loops.mlir
func.func @f(%t: vector<16xi8>, %x: memref<16xi8>) -> vector<16xi8> {
  %c0 = arith.constant 0 : index
  // LOOPS: error: 'vector.load' op belongs to stage loops and may not be in stage packed
  %0 = vector.load %x[%c0] : memref<16xi8>, vector<16xi8>
  %1 = fairy2.table_lookup lane %t, %0 : vector<16xi8>
  return %1 : vector<16xi8>
}
//--- llvm.mlir
// LLVM: error: {{.*}} op belongs to stage {{.*}} and may not be in stage llvm
llvm.func @f(%x: i32) -> i32 {
  llvm.return %x : i32
}
//--- other.mlir
// OTHER: error: 'tensor.empty' op belongs to no stage and may not be in stage
func.func @f() -> tensor<4xf32> {
  %0 = tensor.empty() : tensor<4xf32>
  return %0 : tensor<4xf32>
}
