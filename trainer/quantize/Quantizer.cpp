// SPDX-License-Identifier: Apache-2.0
//
// Two streams go through the layers: that of the float model and that of what
// is coded so far. Each matrix is coded to give on the second what it gave on
// the first (GPTAQ, Li et al., arXiv 2504.02692); those that add to the stream
// also take back its whole error.
#include "trainer/quantize/Quantizer.h"

#include "dialect/phase/PhaseCoder.h"
#include "frontend/DecoderCheckpoint.h"
#include "runtime/support/Error.h"
#include "runtime/support/ForkJoin.h"
#include "trainer/TensorData.h"
#include "trainer/model/Export.h"
#include "trainer/quantize/FoldColumns.h"
#include "trainer/quantize/Gradients.h"
#include "trainer/quantize/Summary.h"
#include "trainer/quantize/Tuning.h"
#include "trainer/quantize/WorkFolder.h"
#include "trainer/run/Sha256.h"
#include "trainer/run/SourceVersion.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <set>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

constexpr float kInputDamping = 0.03f, kOutputDamping = 0.03f;
constexpr const char *kGradients = "gradients.f32";

void note(const std::string &text) {
  std::fprintf(stderr, "fairy2-quantize: %s\n", text.c_str());
}

PhaseScheme schemeOf(int stages) {
  return {stages, ScaleGranularity::Row, QuantizeMode::Canonical,
          StageScales::Binary, gridThatSuits(StageScales::Binary, stages)};
}

/// By parameter: layers' matrices whose extents are even.
std::vector<bool> codedParameters(const Model &model) {
  std::vector<bool> coded;
  for (const Parameter &parameter : model.parameters()) {
    const bool isEven = parameter.isMatrix() && parameter.shape[0] % 2 == 0 &&
                        parameter.shape[1] % 2 == 0;
    if (parameter.isMatrix() && !isEven)
      note(parameter.name + " stays dense: its extents are odd");
    coded.push_back(isEven);
  }
  return coded;
}

/// What tells one command from another: what its result depends on.
nlohmann::ordered_json identityOf(const QuantizeOptions &options,
                                  const DecoderCheckpoint &opened,
                                  const CalibrationText &text) {
  nlohmann::ordered_json parts;
  parts["program"] = sourceVersion();
  parts["stages"] = options.stages;
  parts["seed"] = options.seed;
  const ModelFolder folder(options.model, options.rules);
  parts["config"] = sha256OfFile(folder.file("config.json"));
  std::set<std::string> files;
  for (const auto &[name, tensor] : opened.checkpoint.tensors())
    files.insert(tensor.file);
  for (const std::string &file : files) {
    struct stat status{};
    const fs::path path = opened.checkpoint.directory() / file;
    if (::stat(path.c_str(), &status) != 0)
      throw Error(path.string() + ": cannot open");
    parts["weights " + file] = {status.st_size, status.st_mtim.tv_sec,
                                status.st_mtim.tv_nsec};
  }
  for (const auto &[name, sequences] : {std::pair("tokens", &text.inputs),
                                        {"gradient tokens", &text.gradients},
                                        {"tuning tokens", &text.tuning}}) {
    Sha256 hash;
    for (const std::vector<int32_t> &tokens : *sequences)
      hash.add(bytesOf(tokens));
    parts[name] = {int64_t(sequences->size()) * text.length, hash.finish()};
  }
  return parts;
}

/// Sums over tokens, for one input.
struct Moments {
  at::Tensor h, drift, residual;

  void add(const Moments &other) {
    const auto sum = [](at::Tensor &to, const at::Tensor &from) {
      if (!from.defined())
        return;
      if (to.defined())
        to.add_(from);
      else
        to = from;
    };
    sum(h, other.h);
    sum(drift, other.drift);
    sum(residual, other.residual);
  }
};

/// The same of the float model and of the coded one.
struct Streams {
  at::Tensor exact, coded;
};

class Quantizer {
public:
  Quantizer(const QuantizeOptions &options, Model &model,
            std::vector<bool> isCoded, const CalibrationText &text,
            WorkFolder &work)
      : options(options), model(model), isCoded(std::move(isCoded)), work(work),
        batches(batchesOf(model.config(), text.inputs)) {
    coding.stages = options.stages;
    coding.grid = schemeOf(options.stages).grid;
    for (const std::vector<int32_t> &tokens : text.inputs)
      tokenCount += int64_t(tokens.size());
  }

