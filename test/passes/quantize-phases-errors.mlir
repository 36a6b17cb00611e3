// RUN: fairy2-opt %s --verify-diagnostics --fairy2-quantize-phases=stages=0
// RUN: not fairy2-opt %s --fairy2-quantize-phases=stages=9 2>&1 | FileCheck %s
// CHECK: error: expected 1 to 8 stages, found 9

// expected-error @below {{expected 1 to 8 stages, found 0}}
module {
}
