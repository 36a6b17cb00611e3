// SPDX-License-Identifier: Apache-2.0
//
// The compiler's insides: every dialect, pass and pipeline on a command line.
#include "codegen/RegisterAll.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  fairy2::registerAllDialects(registry);
  fairy2::registerAllPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Fairy2 optimizer driver\n", registry));
}
