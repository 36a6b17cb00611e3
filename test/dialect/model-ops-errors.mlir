// RUN: fairy2-opt %s --split-input-file --verify-diagnostics

func.func @dangling(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{expected a fairy2.weight or dense pack named @gone, found no such symbol}}
  %0 = fairy2.linear %x, @gone : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

// expected-note @+1 {{defined here}}
func.func private @helper()
func.func @wrong_symbol(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected a fairy2.weight or dense pack named @helper, found a func.func}}
  %0 = fairy2.rms_norm %x, @helper {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

fairy2.weight @w : tensor<32x64xf32> from "a.safetensors" at 0
func.func @linear_shape(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected a weight of shape [64, 32], found [32, 64]}}
  %0 = fairy2.linear %x, @w : tensor<?x32xf32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

fairy2.weight @w : tensor<32x64xf32> from "a.safetensors" at 0
fairy2.weight @b : tensor<64xf32> from "a.safetensors" at 0
func.func @bias_shape(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{expected a weight of shape [32], found [64]}}
  %0 = fairy2.linear %x, @w bias @b : tensor<?x64xf32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

fairy2.weight @w : tensor<64x1xf32> from "a.safetensors" at 0
func.func @norm_rank(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected a weight of shape [64], found [64, 1]}}
  %0 = fairy2.rms_norm %x, @w {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

fairy2.weight @w : tensor<64xf32> from "a.safetensors" at 0
func.func @row_rank(%x: tensor<64xf32>) -> tensor<64xf32> {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float values with a static number of features, but got 'tensor<64xf32>'}}
  %0 = fairy2.rms_norm %x, @w {epsilon = 1.0e-5 : f32} : tensor<64xf32>
  return %0 : tensor<64xf32>
}

// -----

func.func @dynamic_features(%x: tensor<?x?xf32>, %rows: tensor<?xi32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float values with a static number of features, but got 'tensor<?x?xf32>'}}
  %0 = fairy2.gather_rows %x, %rows : tensor<?x?xf32>, tensor<?xi32>
  return %0 : tensor<?x?xf32>
}

// -----

func.func @no_features(%x: tensor<?x0xf32>) -> tensor<?x0xf32> {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float values with a static number of features}}
  %0 = fairy2.gated_activation silu %x, %x : tensor<?x0xf32>
  return %0 : tensor<?x0xf32>
}

// -----

fairy2.weight @w : tensor<512x64xf32> from "a.safetensors" at 0
func.func @embedding_width(%t: tensor<?xi32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{expected a weight of shape [vocabulary, 32], found 'tensor<512x64xf32>'}}
  %0 = fairy2.embedding %t, @w : tensor<?xi32> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----

func.func @rope_table_width(%p: tensor<?xi32>) -> tensor<?x6xf32> {
  // expected-error @+1 {{expected a result with two features per frequency, 4, found 6}}
  %0 = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0, 0.1>, max_positions = 8 : i64} : tensor<?xi32> -> tensor<?x6xf32>
  return %0 : tensor<?x6xf32>
}

// -----

func.func @rope_table_positions(%p: tensor<?xi32>) -> tensor<?x2xf32> {
  // expected-error @+1 {{attribute 'max_positions' failed to satisfy constraint}}
  %0 = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0>, max_positions = 1152921504606846976 : i64} : tensor<?xi32> -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}

// -----

func.func @rope_heads(%x: tensor<?x10xf32>, %t: tensor<?x4xf32>) -> tensor<?x10xf32> {
  // expected-error @+1 {{expected whole heads, at least as wide as the table, which is even, found 10 features, 4 heads and a table of 4}}
  %0 = fairy2.rope %x, %t {heads = 4 : i64} : tensor<?x10xf32>, tensor<?x4xf32>
  return %0 : tensor<?x10xf32>
}

// -----

func.func @rope_narrow_heads(%x: tensor<?x10xf32>, %t: tensor<?x4xf32>) -> tensor<?x10xf32> {
  // expected-error @+1 {{expected whole heads, at least as wide as the table, which is even, found 10 features, 5 heads and a table of 4}}
  %0 = fairy2.rope %x, %t {heads = 5 : i64} : tensor<?x10xf32>, tensor<?x4xf32>
  return %0 : tensor<?x10xf32>
}

// -----

func.func @rope_odd_table(%x: tensor<?x9xf32>, %t: tensor<?x3xf32>) -> tensor<?x9xf32> {
  // expected-error @+1 {{expected whole heads, at least as wide as the table, which is even, found 9 features, 3 heads and a table of 3}}
  %0 = fairy2.rope %x, %t {heads = 3 : i64} : tensor<?x9xf32>, tensor<?x3xf32>
  return %0 : tensor<?x9xf32>
}

// -----

func.func @long_alone(%p: tensor<?xi32>) -> tensor<?x2xf32> {
  // expected-error @+1 {{expected long_frequencies and long_after together}}
  %0 = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0>, max_positions = 8 : i64, long_after = 4 : i64} : tensor<?xi32> -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}

