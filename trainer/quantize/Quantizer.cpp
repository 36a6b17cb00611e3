// SPDX-License-Identifier: Apache-2.0
//
// fairy2-quantize from its inputs to the checkpoint: gradients first, then
// layer after layer, each kept when it is done; then tuning.
#include "trainer/quantize/Quantizer.h"

#include "frontend/DecoderCheckpoint.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "trainer/TensorData.h"
#include "trainer/model/Export.h"
#include "trainer/quantize/Costs.h"
#include "trainer/quantize/LayerCoder.h"
#include "trainer/quantize/Summary.h"
#include "trainer/quantize/Tuning.h"
#include "trainer/run/Metrics.h"
#include "trainer/run/Sha256.h"
#include "trainer/run/SourceVersion.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <set>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

constexpr const char *kGradients = "gradients-", *kInputs = "inputs-",
                     *kLosses = "losses.f32";

void note(const std::string &text) {
  std::fprintf(stderr, "fairy2-quantize: %s\n", text.c_str());
}

/// What tells one command from another: what its result depends on.
nlohmann::ordered_json identityOf(const QuantizeOptions &options,
                                  const DecoderCheckpoint &opened,
                                  const CalibrationText &text) {
  nlohmann::ordered_json parts;
  parts["program"] = sourceVersion();
  parts["stages"] = options.stages;
  if (options.bits)
    parts["bits"] = *options.bits;
  for (const StagesFor &choice : options.stagesFor)
    parts["stages for"].push_back({choice.regex, choice.stages});
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

/// A command's run through the layers.
class Quantizer {
public:
  Quantizer(const QuantizeOptions &options, LayeredModel &source,
            StagePlan plan, const CalibrationText &text, WorkFolder &work)
      : options(options), source(source), work(work),
        layers(source.model().decoderPlan().layers.size()),
        gradientBatches(batchesOf(source.model().config(), text.gradients)),
        batches(batchesOf(source.model().config(), text.inputs)) {
    coding.stages = std::move(plan);
    coding.threads = options.threads;
    coding.note = note;
  }

  void run() {
    makeGradients();
    if (options.bits)
      spendBits(source.model(), *options.bits, losses(), coding.stages);
    LayerCoder coder(source, batches, coding);
    coder.embed();
    Progress progress("layer", layers);
    for (size_t layer = 0; layer < layers; ++layer) {
      std::optional<CodedLayer> done;
      if (work.hasLayer(layer))
        done = work.layer(source.model(), layer);
      const CodedLayer results = coder.run(layer, gradientsOf(layer), done);
      if (!done && !results.empty())
        work.saveLayer(source.model(), layer, results);
      double loss = 0;
      for (const auto &[parameter, matrix] : results) {
        told.emplace_back(parameter, matrix.report);
        loss += matrix.report.loss;
      }
      char text[64];
      std::snprintf(text, sizeof text, "predicted loss %.4f nats", loss);
      progress.tell(layer, done ? "done before" : text);
    }
  }

  const StagePlan &stages() const { return coding.stages; }
  /// Of every coded matrix, in order.
  const std::vector<std::pair<size_t, CodingReport>> &reports() const {
    return told;
  }

private:
  /// Lines on stderr, with the time that is left at the rate until now.
  class Progress {
  public:
    Progress(const char *what, size_t count) : what(what), count(count) {}

    void tell(size_t k, const std::string &result) {
      const double seconds =
          std::chrono::duration<double>(Clock::now() - start).count();
      ++told;
      const auto left =
          int64_t(seconds / double(told) * double(count - told) + 0.5);
      note(std::string(what) + " " + std::to_string(k + 1) + " of " +
           std::to_string(count) + (result.empty() ? "" : ": " + result) +
           (told == count ? "" : ", " + timeText(left) + " left"));
    }

  private:
    using Clock = std::chrono::steady_clock;
    const char *what;
    const size_t count;
    size_t told = 0;
    const Clock::time_point start = Clock::now();
  };

  static std::string nameOf(const char *what, size_t layer) {
    return what + std::to_string(layer) + ".f32";
  }

  void makeGradients() {
    bool areThere = true;
    for (size_t layer = 0; layer < layers; ++layer)
      areThere = areThere && work.has(nameOf(kGradients, layer));
    if (areThere)
      return;
    Progress progress("gradients of layer", layers);
    const LayerInputs inputs = {
        [&](size_t layer, const std::vector<at::Tensor> &streams) {
          std::vector<float> all;
          for (const at::Tensor &x : streams)
            all.insert(all.end(), floatsOf(x), floatsOf(x) + x.numel());
          work.saveFloats(nameOf(kInputs, layer), all);
        },
        [&](size_t layer, const std::vector<at::Tensor> &like) {
          size_t count = 0;
          for (const at::Tensor &x : like)
            count += size_t(x.numel());
          const auto all = work.floats(nameOf(kInputs, layer), count);
          std::vector<at::Tensor> streams;
          const float *from = all->data();
          for (const at::Tensor &x : like) {
            streams.push_back(at::empty_like(x));
            std::copy_n(from, x.numel(),
                        streams.back().mutable_data_ptr<float>());
            from += x.numel();
          }
          work.remove(nameOf(kInputs, layer));
          return streams;
        }};
    gradientMoments(source, gradientBatches, options.seed, options.threads,
                    inputs, [&](size_t layer, GradientMoments moments) {
                      std::vector<float> all;
                      for (const auto &[index, metric] : moments) {
                        requireFinite(index, metric);
                        all.insert(all.end(), metric.all().begin(),
                                   metric.all().end());
                      }
                      work.saveFloats(nameOf(kGradients, layer), all);
                      progress.tell(layer, "");
                    });
  }

  /// What each matrix would cost at 1 to 6 stages, as its first codes say;
  /// those that --stages-for names are not asked.
  std::map<size_t, StageLosses> losses() const {
    std::map<size_t, StageLosses> found;
    const Model &model = source.model();
    for (size_t i = 0; i < coding.stages.size(); ++i)
      if (coding.stages[i] &&
          std::ranges::none_of(options.stagesFor, [&](const StagesFor &choice) {
            return matches(choice, model.parameters()[i].name);
          }))
        found[i] = {};
    std::vector<float> all;
    const size_t count = found.size() * StageLosses().size();
    if (!work.has(kLosses)) {
      Progress progress("survey of layer", layers);
      LayerCoderOptions surveying = coding;
      surveying.survey = [&](size_t index, const CodingTask &task,
                             const ParallelFor &parallelFor) {
        if (!found.contains(index))
          return;
        for (int stages = 1; stages <= int(StageLosses().size()); ++stages) {
          CodingOptions first;
          first.stages = stages;
          first.rounds = 0;
          CodingReport report;
          codePhases(task, first, parallelFor, &report);
          found[index][size_t(stages - 1)] = report.loss;
        }
      };
      LayerCoder coder(source, batches, surveying);
      coder.embed();
      for (size_t layer = 0; layer < layers; ++layer) {
        coder.run(layer, gradientsOf(layer));
        progress.tell(layer, "");
      }
      for (const auto &[index, losses] : found)
        all.insert(all.end(), losses.begin(), losses.end());
      work.saveFloats(kLosses, all);
    }
    // Also the first time, so that a run that goes on sees equal numbers.
    all = *work.floats(kLosses, count);
    const float *from = all.data();
    for (auto &[index, losses] : found)
      for (double &loss : losses)
        loss = *from++;
    return found;
  }

  void requireFinite(size_t index, const OutputMetric &metric) const {
    for (const float value : metric.all())
      if (!std::isfinite(value))
        throw Error(source.model().parameters()[index].name +
                    ": expected finite gradients of its outputs, found "
                    "others");
  }

  GradientMoments gradientsOf(size_t layer) const {
    GradientMoments moments = noMoments(source, layer);
    size_t count = 0, place = 0;
    for (const auto &[index, metric] : moments)
      count += metric.all().size();
    const auto saved = work.floats(nameOf(kGradients, layer), count);
    for (auto &[index, metric] : moments)
      for (float &value : metric.all())
        value = (*saved)[place++];
    return moments;
  }

  const QuantizeOptions &options;
  LayeredModel &source;
  WorkFolder &work;
  const size_t layers;
  const std::vector<Batch> gradientBatches, batches;
  LayerCoderOptions coding;
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

/// Of a model that has something to code.
StagePlan plannedStages(const Model &model, const QuantizeOptions &options) {
  StagePlan plan = planStages(model, options.stages, options.stagesFor, note);
  if (std::ranges::none_of(plan, [](int stages) { return stages > 0; }))
    throw Error(options.model + ": has no matrix of even extents to code");
  return plan;
}

/// Tunes what is coded, and lets the model's norms be what comes of it.
Tuned tuneAll(const QuantizeOptions &options, LayeredModel &source, double bits,
              const std::function<PhaseMatrix(size_t)> &phasesOf,
              const CalibrationText &text, const WorkFolder &work) {
  source.loadAll();
  std::map<size_t, PhaseMatrix> coded;
  for (size_t i = 0; i < source.isCoded().size(); ++i)
    if (source.isCoded()[i])
      coded.emplace(i, phasesOf(i));
  Tuned tuned = tune(source.model(), coded, text.tuning,
                     {tuningRate(bits), options.seed, options.threads}, work);
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
    if (!source.isCoded()[index])
      source.set(index, values);
  return tuned;
}

} // namespace

nlohmann::ordered_json quantize(const QuantizeOptions &options) {
  const Inputs inputs(options);
  const at::NoGradGuard noGradients;
  auto [empty, fill] = Model::opened(inputs.folder);
  const StagePlan plan = plannedStages(empty, options);
  LayeredModel source(std::move(empty), fill, {plan.begin(), plan.end()});
  const Model &model = source.model();
  WorkFolder work(options.output,
                  identityOf(options, inputs.opened, inputs.text));
  Quantizer quantizer(options, source, plan, inputs.text, work);
  quantizer.run();
  const auto phasesOf = [&](size_t i) {
    return work.phases(model, size_t(model.parameters()[i].layer), i);
  };
  nlohmann::ordered_json summary =
      summaryOf(model, quantizer.reports(), options, quantizer.stages());
  Tuned tuned;
  if (!inputs.text.tuning.empty()) {
    tuned = tuneAll(options, source, summary["all"]["stages"].get<double>(),
                    phasesOf, inputs.text, work);
    summary["tuning"] = {{"tokens", options.tuningTokens},
                         {"first_divergence", tuned.firstDivergence},
                         {"last_divergence", tuned.lastDivergence}};
  }
  writePhases(
      model,
      {schemeOf(quantizer.stages()), quantizer.stages(),
       [&](size_t i) {
         PhaseMatrix phases = phasesOf(i);
         if (const auto own = tuned.values.find(i); own != tuned.values.end())
           phases.rowFactors = own->second;
         return phases;
       }},
      [&](size_t i) { return source.latent(i); }, model.embeddingType(),
      inputs.folder, work.result());
  const auto bytes = double(fs::file_size(work.result() / "model.safetensors"));
  summary["file_bits_per_parameter"] =
      8 * bytes / double(model.parameterCount());
  work.finish();
  return summary;
}

nlohmann::ordered_json describeQuantization(const QuantizeOptions &options) {
  const Inputs inputs(options);
  const Model model(inputs.opened.config);
  const StagePlan stages = plannedStages(model, options);
  int64_t matrices = 0, weights = 0;
  for (size_t i = 0; i < stages.size(); ++i)
    if (stages[i]) {
      ++matrices;
      weights += model.parameters()[i].count();
    }
  nlohmann::ordered_json plan;
  plan["matrices"] = matrices;
  plan["weights"] = weights;
  plan["parameters"] = model.parameterCount();
  plan["bits_per_weight"] = options.bits.value_or(bitsPerWeight(model, stages));
  plan["tokens"] = int64_t(inputs.text.inputs.size()) * inputs.text.length;
  plan["gradient_tokens"] =
      int64_t(inputs.text.gradients.size()) * inputs.text.length;
  QuantizationWork work;
  work.tokens = plan["tokens"];
  work.gradientTokens = plan["gradient_tokens"];
  work.tuningTokens = options.tuningTokens;
  work.sequenceLength = inputs.text.length;
  work.surveys = options.bits.has_value();
  work.threads = options.threads;
  const at::NoGradGuard noGradients;
  const QuantizationCosts costs = planCosts(model, stages, work);
  plan["threads"] = options.threads;
  plan["seconds"] = costs.seconds;
  plan["memory_bytes"] = costs.memoryBytes;
  plan["disk_bytes"] = costs.diskBytes;
  return plan;
}

} // namespace fairy2::trainer
