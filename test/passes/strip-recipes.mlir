// RUN: fairy2-opt %s --fairy2-strip-recipes | FileCheck %s

// CHECK: module {
// CHECK-NEXT: func.func private @kernel
// CHECK-NEXT: }
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
fairy2.sign_quantize @s of @w #fairy2.sign_scheme<method = int2, activations = float>
fairy2.pack @w.pack <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func private @kernel(memref<4xf32>)
