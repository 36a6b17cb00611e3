// RUN: fairy2-opt %s --fairy2-quantize-head --verify-diagnostics

fairy2.weight @w : tensor<31x64xf32> from "a.safetensors" at 0
fairy2.weight @b : tensor<31xf32> from "a.safetensors" at 7936

func.func @bias(%x: tensor<?x64xf32>) -> tensor<?x31xf32> {
  // expected-error @below {{expected a head without bias for int8 weights}}
  %0 = fairy2.linear %x, @w bias @b head : tensor<?x64xf32> -> tensor<?x31xf32>
  return %0 : tensor<?x31xf32>
}
