// RUN: fairy2-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{expected a static shape of positive extents, found 'tensor<?x4xf32>'}}
fairy2.weight @w : tensor<?x4xf32> from "a.safetensors" at 0

// -----

// expected-error @+1 {{expected a static shape of positive extents, found 'tensor<f32>'}}
fairy2.weight @w : tensor<f32> = dense<1.0> : tensor<f32>

// -----

// expected-error @+1 {{expected a static shape of positive extents, found 'tensor<0x4xf32>'}}
fairy2.weight @w : tensor<0x4xf32> from "a.safetensors" at 0

// -----

// expected-error @+1 {{expected at most 1099511627776 elements, found 'tensor<4294967296x4294967296xf32>'}}
fairy2.weight @w : tensor<4294967296x4294967296xf32> from "a.safetensors" at 0

// -----

// expected-error @+1 {{expected either a place in a file or a value}}
fairy2.weight @w : tensor<4xf32>

// -----

// expected-error @+1 {{expected either a place in a file or a value}}
fairy2.weight @w : tensor<2xf32> from "a.safetensors" at 0 = dense<1.0> : tensor<2xf32>

// -----

// expected-error @+1 {{expected a value of type 'tensor<2xf32>', found 'tensor<3xf32>'}}
fairy2.weight @w : tensor<2xf32> = dense<1.0> : tensor<3xf32>

// -----

// expected-error @+1 {{expected an offset of at least 0, found -8}}
fairy2.weight @w : tensor<2xf32> from "a.safetensors" at -8

// -----

// expected-error @+1 {{attribute 'type' failed to satisfy constraint}}
fairy2.weight @w : tensor<2xf64> from "a.safetensors" at 0

// -----

// expected-error @+1 {{expected 1 to 8 stages, found 0}}
#scheme = #fairy2.scheme<stages = 0, activations = int8>

// -----

// expected-error @+1 {{expected 1 to 8 stages, found 9}}
#scheme = #fairy2.scheme<stages = 9, activations = float>

// -----

// expected-error @+1 {{expected layers, heads and dim of 1 to 65536, found 2, 0, 8}}
func.func private @f(!fairy2.kv_cache<layers = 2, heads = 0, dim = 8>)

// -----

// expected-error @+1 {{expected layers, heads and dim of 1 to 65536, found 2, 4, 65537}}
func.func private @f(!fairy2.kv_cache<layers = 2, heads = 4, dim = 65537>)

// -----

// expected-error @+1 {{expected elements of f32, f16 or i8, found 'bf16'}}
func.func private @f(!fairy2.kv_cache<layers = 2, heads = 4, dim = 8, element = bf16>)
