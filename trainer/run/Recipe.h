// SPDX-License-Identifier: Apache-2.0
//
// A training run as a YAML file and key=value overrides describe it. Every key
// is a row of the table in Recipe.cpp.
#pragma once

#include "frontend/ModelFolder.h"
#include "trainer/methods/Methods.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fairy2::trainer {

struct DataSource {
  std::string path;  ///< .txt, .jsonl, .bin, .idx, or .zst of the first two
  double weight = 1; ///< share of the mixture, relative to the others
  /// Fields that a JSONL record must have with these values to be used.
  std::map<std::string, std::string> where;
};

struct Recipe {
  std::string model; ///< folder with config.json, tokenizer and weights
  std::string initialize = "checkpoint"; ///< checkpoint, random, or a folder
                                         ///< with a smaller model to grow from
  std::string output; ///< folder for the export, metrics and checkpoints
  std::string method = "complex_phase_v2";
  /// What shares a scale: tensor, row (a factor per row), or tile.
  std::string scales = "tensor";
  /// How the scales of complex phases' stages relate: mean, each that of what
  /// its stage quantizes; or binary, each half of the one before.
  std::string stageScales = "mean";
  /// int8, integers times a unit; float; or auto, int8 where stages are binary.
  std::string scaleGrid = "auto";
  bool quantizeActivations = true; ///< int8 per token, as compiled
  bool skipLmHead = true;
  int64_t seed = 0;

  struct Data {
    std::vector<DataSource> train;
    std::string validation; ///< a text file
    int64_t validationPieces = 60;
    std::string textField = "text"; ///< of a JSONL record
    int64_t sequenceLength = 512;
    /// Between documents: none, bos, eos, both, or blank_line, the two newlines
    /// that would stand there in a text file.
    std::string separator = "bos";
    /// What text that spells a special token becomes: parse, that token, as in
    /// fairy2-eval; or text, the tokens of its letters.
    std::string specialTokens = "parse";
    bool documentMask = false; ///< whether attention stops at documents' ends
  } data;

  struct Train {
    int64_t tokens = 0;
    int64_t batchSequences = 4;      ///< of one forward pass
    int64_t accumulation = 1;        ///< passes per optimizer step
    std::string optimizer = "adamw"; ///< a row of OptimizerTable.cpp
    double learningRate = 2e-3;
    double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
    double weightDecay = 0;
    double clip = 1;
    std::string schedule = "cosine"; ///< cosine, wsd, piecewise
    double warmup = 0.05;            ///< fraction of the steps
    double decay = 0.2;              ///< fraction of the steps, for wsd
    double finalFactor = 0.02;       ///< of the learning rate, at the end
    /// [step, factor] pairs, step as a fraction of all; linear in between.
    std::vector<std::pair<double, double>> pieces;
    int64_t quantizeWarmup = 0; ///< steps over which lambda goes from 0 to 1
    /// Share of the steps over which soft codes harden, for complex phases; 0:
    /// they are hard from the start.
    double anneal = 0;
    /// Rate over learningRate at which latents decay towards their quantized
    /// values, so that codes settle in place of flipping back and forth (Nagel
    /// et al., ICML 2022, who add such a term to the loss). Nothing with method
    /// none, where both are the same.
    double dampening = 0;
    std::string sharding = "none"; ///< over the ranks: none, zero1, zero3
    bool recompute = false; ///< layers keep their input only, for backward
    std::string compute = "float32"; ///< of matrix products; or bfloat16
    std::string device = "cpu";      ///< or cuda
    int64_t validateEvery = 200;     ///< steps
    /// Steps; 0: only when told to stop, and before the export.
    int64_t saveEvery = 500;
    int64_t keepLast = 2;     ///< saved states
    int64_t maxBadSteps = 10; ///< steps in a row with NaN before giving up
  } train;

  struct Teacher {
    std::string model;   ///< folder of a checkpoint; empty: no distillation
    double weight = 0.9; ///< of the distillation term; the rest is the text's
    double temperature = 1;
  } teacher;

  struct Export {
    /// What stands for the quantized matrices, see ExportForm in Export.h.
    std::string form = "latents";
    std::string type = "F32"; ///< of the latents: F32, BF16 or F16
  } exportOptions;

  /// Reads `file` and applies overrides such as "train.tokens=1000". Throws
  /// Error naming the file or override and the key.
  static Recipe read(const std::filesystem::path &file,
                     const std::vector<std::string> &overrides);

  /// Of the folders that it names; no keys, because whoever starts a recipe
  /// decides and not who wrote it.
  ModelFolderRules folderRules;

  /// What the keys say together of the linear layers' weights.
  std::unique_ptr<Method> quantizationMethod() const {
    return makeMethod(method, {scales, stageScales, scaleGrid});
  }
  int64_t tokensPerStep() const {
    return train.batchSequences * train.accumulation * data.sequenceLength;
  }
  /// Optimizer steps, at least 1.
  int64_t steps() const {
    return train.tokens > tokensPerStep() ? train.tokens / tokensPerStep() : 1;
  }

  /// All keys with their values, in the order of the table.
  nlohmann::ordered_json toJson() const;
};

} // namespace fairy2::trainer
