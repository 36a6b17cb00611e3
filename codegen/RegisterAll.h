// SPDX-License-Identifier: Apache-2.0
//
// Everything that the tools on IR know: upstream's dialects and passes, and
// ours.
#pragma once

#include "mlir/IR/DialectRegistry.h"

namespace fairy2 {

void registerAllDialects(mlir::DialectRegistry &registry);
void registerAllPasses();

} // namespace fairy2