// -----

func.func @long_count(%p: tensor<?xi32>) -> tensor<?x2xf32> {
  // expected-error @+1 {{expected as many long frequencies as others, 1, found 2}}
  %0 = fairy2.rope_table %p {inverse_frequencies = array<f32: 1.0>, max_positions = 8 : i64, long_after = 4 : i64, long_frequencies = array<f32: 1.0, 0.5>} : tensor<?xi32> -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}

// -----

fairy2.weight @w : tensor<16xf32> from "a.safetensors" at 0
func.func @norm_heads(%x: tensor<?x40xf32>) -> tensor<?x40xf32> {
  // expected-error @+1 {{expected whole heads, found 40 features and 3 heads}}
  %0 = fairy2.rms_norm %x, @w {epsilon = 1.0e-5 : f32, heads = 3 : i64} : tensor<?x40xf32>
  return %0 : tensor<?x40xf32>
}

// -----

fairy2.weight @w : tensor<16xf32> from "a.safetensors" at 0
func.func @norm_head_weight(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected a weight of shape [32], found [16]}}
  %0 = fairy2.rms_norm %x, @w {epsilon = 1.0e-5 : f32, heads = 2 : i64} : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

func.func @cap(%x: tensor<?x16xf32>) -> tensor<?x16xf32> {
  // expected-error @+1 {{expected a positive cap, found 0}}
  %0 = fairy2.soft_cap %x {cap = 0.0 : f32} : tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// -----

func.func @slice(%x: tensor<?x16xf32>) -> tensor<?x8xf32> {
  // expected-error @+1 {{expected a range within 16 features, found 8 from 9}}
  %0 = fairy2.slice %x from 9 : tensor<?x16xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

!cache = !fairy2.kv_cache<layers = 2, heads = 2, dim = 8>
func.func @score_cap(%q: tensor<?x16xf32>, %c: !cache, %i: tensor<?xi32>) -> tensor<?x16xf32> {
  // expected-error @+1 {{expected a positive cap, found -1}}
  %0 = fairy2.attention %q, %q, %q cache %c[%i, %i] {layer = 0 : i64, scale = 1.0 : f32, soft_cap = -1.0 : f32} : tensor<?x16xf32>, tensor<?x16xf32>, !cache, tensor<?xi32>
  return %0 : tensor<?x16xf32>
}

// -----

!cache = !fairy2.kv_cache<layers = 2, heads = 2, dim = 8>
func.func @window(%q: tensor<?x16xf32>, %c: !cache, %i: tensor<?xi32>) -> tensor<?x16xf32> {
  // expected-error @+1 {{attribute 'window' failed to satisfy constraint}}
  %0 = fairy2.attention %q, %q, %q cache %c[%i, %i] {layer = 0 : i64, scale = 1.0 : f32, window = 0 : i64} : tensor<?x16xf32>, tensor<?x16xf32>, !cache, tensor<?xi32>
  return %0 : tensor<?x16xf32>
}

// -----

!cache = !fairy2.kv_cache<layers = 2, heads = 2, dim = 8>
func.func @key_heads(%x: tensor<?x64xf32>, %c: !cache, %i: tensor<?xi32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected keys of 2 x 8 features, as the cache has, found 64}}
  %0 = fairy2.attention %x, %x, %x cache %c[%i, %i] {layer = 0 : i64, scale = 1.0 : f32} : tensor<?x64xf32>, tensor<?x64xf32>, !cache, tensor<?xi32>
  return %0 : tensor<?x64xf32>
}

// -----

!cache = !fairy2.kv_cache<layers = 2, heads = 2, dim = 8>
func.func @query_groups(%q: tensor<?x24xf32>, %k: tensor<?x16xf32>, %c: !cache, %i: tensor<?xi32>) -> tensor<?x24xf32> {
  // expected-error @+1 {{expected query heads in groups that share a key head, found 24 query and 16 key features}}
  %0 = fairy2.attention %q, %k, %k cache %c[%i, %i] {layer = 0 : i64, scale = 1.0 : f32} : tensor<?x24xf32>, tensor<?x16xf32>, !cache, tensor<?xi32>
  return %0 : tensor<?x24xf32>
}

// -----

!cache = !fairy2.kv_cache<layers = 2, heads = 2, dim = 8>
func.func @layer(%q: tensor<?x16xf32>, %c: !cache, %i: tensor<?xi32>) -> tensor<?x16xf32> {
  // expected-error @+1 {{expected a layer below 2, found 2}}
  %0 = fairy2.attention %q, %q, %q cache %c[%i, %i] {layer = 2 : i64, scale = 1.0 : f32} : tensor<?x16xf32>, tensor<?x16xf32>, !cache, tensor<?xi32>
  return %0 : tensor<?x16xf32>
}
