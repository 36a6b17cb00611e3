// SPDX-License-Identifier: Apache-2.0
//
// What fairy2-quantize tells of a model when it is done.
#pragma once

#include "dialect/phase/PhaseCoder.h"
#include "trainer/model/Model.h"
#include "trainer/quantize/Quantizer.h"

#include <nlohmann/json.hpp>

#include <utility>
#include <vector>

namespace fairy2::trainer {

/// The parameters that are coded, of a flag for each.
std::vector<size_t> indicesOf(const std::vector<bool> &isCoded);

/// Bits of codes and of factors as 8-bit powers of 2^(1/16), per weight.
double bitsPerWeight(const Model &model, const std::vector<bool> &isCoded,
                     int stages);

/// Errors and predicted losses, by kind of matrix and of all; `reports` are
/// those of every coded matrix.
nlohmann::ordered_json
summaryOf(const Model &model,
          const std::vector<std::pair<size_t, CodingReport>> &reports,
          const QuantizeOptions &options, const std::vector<bool> &isCoded);

} // namespace fairy2::trainer
