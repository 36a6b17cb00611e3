// RUN: fairy2-opt %s --fairy2-lower-lookups=cpu=z80 --verify-diagnostics

// expected-error @below {{expected a cpu of x86-64-v4-vnni, x86-64-v4, x86-64-v3-vnni, x86-64-v3, x86-64-v2, aarch64-dotprod, aarch64-neon, scalar, found 'z80'}}
module {
}
