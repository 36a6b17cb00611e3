// SPDX-License-Identifier: Apache-2.0
//
// The element types that weights are stored in, and their exact conversion
// to float32 and correctly rounded conversion from it. Bit arithmetic only, so
// results do not depend on the processor or on its denormal modes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fairy2 {

enum class DType { F32, F16, BF16 };

/// 4, 2, 2.
int64_t byteWidth(DType type);
/// "F32", "F16", "BF16", as safetensors spells them.
const char *nameOf(DType type);
/// The type that safetensors calls `name`, if it is one of ours.
std::optional<DType> dtypeFromName(std::string_view name);

/// Converts `count` little-endian elements at `bytes` (any alignment) to
/// float32, exactly; infinities and NaN payloads are kept.
void toFloats(DType type, const uint8_t *bytes, int64_t count, float *out);
/// Converts `count` floats to little-endian elements at `out` (any alignment),
/// rounding to nearest even; a NaN stays a NaN.
void fromFloats(DType type, const float *values, int64_t count, uint8_t *out);

} // namespace fairy2
