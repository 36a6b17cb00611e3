// SPDX-License-Identifier: Apache-2.0
//
// The field of config.json that says what a checkpoint was trained for:
//
//   "fairy2": {"method": "complex_phase", "stages": 2, "scales": "row",
//              "stage_scales": "mean", "scale_grid": "float",
//              "activations": "int8" | "float", "lm_head": "keep" | "quantize"}
//
// or a method of real signs, which has scales alone, or "none", which has
// neither. fairy2-train writes it, fairy2-compile reads it, and other programs
// keep it.
#pragma once

#include "dialect/phase/TrainedScheme.h"
#include "runtime/support/Json.h"

#include <optional>

namespace fairy2 {

inline constexpr char kTrainedField[] = "fairy2";

/// Nothing where the file has no such field. Throws Error that names it.
std::optional<TrainedScheme> readTrainedScheme(const JsonObject &config);

nlohmann::json toJson(const TrainedScheme &trained);

} // namespace fairy2
