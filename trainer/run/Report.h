// SPDX-License-Identifier: Apache-2.0
//
// A run's curves as one HTML page.
#pragma once

#include <filesystem>
#include <string>

namespace fairy2::trainer {

/// The page of a metrics.jsonl: losses, learning rate, gradient norm and speed
/// over the steps, and the recipe. It refers to nothing outside itself. A step
/// that was done twice, before and after an interruption, counts as done last.
/// Throws Error.
std::string reportOf(const std::filesystem::path &metrics,
                     const std::string &title);

/// Writes reportOf(folder / "metrics.jsonl") to folder / "report.html".
void writeReport(const std::filesystem::path &folder);

} // namespace fairy2::trainer
