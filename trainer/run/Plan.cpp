// SPDX-License-Identifier: Apache-2.0
//
// Counts bytes of weights, gradients, moments and activations, and measures one
// multiplication to guess the time.
#include "trainer/run/Plan.h"

#include "frontend/DecoderPlan.h"
#include "trainer/model/Export.h"
#include "trainer/model/Model.h"
#include "trainer/ops/Ops.h"
#include "trainer/optimize/Optimizer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

namespace fairy2::trainer {
namespace {

/// Multiply-adds per second of matrices as a layer has them: of the fastest of
/// many on one thread, times the threads. Other programs slow neither down,
/// which would not bound a run's time from below.
double measuredRate(const HFConfig &config) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const int64_t n = std::min<int64_t>(config.hiddenSize, 1024);
  const at::Tensor a = at::zeros({1024, n}, at::kFloat),
                   b = at::zeros({n, n}, at::kFloat);
  const Clock::time_point begin = Clock::now();
  double fastest = INFINITY;
  for (Clock::time_point last = begin; Seconds(last - begin).count() < 0.2;) {
    at::mm(a, b);
    const Clock::time_point now = Clock::now();
    fastest = std::min(fastest, Seconds(now - last).count());
    last = now;
  }
  at::set_num_threads(threads);
  return threads * double(1024 * n * n) / fastest;
}

std::string line(const char *what, const char *format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  char padded[320];
  std::snprintf(padded, sizeof padded, "%-22s %s\n", what, text);
  return padded;
}

double mebibytes(int64_t bytes) { return double(bytes) / 1048576; }

/// Bytes of a model's weights in float32.
struct WeightBytes {
  int64_t layers = 0;
  int64_t layer = 0;     ///< of one layer
  int64_t outside = 0;   ///< embedding, final norm and head
  int64_t quantized = 0; ///< of the layers' matrices that the method accepts

  int64_t all() const { return layers + outside; }
};

WeightBytes weightBytes(const HFConfig &config, const Method *method) {
  WeightBytes sum;
  for (const DecoderParameter &parameter : DecoderPlan(config).parameters) {
    const int64_t bytes = 4 * parameter.count();
    (parameter.layer < 0 ? sum.outside : sum.layers) += bytes;
    if (method && parameter.role == ParameterRole::Matrix &&
        method->accepts(parameter.shape[0], parameter.shape[1]))
      sum.quantized += bytes;
  }
  sum.layer = sum.layers / config.layers;
  return sum;
}

/// Bytes of one pass.
struct Activations {
  int64_t kept = 0; ///< for backward
  int64_t loss = 0; ///< a chunk of logits and the head's gradient
};

Activations activations(const HFConfig &config, const Recipe &recipe,
                        const Method *method, const HFConfig *teacher) {
  // Per token and layer, what the nodes of Model::layer() keep: the residual
  // stream twice, two norms and their quantized copies, q, k, v, attention's
  // output and its quantized copy, gate, up, their product and its copy. A
  // layer that is computed again keeps its input alone.
  const int64_t hidden = config.hiddenSize, wide = config.intermediateSize;
  const int64_t queries = config.heads * config.headDim;
  const int64_t keys = config.kvHeads * config.headDim;
  const int64_t copies = method && recipe.quantizeActivations ? 2 : 1;
  int64_t perLayer = 4 * ((2 + 2 * copies) * hidden + (1 + copies) * queries +
                          2 * keys + (2 + copies) * wide);
  // Norms of queries and keys, and of what joins the residual stream, keep
  // their inputs; GELU has a node beside its product.
  const PlannedLayer layer = DecoderPlan(config).layers[0];
  perLayer +=
      4 * ((layer.queryNorm ? queries + keys : 0) +
           (layer.afterAttention ? hidden : 0) + (layer.afterMlp ? hidden : 0) +
           (config.activation == Activation::Silu ? 0 : wide));
  int64_t weights = 0;
  const bool recomputes = recipe.train.recompute ||
                          shardingOf(recipe.train.sharding) == Sharding::All;
  if (recipe.train.compute == "bfloat16") {
    // Each product keeps its input and its matrix in that form.
    perLayer += 2 * (5 * hidden + queries + wide);
    const WeightBytes bytes = weightBytes(config, method);
    weights = (recomputes ? bytes.layer : bytes.layers) / 2;
  }
  const int64_t perToken = (recomputes ? 4 * config.layers * hidden + perLayer
                                       : config.layers * perLayer) +
                           3 * 4 * hidden;
  const int64_t tokens =
      recipe.train.batchSequences * recipe.data.sequenceLength;
  const int64_t logits =
      4 * std::min(tokens, kLossChunkTokens) * config.vocabSize;
  return {tokens * perToken + weights,
          (teacher ? 2 : 1) * logits + 4 * config.vocabSize * hidden};
}

/// "per row; of stages binary, grid int8", or "" without a method.
std::string describeScales(const Method *method) {
  if (!method)
    return "";
  if (const std::optional<SignScheme> signs = method->signScheme())
    return std::string("per ") + nameOf(signs->scales);
  const std::optional<PhaseScheme> phases = method->phaseScheme();
  return std::string("per ") + nameOf(phases->scales) + "; of stages " +
         nameOf(phases->stageScales) + ", grid " + nameOf(phases->grid);
}

} // namespace

