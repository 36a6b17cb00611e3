// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trainer/model/Model.h"

namespace fairy2::trainer {

/// Gives the columns of a layer's last projections of attention and MLP one
/// root mean square each, and takes what that changes out of the rows of v and
/// up that feed them: the same function, without neurons that stand out. Both
/// sides must be matrices that `isCoded`.
void foldColumns(Model &model, size_t layer, const std::vector<bool> &isCoded);

} // namespace fairy2::trainer
