// SPDX-License-Identifier: Apache-2.0
//
// The dialect itself; what its definition files share is in Fairy2OpBase.td.
#ifndef FAIRY2_DIALECT_TD
#define FAIRY2_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Fairy2Dialect : Dialect {
  let name = "fairy2";
  let cppNamespace = "::fairy2";
  let summary = "language models whose linear layers hold complex phases";
  let description = [{
    A real linear layer y = A x with A of shape (2n, 2m) is read as the
    widely-linear complex map y = U x + W conj(x), where the first halves of x
    and y are real parts and the second halves imaginary parts. U and W are
    quantized in residual stages to the phases {1, i, -1, -i}; such a layer
    costs additions and table look-ups.

    The dialect carries a model through five stages: *model* (the transformer on
    tensors; weights are symbols that point into the checkpoint), *quantized*
    (phases instead of weights), *packed* (a byte layout and an offset for every
    weight), *loops* (kernels on memrefs; look-ups are one op) and then LLVM.
    Every weight is a module-level symbol; its op is a recipe, its bytes never
    are in the IR. `fairy2-verify-stage` tells whether a module has arrived.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

#endif // FAIRY2_DIALECT_TD
