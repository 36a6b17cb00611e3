// RUN: fairy2-opt %s --split-input-file --verify-diagnostics

// expected-note @+1 {{weight defined here}}
fairy2.weight @w : tensor<33x64xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected a matrix of even extents, found 'tensor<33x64xf32>'}}
fairy2.phase_quantize @w.phases of @w #fairy2.scheme<stages = 2, activations = int8>

// -----

// expected-error @+1 {{expected a fairy2.weight named @w, found no such symbol}}
fairy2.phase_quantize @w.phases of @w #fairy2.scheme<stages = 2, activations = int8>

// -----

fairy2.weight @w : tensor<5x4xf32> from "a.safetensors" at 0
func.func @odd(%x: tensor<?x4xf32>) -> tensor<?x5xf32> {
  // expected-error @+1 {{expected even numbers of features to pair as complex numbers, found 4 and 5}}
  %0 = fairy2.widely_linear %x, @w : tensor<?x4xf32> -> tensor<?x5xf32>
  return %0 : tensor<?x5xf32>
}

// -----

func.func @width(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected as many values as inputs, 4, found 6}}
  %0, %1 = fairy2.quantize_activations %x : tensor<?x4xf32> -> tensor<?x6xi8>, tensor<?xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @results(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one result per matrix, found 2 results and 1 matrices}}
  %0:2 = fairy2.phase_linear %x [@p] : tensor<?x4xf32> -> tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @no_matrix(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one result per matrix, found 0 results and 0 matrices}}
  "fairy2.phase_linear"(%x) <{recipes = []}> : (tensor<?x4xf32>) -> ()
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @no_scales(%x: tensor<?x4xi8>) {
  // expected-error @+1 {{expected scales with int8 input and none with float}}
  %0 = fairy2.phase_linear %x [@p] : tensor<?x4xi8> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = int8>
func.func @float_input(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected the input that #fairy2.scheme<stages = 1, activations = int8> asks for}}
  %0 = fairy2.phase_linear %x [@p] : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
fairy2.phase_quantize @q of @w #fairy2.scheme<stages = 2, activations = float>
func.func @schemes(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected matrices of one scheme, found #fairy2.scheme<stages = 1, activations = float> and #fairy2.scheme<stages = 2, activations = float>}}
  %0:2 = fairy2.phase_linear %x [@p, @q] : tensor<?x4xf32> -> tensor<?x4xf32>, tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x6xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @shape(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected a weight of shape [4, 4], found [4, 6]}}
  %0 = fairy2.phase_linear %x [@p] : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
func.func @not_phases(%x: tensor<?x4xf32>) {
  // expected-note @-2 {{defined here}}
  // expected-error @+1 {{expected a fairy2.phase_quantize named @w, found a fairy2.weight}}
  %0 = fairy2.phase_linear %x [@w] : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @bias_count(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one bias per matrix, 1, found 2}}
  %0 = fairy2.phase_linear %x [@p] biases [unit, unit] : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @bias_kind(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected biases that are symbols or unit, found 3 : i64}}
  %0 = fairy2.phase_linear %x [@p] biases [3] : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 1, activations = float>
func.func @bias_shape(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected a weight of shape [4], found [4, 4]}}
  %0 = fairy2.phase_linear %x [@p] biases [@w] : tensor<?x4xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x6xf32> from "a.safetensors" at 0
func.func @int8(%x: tensor<?x4xi8>, %s: tensor<?xf32>) {
  // expected-error @+1 {{expected a weight of shape [4, 4], found [4, 6]}}
  %0 = fairy2.int8_linear %x scales %s @w : tensor<?x4xi8>, tensor<?xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-note @+1 {{defined here}}
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @int8_of_a_pack(%x: tensor<?x4xi8>, %s: tensor<?xf32>) {
  // expected-error @+1 {{expected a fairy2.weight named @p, found a fairy2.pack}}
  %0 = fairy2.int8_linear %x scales %s @p : tensor<?x4xi8>, tensor<?xf32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-note @+1 {{defined here}}
fairy2.pack @p <dense> [@w] {bytes = 256 : i64, offset = 0 : i64}
func.func @table_of_a_pack(%t: tensor<?xi32>) {
  // expected-error @+1 {{expected a fairy2.weight named @p, found a fairy2.pack}}
  %0 = fairy2.quantized_embedding %t, @p as i8 : tensor<?xi32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x6xf32> from "a.safetensors" at 0
func.func @table_width(%t: tensor<?xi32>) {
  // expected-error @+1 {{expected a weight of shape [vocabulary, 4], found 'tensor<4x6xf32>'}}
  %0 = fairy2.quantized_embedding %t, @w as i8 : tensor<?xi32> -> tensor<?x4xf32>
  return
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
func.func @table_element(%t: tensor<?xi32>) {
  // expected-error @+1 {{attribute 'element' failed to satisfy constraint}}
  %0 = fairy2.quantized_embedding %t, @w as i16 : tensor<?xi32> -> tensor<?x4xf32>
  return
}

// -----

// expected-error @+2 {{expected mean or binary, found 'ternary'}}
// expected-error @+1 {{failed to parse Fairy2_SchemeAttr parameter 'stage_scales'}}
#a = #fairy2.scheme<stages = 2, stage_scales = ternary, activations = int8>

// -----

// expected-error @+2 {{expected float or int8, found 'int4'}}
// expected-error @+1 {{failed to parse Fairy2_SchemeAttr parameter 'scale_grid'}}
#a = #fairy2.scheme<stages = 2, scale_grid = int4, activations = int8>

// -----

// expected-error @+1 {{expected at most 6 binary stages on the scale grid int8, or the grid float, found 7}}
#a = #fairy2.scheme<stages = 7, stage_scales = binary, scale_grid = int8, activations = int8>

// -----

// expected-error @+1 {{expected stage scales mean on the grid float in official mode, found mean on the grid int8}}
#a = #fairy2.scheme<stages = 2, mode = official_bf16, scale_grid = int8, activations = int8>

// -----

// expected-error @+1 {{expected at most 6 binary stages on the scale grid int8, or the grid float, found 8}}
#a = #fairy2.stored_phases<stages = 8, scales = row, stage_scales = binary, scale_grid = int8>

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0 phases <stages = 2, scales = row, stage_scales = binary, scale_grid = int8>
// expected-error @+1 {{expected the scheme of the stored phases, #fairy2.stored_phases<stages = 2, scales = row, stage_scales = binary, scale_grid = int8>, found #fairy2.scheme<stages = 2, scales = row, activations = int8>}}
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 2, scales = row, activations = int8>

// -----

fairy2.weight @w : tensor<2x266290xf32> from "a.safetensors" at 0
// expected-error @+1 {{expected at most 266288 columns on the scale grid int8, found 'tensor<2x266290xf32>'}}
fairy2.phase_quantize @p of @w #fairy2.scheme<stages = 2, scale_grid = int8, activations = int8>
