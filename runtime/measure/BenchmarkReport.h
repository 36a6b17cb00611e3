// SPDX-License-Identifier: Apache-2.0
//
// What fairy2-bench shows of a measurement: JSON, a table, a page.
#pragma once

#include "runtime/measure/Benchmark.h"

#include <nlohmann/json.hpp>

#include <string>

namespace fairy2 {

/// {"machine": {"cpu", "variant", "memory_access"}, "rows": [..],
/// "kernels"?: [..], "sampling"?: [..]}.
nlohmann::ordered_json toJson(const BenchmarkResult &result);

/// Aligned columns for a terminal.
std::string toTable(const BenchmarkResult &result);

/// One HTML page without references to others: the rows, the roofline, and
/// where the time of a decoded token goes when kernels were timed. `title` is
/// any text.
std::string toHtml(const BenchmarkResult &result, const std::string &title);

} // namespace fairy2
