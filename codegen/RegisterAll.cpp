// SPDX-License-Identifier: Apache-2.0
//
// One list for fairy2-opt, fairy2-lsp, fairy2-reduce and the compiler.
#include "codegen/RegisterAll.h"

#include "codegen/Pipelines.h"
#include "dialect/Fairy2Dialect.h"
#include "passes/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"

namespace fairy2 {

void registerAllDialects(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<Fairy2Dialect>();
}

void registerAllPasses() {
  mlir::registerAllPasses();
  registerFairy2Passes();
  registerPipelines();
}

} // namespace fairy2
