// SPDX-License-Identifier: Apache-2.0
//
// This process's memory, as the kernel counts it.
#pragma once

#include <cstdint>

namespace fairy2::trainer {

/// The most bytes that were resident at one time.
int64_t peakResidentBytes();

/// Gives large tensors pages of their own, which return to the system when they
/// are freed. malloc would keep the gaps that layers of changing sizes leave,
/// which took up to as much as the layers. To call before the first tensor.
void returnFreedTensors();

} // namespace fairy2::trainer
