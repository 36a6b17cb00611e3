// SPDX-License-Identifier: Apache-2.0
//
// Two streams go through the layers: that of the float model and that of what
// is coded so far. Each matrix is coded to give on the second what it gave on
// the first (GPTAQ, Li et al., arXiv 2504.02692); those that add to the stream
// also take back its whole error.
#pragma once

#include "trainer/quantize/CalibrationText.h"
#include "trainer/quantize/Gradients.h"
#include "trainer/quantize/LayeredModel.h"
#include "trainer/quantize/StagePlan.h"
#include "trainer/quantize/WorkFolder.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::trainer {

/// How matrices are coded, and what is told of it.
struct LayerCoderOptions {
  StagePlan stages;
  int threads = 1;
  /// In place of coding, what is told of each matrix; the streams stay equal.
  std::function<void(size_t parameter, const CodingTask &task,
                     const ParallelFor &parallelFor)>
      survey;
  std::function<void(const std::string &text)> note;
};

class LayerCoder {
public:
  LayerCoder(LayeredModel &source, const std::vector<Batch> &batches,
             const LayerCoderOptions &options);

  /// Before the first layer.
  void embed();
  /// Codes the layer's matrices, or takes them from `done`, and lets the
  /// streams go on. `outputs` are not damped yet.
  CodedLayer run(size_t layer, GradientMoments outputs,
                 std::optional<CodedLayer> done = std::nullopt);

private:
  /// The same of the float model and of the coded one.
  struct Streams {
    at::Tensor exact, coded;
  };
  /// Means over tokens, for one input.
  struct Moments {
    at::Tensor h, drift, residual;
  };
  using InputOf = std::function<Streams(size_t k)>;

  void overBatches(const std::function<void(size_t k)> &compute) const;
  Moments momentsOf(const InputOf &inputOf, bool addsToStream) const;
  CodingOptions codingOf(size_t parameter, int64_t columns) const;
  void codeGroup(const std::vector<PlannedLinear> &maps, bool addsToStream,
                 const InputOf &inputOf);
  void codeTasks(const std::vector<std::pair<size_t, CodingTask>> &tasks,
                 const ParallelFor &parallel);
  void use(size_t parameter, const CodedMatrix &matrix);

  LayeredModel &source;
  const Model &model;
  const std::vector<Batch> &batches;
  const LayerCoderOptions &options;
  int64_t tokenCount = 0;
  std::vector<Streams> streams; ///< the residual stream of each batch
  // Of the layer that runs:
  GradientMoments outputs;
  Weights exact, coded;
  CodedLayer results;
};

} // namespace fairy2::trainer
