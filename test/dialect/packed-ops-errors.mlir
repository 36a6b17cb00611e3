// RUN: fairy2-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{expected at least one source}}
fairy2.pack @p <dense> [] {bytes = 0 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected an offset that is a multiple of 64, found 32}}
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 32 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{attribute 'offset' failed to satisfy constraint}}
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 9223372036854775744 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected one source, found 2}}
fairy2.pack @p <int8> [@w, @w] {bytes = 256 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected 256 bytes for this layout, found 192}}
fairy2.pack @p <dense> [@w] {bytes = 192 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @q of @w #fairy2.scheme<stages = 1, activations = int8>
// expected-error @+1 {{expected 192 bytes for this layout, found 64}}
fairy2.pack @p <plane_stream> [@q] {bytes = 64 : i64, offset = 0 : i64}

// -----

// expected-note @+1 {{defined here}}
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected a fairy2.phase_quantize named @w, found a fairy2.weight}}
fairy2.pack @p <plane_stream> [@w] {bytes = 64 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @q of @w #fairy2.scheme<stages = 1, activations = int8>
fairy2.phase_quantize @r of @w #fairy2.scheme<stages = 2, activations = int8>
// expected-error @+1 {{expected sources of equal width and scheme}}
fairy2.pack @p <plane_stream> [@q, @r] {bytes = 384 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected a fairy2.weight named @b, found no such symbol}}
fairy2.pack @p <dense> [@w] biases [@b] {bytes = 320 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.weight @b : tensor<5xf32> from "a.safetensors" at 64
// expected-error @+1 {{expected a weight of shape [4], found [5]}}
fairy2.pack @p <dense> [@w] biases [@b] {bytes = 320 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected one bias per matrix, 1, found 2}}
fairy2.pack @p <dense> [@w] biases [unit, unit] {bytes = 320 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.weight @b : tensor<4xf32> from "a.safetensors" at 64
// expected-error @+1 {{expected no bias beside int8 weights}}
fairy2.pack @p <int8> [@w] biases [@b] {bytes = 192 : i64, offset = 0 : i64}

// -----

func.func @dangling(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected a fairy2.pack named @p, found no such symbol}}
  %0 = fairy2.packed_linear %x @p : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @results(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one result per source of the pack, 1, found 2}}
  %0:2 = fairy2.packed_linear %x @p : tensor<?x4xf32> -> tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @scales(%x: tensor<?x4xf32>, %s: tensor<?xf32>) {
  // expected-error @+1 {{expected scales with int8 input and none with float}}
  %0 = fairy2.packed_linear %x scales %s @p : tensor<?x4xf32>, tensor<?xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @dense_input(%x: tensor<?x4xi8>, %s: tensor<?xf32>) {
  // expected-error @+1 {{expected float input, as packing dense asks for}}
  %0 = fairy2.packed_linear %x scales %s @p : tensor<?x4xi8>, tensor<?xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.pack @p <int8> [@w] {bytes = 192 : i64, offset = 0 : i64}
func.func @int8_input(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected int8 input, as packing int8 asks for}}
  %0 = fairy2.packed_linear %x @p : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @q of @w #fairy2.scheme<stages = 1, activations = float>
fairy2.pack @p <plane_stream> [@q] {bytes = 192 : i64, offset = 0 : i64}
func.func @scheme(%x: tensor<?x4xi8>, %s: tensor<?xf32>) {
  // expected-error @+1 {{expected the input that #fairy2.scheme<stages = 1, activations = float> asks for}}
  %0 = fairy2.packed_linear %x scales %s @p : tensor<?x4xi8>, tensor<?xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x6xf32> from "a.safetensors" at 0
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @shape(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected a weight of shape [4, 4], found [4, 6]}}
  %0 = fairy2.packed_linear %x @p : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected 128 bytes for this layout, found 64}}
fairy2.pack @p <int4> [@w] {bytes = 64 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.weight @b : tensor<4xf32> from "a.safetensors" at 64
// expected-error @+1 {{expected no bias beside int4 weights}}
fairy2.pack @p <int4> [@w] biases [@b] {bytes = 128 : i64, offset = 0 : i64}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.pack @p <int4> [@w] {bytes = 128 : i64, offset = 0 : i64}
func.func @int4_linear(%x: tensor<?x4xi8>, %s: tensor<?xf32>) {
  // expected-error @+1 {{expected no pack of int4, which embeddings alone read}}
  %0 = fairy2.packed_linear %x scales %s @p : tensor<?x4xi8>, tensor<?xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @q of @w #fairy2.scheme<stages = 1, activations = int8>
// expected-note @+1 {{defined here}}
fairy2.pack @p <plane_stream> [@q] {bytes = 192 : i64, offset = 0 : i64}
func.func @table_of_planes(%t: tensor<?xi32>) {
  // expected-error @+1 {{expected a fairy2.weight or dense pack or int8 pack or int4 pack named @p, found a fairy2.pack}}
  %0 = fairy2.embedding %t, @p : tensor<?xi32> -> tensor<?x4xf32>
  return
}