MemoryPlan planMemory(const HFConfig &config, const Recipe &recipe,
                      int64_t ranks, const HFConfig *teacher) {
  // Measured in runs of 30 and 85 M parameters: 115 MiB before the first
  // tensor, the rest by the end of the first step.
  constexpr int64_t kProgram = int64_t(165) << 20;
  const std::unique_ptr<Method> method = recipe.quantizationMethod();
  const Sharding sharding = shardingOf(recipe.train.sharding);
  const bool divides = sharding == Sharding::All;
  const WeightBytes bytes = weightBytes(config, method.get());
  const int64_t all = bytes.all(), outside = bytes.outside;
  MemoryPlan plan;
  plan.program = kProgram;
  plan.latents = divides ? all / ranks : all;
  const int64_t values = all / 4;
  plan.optimizer = optimizerKind(recipe.train.optimizer).stateBytesPerValue() *
                   (sharding == Sharding::None ? values : values / ranks);
  plan.gradients = divides ? all / ranks : all;
  plan.quantized = bytes.quantized;
  if (teacher)
    plan.teacher = weightBytes(*teacher, nullptr).all();
  // Gloo sums parts and gathers in a copy of the whole.
  int64_t layerExchange = 0, outsideExchange = 0;
  const int64_t copies = bytes.layer + bytes.layer / ranks;
  if (sharding == Sharding::Moments) {
    plan.gradients += all / ranks;
    layerExchange = 3 * copies; // see kUnderWay in ShardedWeights.cpp
    outsideExchange = outside + outside / ranks;
  }
  if (divides) {
    // The effective weights' part is of all parameters. While a layer goes
    // back: its weights, the next one's, its gradients.
    plan.quantized = method ? all / ranks : 0;
    plan.gathered = 2 * outside + 3 * bytes.layer;
    // A gather's copy; of the layer before its gradients, their copy and part.
    layerExchange = 2 * bytes.layer + copies;
    outsideExchange = outside + outside / ranks;
  }
  const Activations pass = activations(config, recipe, method.get(), teacher);
  plan.working = std::max(
      {pass.kept + pass.loss, pass.kept + layerExchange, outsideExchange});
  return plan;
}

DiskPlan planDisk(const HFConfig &config, const Recipe &recipe, int64_t steps) {
  const int64_t values = weightBytes(config, nullptr).all() / 4;
  DiskPlan plan;
  plan.state =
      values * (4 + optimizerKind(recipe.train.optimizer).stateBytesPerValue());
  // The last one is written before the export, and a new one before the oldest
  // goes.
  const int64_t every = recipe.train.saveEvery;
  const int64_t saves = 1 + (every > 0 ? (steps - 1) / every : 0);
  plan.states = std::min(saves, recipe.train.keepLast + 1);
  plan.exported = values * byteWidth(*dtypeFromName(recipe.exportOptions.type));
  return plan;
}

