// SPDX-License-Identifier: Apache-2.0
//
// The enumerations that attributes of the dialect hold.
#pragma once

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/OpImplementation.h"

#include "dialect/Fairy2Enums.h.inc"
