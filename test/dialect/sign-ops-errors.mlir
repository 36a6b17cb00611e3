// RUN: fairy2-opt %s --split-input-file --verify-diagnostics

// expected-note @+1 {{weight defined here}}
fairy2.weight @w : tensor<4x5xf32> from "a.safetensors" at 0
// expected-error @+1 {{even}}
fairy2.sign_quantize @s of @w #fairy2.sign_scheme<method = ternary, activations = int8>

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
// expected-error @+1 {{scales}}
fairy2.sign_quantize @s of @w #fairy2.sign_scheme<method = ternary, scales = tile, activations = int8>

// -----

// expected-note @+1 {{defined here}}
fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{expected a fairy2.sign_quantize named @w, found a fairy2.weight}}
  %0 = fairy2.sign_linear %x [@w] : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.sign_quantize @s of @w #fairy2.sign_scheme<method = ternary, activations = int8>
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{int8}}
  %0 = fairy2.sign_linear %x [@s] : tensor<?x4xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

fairy2.weight @w : tensor<4x4xf32> from "a.safetensors" at 0
fairy2.sign_quantize @s of @w #fairy2.sign_scheme<method = ternary, activations = float>
fairy2.sign_quantize @t of @w #fairy2.sign_scheme<method = sign2, activations = float>
func.func @f(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  // expected-error @+1 {{scheme}}
  %0:2 = fairy2.sign_linear %x [@s, @t] : tensor<?x4xf32> -> tensor<?x4xf32>, tensor<?x4xf32>
  return %0#0, %0#1 : tensor<?x4xf32>, tensor<?x4xf32>
}
