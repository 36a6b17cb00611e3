// SPDX-License-Identifier: Apache-2.0
//
// Ops of the quantized stage.
#pragma once

#include "dialect/Fairy2OpBase.h"

#define GET_OP_CLASSES
#include "dialect/Fairy2QuantizedOps.h.inc"
