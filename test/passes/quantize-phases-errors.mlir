// RUN: fairy2-opt %s --verify-diagnostics --fairy2-quantize-phases=stages=0
// RUN: not fairy2-opt %s --fairy2-quantize-phases=stages=9 2>&1 | FileCheck %s
// CHECK: error: expected 1 to 8 stages, found 9
// RUN: not fairy2-opt %s --fairy2-quantize-phases="stages=7 stage-scales=binary scale-grid=int8" 2>&1 | FileCheck %s --check-prefix=SEVEN
// RUN: not fairy2-opt %s --fairy2-quantize-phases="stage-scales=binary scale-grid=int8 stages-for=q=8" 2>&1 | FileCheck %s --check-prefix=EIGHT
// SEVEN: error: expected at most 6 binary stages on the scale grid int8, or the grid float, found 7
// EIGHT: error: --stages-for: expected at most 6 binary stages on the scale grid int8, or the grid float, found 8

// expected-error @below {{expected 1 to 8 stages, found 0}}
module {
}
