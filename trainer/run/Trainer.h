// SPDX-License-Identifier: Apache-2.0
//
// One training run, from recipe to exported checkpoint.
#pragma once

#include "trainer/data/Batches.h"
#include "trainer/distributed/Communicator.h"
#include "trainer/model/Export.h"
#include "trainer/model/Model.h"
#include "trainer/optimize/Optimizer.h"
#include "trainer/run/Metrics.h"
#include "trainer/run/Recipe.h"
#include "trainer/run/TrainingState.h"

#include <functional>
#include <memory>
#include <optional>

namespace fairy2::trainer {

/// How a run ended.
struct RunResult {
  bool finished = false; ///< otherwise it was told to stop and saved its state
  bool before = false;   ///< and that was an earlier run, to the same end
  std::optional<double> validationLoss; ///< of the exported model
};

struct StepResult {
  double loss = 0;         ///< mean over the step's predictions, nats
  double gradientNorm = 0; ///< before clipping
  bool skipped = false;    ///< loss or gradient was not finite
};

class Trainer {
public:
  /// Reads model, tokenizer and data. Every rank of `ranks` makes its own
  /// trainer of the same recipe; they share each step's sequences, and hold
  /// equal weights at all times. Throws Error.
  explicit Trainer(Recipe recipe,
                   std::unique_ptr<Communicator> ranks = Communicator::alone());
  ~Trainer();

  int64_t steps() const;
  int64_t tokensPerStep() const; ///< of all ranks
  /// Whether this rank writes files and speaks.
  bool leads() const { return ranks->rank() == 0; }
  const Recipe &recipe() const { return settings; }
  Model &model() { return *network; }

  /// The fairy2-compile command that makes a library of the export.
  std::string compileCommand() const;

  /// One optimizer step on the next samples.
  StepResult step();
  /// Mean loss over the validation pieces: the same figure that fairy2-eval
  /// gives for the compiled model, with --chunk = data.sequence_length. Nothing
  /// when the recipe names no validation text.
  std::optional<double> validate();
  /// All steps with progress, metrics and validation, then the export to
  /// recipe().output. A run that was interrupted goes on where it was saved,
  /// bit for bit; `shouldStop` is asked after every step.
  RunResult run(const std::function<bool()> &shouldStop = [] { return false; });

private:
  Numerics numerics() const; ///< of the model that is made
  Numerics stepNumerics();   ///< of the step that comes next
  void loadData();
  /// The teacher's part of the loss on a batch; nothing without a teacher.
  Distillation teach(const Batch &batch) const;
  Batch nextBatch();
  /// Gradients of a step whose first pass is over `batch`.
  StepResult accumulate(Batch batch);
  double gradientNorm(); ///< over all ranks
  /// Goes on from the saved state; true when the run was over before.
  bool resume();
  void save();
  std::optional<double> finish(); ///< what is done behind the last step
  void report(const StepResult &result, double tokensPerSecond);
  std::optional<double> reportValidation();
  void exportModel();

  Recipe settings;
  std::unique_ptr<Communicator> ranks;
  at::Device device;
  std::unique_ptr<Method> method;
  std::unique_ptr<Method> softened; ///< of this step while codes harden
  ExportForm form;                  ///< of the export
  std::unique_ptr<Model> network;
  std::unique_ptr<ShardedWeights> latents;
  std::unique_ptr<Model> teacher; ///< null: no distillation
  Weights teacherWeights;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Mixture> mixture;
  std::unique_ptr<BatchMaker> batches;
  std::unique_ptr<Metrics> metrics;
  std::optional<Corpus> validation;
  RunIdentity identity; ///< on rank 0; others know its fingerprint
  std::unique_ptr<TrainingState> state;
  int64_t done = 0;      ///< steps
  int64_t badSteps = 0;  ///< in a row
  int64_t bytesTold = 0; ///< sent until the last report
};

} // namespace fairy2::trainer