double bitsPerParameter(const HFConfig &config, const Method *method) {
  double bits = 0;
  int64_t count = 0;
  for (const DecoderParameter &parameter : DecoderPlan(config).parameters) {
    if (parameter.role != ParameterRole::Matrix)
      continue;
    const int64_t rows = parameter.shape[0], columns = parameter.shape[1];
    bits += method && method->accepts(rows, columns)
                ? method->storedBits(rows, columns)
                : 32. * double(rows * columns);
    count += rows * columns;
  }
  return bits / double(count);
}

std::string describePlan(const Recipe &recipe, int64_t ranks) {
  const HFConfig config = HFConfig::read({recipe.model, recipe.folderRules});
  std::optional<HFConfig> teacher;
  // A teacher may have to be trained first.
  const bool lacksTeacher = !recipe.teacher.model.empty() &&
                            !std::filesystem::exists(recipe.teacher.model);
  if (!recipe.teacher.model.empty() && !lacksTeacher)
    teacher = HFConfig::read({recipe.teacher.model, recipe.folderRules});
  const MemoryPlan memory =
      planMemory(config, recipe, ranks, teacher ? &*teacher : nullptr);
  const std::unique_ptr<Method> method = recipe.quantizationMethod();
  const ExportForm form = exportFormOf(
      recipe.exportOptions.form,
      {method.get(), recipe.quantizeActivations, !recipe.skipLmHead}, config);
  int64_t parameters = 0;
  for (const DecoderParameter &parameter : DecoderPlan(config).parameters)
    parameters += parameter.count();
  const int64_t tokensPerStep = recipe.tokensPerStep() * ranks;
  const int64_t steps =
      std::max<int64_t>(1, recipe.train.tokens / tokensPerStep);
  const int64_t tokens = steps * tokensPerStep;
  // Forward and twice that backward, and attention's two products.
  const double perToken =
      3 * (double(parameters) +
           double(config.layers * config.heads * config.headDim) *
               double(recipe.data.sequenceLength));
  const double hours = perToken * double(tokens) / measuredRate(config) / 3600;
  std::string text;
  text += line("parameters", "%lld", (long long)parameters);
  text += line("method", "%s, activations %s", recipe.method.c_str(),
               recipe.quantizeActivations ? "int8" : "float");
  if (const std::string scales = describeScales(method.get()); !scales.empty())
    text += line("scales", "%s", scales.c_str());
  text += line("bits", "%.3f per parameter of the layers' matrices",
               bitsPerParameter(config, method.get()));
  text +=
      line("export", "%s, %s", nameOf(form), recipe.exportOptions.type.c_str());
  text += line("ranks", "%lld, sharding %s", (long long)ranks,
               recipe.train.sharding.c_str());
  text += line("memory of a rank", "%.0f MiB", mebibytes(memory.total()));
  for (const auto &[what, bytes] : {std::pair{"  program", memory.program},
                                    {"  latents", memory.latents},
                                    {"  gradients", memory.gradients},
                                    {"  optimizer", memory.optimizer},
                                    {"  quantized weights", memory.quantized},
                                    {"  teacher", memory.teacher},
                                    {"  gathered layers", memory.gathered},
                                    {"  activations", memory.working}})
    if (bytes > 0)
      text += line(what, "%.0f MiB", mebibytes(bytes));
  if (lacksTeacher)
    text += line("  teacher", "not counted: %s is not here yet",
                 recipe.teacher.model.c_str());
  const DiskPlan disk = planDisk(config, recipe, steps);
  text += line(
      "disk", "%.0f MiB: %lld of %.0f MiB for saved states, and the export",
      mebibytes(disk.total()), (long long)disk.states, mebibytes(disk.state));
  text += line("tokens", "%lld", (long long)tokens);
  text += line("steps", "%lld of %lld tokens", (long long)steps,
               (long long)tokensPerStep);
  text += line("time", "at least %.2f hours on %d threads like this CPU's",
               hours / double(ranks), int(at::get_num_threads() * ranks));
  return text;
}

} // namespace fairy2::trainer
