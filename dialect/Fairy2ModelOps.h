// SPDX-License-Identifier: Apache-2.0
//
// Ops of the model stage.
#pragma once

#include "dialect/Fairy2OpBase.h"

#define GET_OP_CLASSES
#include "dialect/Fairy2ModelOps.h.inc"
