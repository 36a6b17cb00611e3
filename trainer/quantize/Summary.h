// SPDX-License-Identifier: Apache-2.0
//
// What fairy2-quantize tells of a model when it is done.
#pragma once

#include "dialect/phase/PhaseCoder.h"
#include "trainer/model/Model.h"
#include "trainer/quantize/Quantizer.h"
#include "trainer/quantize/StagePlan.h"

#include <nlohmann/json.hpp>

#include <utility>
#include <vector>

namespace fairy2::trainer {

/// Stages, errors and predicted losses, by kind of matrix and of all; `reports`
/// are those of every coded matrix.
nlohmann::ordered_json
summaryOf(const Model &model,
          const std::vector<std::pair<size_t, CodingReport>> &reports,
          const QuantizeOptions &options, const StagePlan &plan);

} // namespace fairy2::trainer
