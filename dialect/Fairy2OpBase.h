// SPDX-License-Identifier: Apache-2.0
//
// What the generated classes of all ops need.
#pragma once

#include "dialect/Fairy2Dialect.h"
#include "dialect/Stages.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