  void run(const CalibrationText &text) {
    foldColumns(model, isCoded);
    loadGradients(text);
    exact = model.latents();
    coded = exact;
    streams.resize(batches.size());
    overBatches([&](size_t k) {
      const at::Tensor x = model.embed(exact, batches[k]);
      streams[k] = {x, x};
    });
    for (size_t layer = 0; layer < model.decoderPlan().layers.size(); ++layer)
      runLayer(layer);
  }

  /// Of every coded matrix, in order.
  const std::vector<std::pair<size_t, CodingReport>> &reports() const {
    return told;
  }

private:
  void overBatches(const std::function<void(size_t k)> &compute) {
    inOrder(
        options.threads, batches.size(), [&](size_t k, size_t) { compute(k); },
        [](size_t, size_t) {});
  }

  void loadGradients(const CalibrationText &text) {
    const std::vector<size_t> indices = indicesOf(isCoded);
    outputs = noMoments(model, indices);
    size_t count = 0;
    for (const auto &[index, metric] : outputs)
      count += metric.all().size();
    std::vector<float> all;
    if (const auto saved = work.floats(kGradients, count)) {
      size_t place = 0;
      for (auto &[index, metric] : outputs)
        for (float &value : metric.all())
          value = (*saved)[place++];
    } else {
      const std::vector<Batch> own = batchesOf(model.config(), text.gradients);
      outputs = gradientMoments(model, indices, own, options.seed,
                                options.threads, [](size_t) {});
      for (const auto &[index, metric] : outputs)
        all.insert(all.end(), metric.all().begin(), metric.all().end());
      work.saveFloats(kGradients, all);
    }
    for (auto &[index, metric] : outputs) {
      for (const float value : metric.all())
        if (!std::isfinite(value))
          throw Error(model.parameters()[index].name +
                      ": expected finite gradients of its outputs, found "
                      "others");
      metric.damp(kOutputDamping);
    }
  }

  void runLayer(size_t index) {
    const PlannedLayer &layer = model.decoderPlan().layers[index];
    const bool isDone = work.hasLayer(index);
    CodedLayer results;
    if (isDone)
      results = work.layer(model, index);
    for (const auto &[parameter, matrix] : results)
      use(parameter, matrix);
    const auto code = [&](const std::vector<PlannedLinear> &maps,
                          bool addsToStream,
                          const std::function<Streams(size_t k)> &inputOf) {
      if (!isDone)
        codeGroup(maps, addsToStream, inputOf, results);
    };
    code(layer.attentionInputs, false, [&](size_t k) {
      return Streams{model.attentionInput(index, exact, streams[k].exact),
                     model.attentionInput(index, coded, streams[k].coded)};
    });
    std::vector<Streams> heads(batches.size());
    overBatches([&](size_t k) {
      const auto attended = [&](const Weights &weights, const at::Tensor &x) {
        return model.attended(index, weights, batches[k],
                              model.attentionInput(index, weights, x));
      };
      heads[k] = {attended(exact, streams[k].exact),
                  attended(coded, streams[k].coded)};
    });
    code({layer.attentionOutput}, !layer.afterAttention,
         [&](size_t k) { return heads[k]; });
    overBatches([&](size_t k) {
      streams[k] = {
          model.addAttention(index, exact, streams[k].exact, heads[k].exact),
          model.addAttention(index, coded, streams[k].coded, heads[k].coded)};
      heads[k] = {};
    });
    code(layer.mlpInputs, false, [&](size_t k) {
      return Streams{model.mlpInput(index, exact, streams[k].exact),
                     model.mlpInput(index, coded, streams[k].coded)};
    });
    const auto gated = [&](size_t k) {
      const auto of = [&](const Weights &weights, const at::Tensor &x) {
        return model.gated(index, weights, model.mlpInput(index, weights, x));
      };
      return Streams{of(exact, streams[k].exact), of(coded, streams[k].coded)};
    };
    code({layer.mlpOutput}, !layer.afterMlp, gated);
    overBatches([&](size_t k) {
      const Streams units = gated(k);
      streams[k] = {model.addMlp(index, exact, streams[k].exact, units.exact),
                    model.addMlp(index, coded, streams[k].coded, units.coded)};
    });
    if (!isDone && !results.empty())
      work.saveLayer(model, index, results);
    double loss = 0;
    for (const auto &[parameter, matrix] : results) {
      told.emplace_back(parameter, matrix.report);
      loss += matrix.report.loss;
      // The layer is over: what follows needs its streams alone.
      coded.tensors[parameter] = exact.tensors[parameter];
    }
    char line[96];
    std::snprintf(line, sizeof line,
                  "layer %zu of %zu%s: predicted loss %.4f nats", index + 1,
                  model.decoderPlan().layers.size(),
                  isDone ? ", done before" : "", loss);
    note(line);
  }

