// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

namespace fairy2 {

/// What quantize() tells, as a table on stdout.
void printSummary(const nlohmann::ordered_json &summary);
/// The same of describeQuantization().
void printPlan(const nlohmann::ordered_json &plan);

} // namespace fairy2
