// SPDX-License-Identifier: Apache-2.0
//
// fairy2-quantize: codes a model's matrices layer by layer so that the coded
// model does on a text what the float model does.
#pragma once

#include "frontend/ModelFolder.h"
#include "trainer/quantize/StagePlan.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::trainer {

struct QuantizeOptions {
  std::string model; ///< folder of a checkpoint
  ModelFolderRules rules;
  std::vector<std::string> calibration; ///< files, as fairy2-train reads them
  std::string output;                   ///< a new folder
  int stages = 4;
  std::optional<double> bits; ///< per weight, in place of stages for all
  /// Other stages for some matrices; 0 keeps them dense.
  std::vector<StagesFor> stagesFor;
  int64_t tokens = 32768, gradientTokens = 8192;
  int64_t tuningTokens = 0; ///< none: factors and norms stay as they are coded
  uint64_t seed = 0;
  int threads = 1;
};

/// Writes the packed checkpoint, and returns what it tells of it: bits, and
/// errors of every kind of matrix. Tells on stderr what it does. Throws Error.
nlohmann::ordered_json quantize(const QuantizeOptions &options);

/// What quantize() would code and need, without reading weights.
nlohmann::ordered_json describeQuantization(const QuantizeOptions &options);

} // namespace fairy2::trainer
