// SPDX-License-Identifier: Apache-2.0
//
// Shrinks a module that makes the compiler fail.
#include "codegen/RegisterAll.h"
#include "runtime/support/Error.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "llvm/Support/raw_ostream.h"

using namespace fairy2;

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  try {
    requireDifferentFiles({argv + 1, argv + argc});
  } catch (const Error &error) {
    llvm::errs() << "fairy2-reduce: error: " << error.what() << "\n";
    return 1;
  }
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  mlir::MLIRContext context(registry);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}