  /// Codes the maps that read one input.
  void codeGroup(const std::vector<PlannedLinear> &maps, bool addsToStream,
                 const std::function<Streams(size_t k)> &inputOf,
                 CodedLayer &results) {
    bool isAny = false;
    for (const PlannedLinear &map : maps)
      isAny = isAny || isCoded[map.weight];
    if (!isAny)
      return;
    Moments total;
    std::vector<Moments> parts(size_t(options.threads));
    inOrder(
        options.threads, batches.size(),
        [&](size_t k, size_t slot) {
          const Streams x = inputOf(k);
          const at::Tensor &own = x.coded;
          parts[slot] = {
              at::mm(own.t(), own), at::mm(x.exact.sub(own).t(), own), {}};
          if (addsToStream)
            parts[slot].residual =
                at::mm(streams[k].exact.sub(streams[k].coded).t(), own);
        },
        [&](size_t, size_t slot) { total.add(parts[slot]); });
    total.h.div_(double(tokenCount));
    total.drift.div_(double(tokenCount));
    if (addsToStream)
      total.residual.div_(double(tokenCount) *
                          model.config().residualMultiplier);
    const std::string &first = model.parameters()[maps[0].weight].name;
    const auto parallel =
        [&](int64_t count, const std::function<void(int64_t, int64_t)> &body) {
          forkJoinRanges(options.threads, count, body);
        };
    const InputMetric inputs(floatsOf(total.h), total.h.size(0), kInputDamping,
                             "inputs of " + first, parallel);
    if (inputs.isZero())
      note("the input of " + first +
           " is always zero on this text: its weights are coded as they are");
    for (const PlannedLinear &map : maps) {
      if (!isCoded[map.weight])
        continue;
      const Parameter &parameter = model.parameters()[map.weight];
      CodingTask task;
      task.weights = floatsOf(parameter.latent);
      task.rows = parameter.shape[0];
      task.columns = parameter.shape[1];
      task.inputs = &inputs;
      task.outputs = &outputs.at(map.weight);
      task.drift = floatsOf(total.drift);
      task.residual = addsToStream ? floatsOf(total.residual) : nullptr;
      task.name = parameter.name;
      CodedMatrix &matrix = results[map.weight];
      matrix.phases = codePhases(task, coding, parallel, &matrix.report);
      use(map.weight, matrix);
    }
  }

  /// Lets the coded stream multiply with it.
  void use(size_t parameter, const CodedMatrix &matrix) {
    const std::vector<float> dense = dequantizePhases(matrix.phases);
    at::Tensor weights =
        at::empty(model.parameters()[parameter].shape, at::kFloat);
    std::copy(dense.begin(), dense.end(), weights.mutable_data_ptr<float>());
    coded.tensors[parameter] = weights;
  }

  const QuantizeOptions &options;
  Model &model;
  const std::vector<bool> isCoded;
  WorkFolder &work;
  const std::vector<Batch> batches;
  int64_t tokenCount = 0;
  CodingOptions coding;
  GradientMoments outputs;
  Weights exact, coded;
  std::vector<Streams> streams; ///< the residual stream of each batch
  std::vector<std::pair<size_t, CodingReport>> told;
};

/// Opens a checkpoint that can be coded, for an output that can be written.
DecoderCheckpoint openFloat(const ModelFolder &folder,
                            const QuantizeOptions &options) {
  WorkFolder::requireFree(options.output, options.model);
  requireCopyable(folder);
  DecoderCheckpoint opened = DecoderCheckpoint::open(folder);
  if (PackedCheckpoint::find(opened.checkpoint))
    throw Error(opened.checkpoint.directory().string() +
                ": expected weights that are not quantized, found phases");
  return opened;
}

