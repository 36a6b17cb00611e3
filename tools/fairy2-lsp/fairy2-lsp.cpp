// SPDX-License-Identifier: Apache-2.0
//
// The language server for .mlir files with fairy2 ops.
#include "codegen/RegisterAll.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  fairy2::openStandardStreams();
  fairy2::cleanUpOnSignals();
  mlir::DialectRegistry registry;
  fairy2::registerAllDialects(registry);
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
