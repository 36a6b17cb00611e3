// RUN: fairy2-opt %s --split-input-file --verify-diagnostics --fairy2-lower-to-loops
// RUN: echo 'module {}' | not fairy2-opt --fairy2-lower-to-loops=cpu=z80 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: echo 'module {}' | not fairy2-opt --fairy2-lower-to-loops=batch=0 2>&1 | FileCheck %s --check-prefix=BATCH
// CPU: error: expected a cpu of x86-64-v4-vnni, {{.*}}, found 'z80'
// BATCH: error: expected a batch of 1 to 4096, found 0

// expected-error @below {{expected (tokens, slots, positions, rows: tensor<?xi32>, cache: !fairy2.kv_cache) -> logits: tensor<?xVxf32> and one block}}
func.func @signature(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  return %x : tensor<?x4xf32>
}

// -----

!ids = tensor<?xi32>
!cache = !fairy2.kv_cache<layers = 1, heads = 1, dim = 4>
// expected-error @below {{expected (tokens, slots, positions, rows: tensor<?xi32>, cache: !fairy2.kv_cache) -> logits: tensor<?xVxf32> and one block}}
func.func @no_logits(%t: !ids, %s: !ids, %p: !ids, %r: !ids, %c: !cache) -> !ids {
  return %t : !ids
}

// -----

!ids = tensor<?xi32>
!cache = !fairy2.kv_cache<layers = 1, heads = 1, dim = 4>
fairy2.weight @w : tensor<8x4xf32> from "a.safetensors" at 0
func.func @unpacked(%t: !ids, %s: !ids, %p: !ids, %r: !ids, %c: !cache) -> tensor<?x4xf32> {
  // expected-error @below {{expected a fairy2.pack named @w, found a fairy2.weight}}
  %0 = fairy2.embedding %t, @w : !ids -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

!ids = tensor<?xi32>
!cache = !fairy2.kv_cache<layers = 1, heads = 1, dim = 4>
fairy2.weight @w : tensor<8x4xf32> from "a.safetensors" at 0
fairy2.pack @w.pack <dense> [@w] {bytes = 512 : i64, offset = 0 : i64}
func.func @no_kernel(%t: !ids, %s: !ids, %p: !ids, %r: !ids, %c: !cache) -> tensor<?x8xf32> {
  %0 = fairy2.embedding %t, @w.pack : !ids -> tensor<?x4xf32>
  // expected-error @below {{has no kernel; expected an op of stage packed}}
  %1 = arith.negf %0 : tensor<?x4xf32>
  %2 = fairy2.packed_linear %1 @w.pack : tensor<?x4xf32> -> tensor<?x8xf32>
  return %2 : tensor<?x8xf32>
}

// -----

!ids = tensor<?xi32>
!cache = !fairy2.kv_cache<layers = 1, heads = 1, dim = 4>
fairy2.weight @w : tensor<8x4xf32> from "a.safetensors" at 0
fairy2.pack @w.pack <dense> [@w] {bytes = 512 : i64, offset = 0 : i64}
func.func @sum_of_scales(%t: !ids, %s: !ids, %p: !ids, %r: !ids, %c: !cache) -> tensor<?x8xf32> {
  %0 = fairy2.embedding %t, @w.pack : !ids -> tensor<?x4xf32>
  %v, %f = fairy2.quantize_activations %0 : tensor<?x4xf32> -> tensor<?x4xi8>, tensor<?xf32>
  // expected-error @below {{expected rows of float32 features, found 'tensor<?xf32>'}}
  %1 = arith.addf %f, %f : tensor<?xf32>
  %2 = fairy2.packed_linear %0 @w.pack : tensor<?x4xf32> -> tensor<?x8xf32>
  return %2 : tensor<?x8xf32>
}

// -----

!ids = tensor<?xi32>
!cache = !fairy2.kv_cache<layers = 1, heads = 1, dim = 4>
fairy2.weight @w : tensor<8x4xf32> from "a.safetensors" at 0
fairy2.pack @w.pack <dense> [@w] {bytes = 512 : i64, offset = 0 : i64}
func.func @padded_logits(%t: !ids, %s: !ids, %p: !ids, %r: !ids, %c: !cache) -> tensor<?x4xf32> {
  %0 = fairy2.embedding %t, @w.pack : !ids -> tensor<?x4xf32>
  // expected-error @below {{expected logits that are the only result of a fairy2.packed_linear and have no other use}}
  return %0 : tensor<?x4xf32>
}

// -----

!ids = tensor<?xi32>
!cache = !fairy2.kv_cache<layers = 1, heads = 1, dim = 4>
fairy2.weight @w : tensor<8x4xf32> from "a.safetensors" at 0
fairy2.pack @w.pack <dense> [@w] {bytes = 512 : i64, offset = 0 : i64}
func.func @cap_of_activations(%t: !ids, %s: !ids, %p: !ids, %r: !ids, %c: !cache) -> tensor<?x8xf32> {
  %0 = fairy2.embedding %t, @w.pack : !ids -> tensor<?x4xf32>
  // expected-error @below {{expected to be applied to the logits only}}
  %1 = fairy2.soft_cap %0 {cap = 30.0 : f32} : tensor<?x4xf32>
  %2 = fairy2.packed_linear %1 @w.pack : tensor<?x4xf32> -> tensor<?x8xf32>
  return %2 : tensor<?x8xf32>
}