/// What a command reads before any work.
struct Inputs {
  explicit Inputs(const QuantizeOptions &options)
      : folder(options.model, options.rules),
        opened(openFloat(folder, options)),
        text(readCalibration(
            folder, opened.config, options.calibration, options.tokens,
            options.gradientTokens, options.tuningTokens, options.seed,
            fs::absolute(options.output).parent_path().string())) {
    if (!text.remark.empty())
      note(text.remark);
  }

  const ModelFolder folder;
  const DecoderCheckpoint opened;
  const CalibrationText text;
};

/// Tunes what is coded, and lets the model's norms be what comes of it.
Tuned tuneAll(const QuantizeOptions &options, Model &model,
              const std::vector<bool> &isCoded,
              const std::function<PhaseMatrix(size_t)> &phasesOf,
              const CalibrationText &text, const WorkFolder &work) {
  std::map<size_t, PhaseMatrix> coded;
  for (const size_t i : indicesOf(isCoded))
    coded.emplace(i, phasesOf(i));
  Tuned tuned =
      tune(model, coded, text.tuning,
           {tuningRate(options.stages), options.seed, options.threads}, work);
  const bool helped = tuned.lastDivergence < tuned.firstDivergence;
  char line[128];
  std::snprintf(line, sizeof line,
                "tuned: divergence from the float model %.4f nats, before "
                "%.4f%s",
                tuned.lastDivergence, tuned.firstDivergence,
                helped ? "" : "; all stays as it was coded");
  note(line);
  if (!helped)
    tuned.values.clear();
  for (const auto &[index, values] : tuned.values)
    if (Parameter &norm = model.parameters()[index];
        norm.role == ParameterRole::Norm)
      std::copy(values.begin(), values.end(),
                norm.latent.mutable_data_ptr<float>());
  return tuned;
}

} // namespace

nlohmann::ordered_json quantize(const QuantizeOptions &options) {
  const Inputs inputs(options);
  const at::NoGradGuard noGradients;
  Model model = Model::load(inputs.folder);
  const std::vector<bool> isCoded = codedParameters(model);
  if (indicesOf(isCoded).empty())
    throw Error(options.model + ": has no matrix of even extents to code");
  WorkFolder work(options.output,
                  identityOf(options, inputs.opened, inputs.text));
  Quantizer quantizer(options, model, isCoded, inputs.text, work);
  quantizer.run(inputs.text);
  const auto phasesOf = [&](size_t i) {
    return work.phases(model, size_t(model.parameters()[i].layer), i);
  };
  nlohmann::ordered_json summary =
      summaryOf(model, quantizer.reports(), options, isCoded);
  Tuned tuned;
  if (!inputs.text.tuning.empty()) {
    tuned = tuneAll(options, model, isCoded, phasesOf, inputs.text, work);
    summary["tuning"] = {{"tokens", options.tuningTokens},
                         {"first_divergence", tuned.firstDivergence},
                         {"last_divergence", tuned.lastDivergence}};
  }
  writePhases(
      model,
      {schemeOf(options.stages), [&](size_t i) { return bool(isCoded[i]); },
       [&](size_t i) {
         PhaseMatrix phases = phasesOf(i);
         if (const auto own = tuned.values.find(i); own != tuned.values.end())
           phases.rowFactors = own->second;
         return phases;
       }},
      model.embeddingType(), inputs.folder, work.result());
  work.finish();
  return summary;
}

nlohmann::ordered_json describeQuantization(const QuantizeOptions &options) {
  const Inputs inputs(options);
  const Model model(inputs.opened.config);
  const std::vector<bool> isCoded = codedParameters(model);
  const std::vector<size_t> indices = indicesOf(isCoded);
  int64_t weights = 0;
  for (const size_t i : indices)
    weights += model.parameters()[i].count();
  nlohmann::ordered_json plan;
  plan["matrices"] = indices.size();
  plan["weights"] = weights;
  plan["parameters"] = model.parameterCount();
  plan["stages"] = options.stages;
  plan["bits_per_weight"] = bitsPerWeight(model, isCoded, options.stages);
  plan["tokens"] = int64_t(inputs.text.inputs.size()) * inputs.text.length;
  plan["gradient_tokens"] =
      int64_t(inputs.text.gradients.size()) * inputs.text.length;
  return plan;
}

} // namespace fairy2::trainer
