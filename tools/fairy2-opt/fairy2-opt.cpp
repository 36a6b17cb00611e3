// SPDX-License-Identifier: Apache-2.0
//
// The compiler's insides: every dialect, pass and pipeline on a command line.
#include "codegen/Pipelines.h"
#include "passes/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<fairy2::Fairy2Dialect>();
  mlir::registerAllPasses();
  fairy2::registerFairy2Passes();
  fairy2::registerPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Fairy2 optimizer driver\n", registry));
}
