// SPDX-License-Identifier: Apache-2.0
//
// Shrinks a module that makes the compiler fail.
#include "codegen/RegisterAll.h"
#include "runtime/support/StandardStreams.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"

int main(int argc, char **argv) {
  fairy2::openStandardStreams();
  mlir::DialectRegistry registry;
  fairy2::registerAllDialects(registry);
  fairy2::registerAllPasses();
  mlir::MLIRContext context(registry);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}
