// SPDX-License-Identifier: Apache-2.0
#include "trainer/Plan.h"

#include "frontend/Synthesize.h"
#include "trainer/Export.h"
#include "trainer/Model.h"
#include "trainer/ShardedWeights.h"

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace fairy2 {
namespace {

int64_t elements(const TensorShape &tensor) {
  int64_t count = 1;
  for (const int64_t extent : tensor.shape)
    count *= extent;
  return count;
}

bool isLayerMatrix(const TensorShape &tensor) {
  return tensor.shape.size() == 2 &&
         tensor.name.find("_proj.") != std::string::npos;
}

/// Multiply-adds per second of matrices as a layer has them, measured.
double measuredRate(const HFConfig &config) {
  using Clock = std::chrono::steady_clock;
  const int64_t n = std::min<int64_t>(config.hiddenSize, 1024);
  const at::Tensor a = at::zeros({1024, n}, at::kFloat),
                   b = at::zeros({n, n}, at::kFloat);
  at::mm(a, b);
  int64_t products = 0;
  const Clock::time_point begin = Clock::now();
  std::chrono::duration<double> seconds{};
  do {
    at::mm(a, b);
    products += 1024 * n * n;
    seconds = Clock::now() - begin;
  } while (seconds.count() < 0.2);
  return double(products) / seconds.count();
}

std::string line(const char *what, const char *format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  char padded[320];
  std::snprintf(padded, sizeof padded, "%-22s %s\n", what, text);
  return padded;
}

double mebibytes(int64_t bytes) { return double(bytes) / 1048576; }

} // namespace

MemoryPlan planMemory(const HFConfig &config, const Recipe &recipe,
                      int64_t ranks) {
  const std::unique_ptr<Method> method =
      makeMethod(recipe.method, recipe.scales);
  const Sharding sharding = shardingOf(recipe.train.sharding);
  const bool divides = sharding == Sharding::All;
  int64_t all = 0, quantized = 0, outsideLayers = 0;
  for (const TensorShape &tensor : checkpointTensors(config)) {
    const int64_t bytes = 4 * elements(tensor);
    all += bytes;
    if (tensor.name.find(".layers.") == std::string::npos)
      outsideLayers += bytes;
    if (method && isLayerMatrix(tensor) &&
        method->accepts(tensor.shape[0], tensor.shape[1]))
      quantized += bytes;
  }
  MemoryPlan plan;
  plan.latents = divides ? all / ranks : all;
  plan.moments = 2 * (sharding == Sharding::None ? all : all / ranks);
  plan.gradients = divides ? all / ranks : all;
  plan.quantized = quantized;
  if (sharding == Sharding::Moments)
    plan.gradients += all / ranks;
  if (divides) {
    // The effective weights' part is of all parameters. Of a layer: its
    // weights and the next one's, its gradients and those being summed.
    plan.quantized = method ? all / ranks : 0;
    plan.gathered =
        2 * outsideLayers + 4 * (all - outsideLayers) / config.layers;
  }
  // Per token and layer, what the nodes of Model::layer() keep: the residual
  // stream twice, two norms and their quantized copies, q, k, v, attention's
  // output and its quantized copy, gate, up, their product and its copy. A
  // layer that is computed again keeps its input alone.
  const int64_t queries = config.heads * config.headDim;
  const int64_t keys = config.kvHeads * config.headDim;
  const int64_t copies = method && recipe.quantizeActivations ? 2 : 1;
  const int64_t perLayer = (2 + 2 * copies) * config.hiddenSize +
                           (1 + copies) * queries + 2 * keys +
                           (2 + copies) * config.intermediateSize;
  const int64_t perToken = recipe.train.recompute || divides
                               ? config.layers * config.hiddenSize + perLayer
                               : config.layers * perLayer;
  const int64_t tokens =
      recipe.train.batchSequences * recipe.data.sequenceLength;
  plan.activations = 4 * tokens * (perToken + 3 * config.hiddenSize);
  return plan;
}

double bitsPerParameter(const HFConfig &config, const Method *method) {
  double bits = 0;
  int64_t count = 0;
  for (const TensorShape &tensor : checkpointTensors(config)) {
    if (!isLayerMatrix(tensor))
      continue;
    const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    bits += method && method->accepts(rows, columns)
                ? method->storedBits(rows, columns)
                : 32. * double(rows * columns);
    count += rows * columns;
  }
  return bits / double(count);
}

std::string describePlan(const Recipe &recipe, int64_t ranks) {
  const HFConfig config = HFConfig::read(recipe.model, Model::architectures());
  const MemoryPlan memory = planMemory(config, recipe, ranks);
  const std::unique_ptr<Method> method =
      makeMethod(recipe.method, recipe.scales);
  const ExportForm form = exportFormOf(
      recipe.exportOptions.form,
      {method.get(), recipe.quantizeActivations, !recipe.skipLmHead}, config);
  int64_t parameters = 0;
  for (const TensorShape &tensor : checkpointTensors(config))
    parameters += elements(tensor);
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
  text += line("bits", "%.3f per parameter of the layers' matrices",
               bitsPerParameter(config, method.get()));
  text +=
      line("export", "%s, %s", nameOf(form), recipe.exportOptions.type.c_str());
  text += line("ranks", "%lld, sharding %s", (long long)ranks,
               recipe.train.sharding.c_str());
  text += line("memory of a rank", "%.0f MiB", mebibytes(memory.total()));
  text += line("  latents", "%.0f MiB", mebibytes(memory.latents));
  text += line("  gradients", "%.0f MiB", mebibytes(memory.gradients));
  text += line("  AdamW's moments", "%.0f MiB", mebibytes(memory.moments));
  text += line("  quantized weights", "%.0f MiB", mebibytes(memory.quantized));
  text += line("  gathered layers", "%.0f MiB", mebibytes(memory.gathered));
  text += line("  activations", "%.0f MiB", mebibytes(memory.activations));
  text += line("tokens", "%lld", (long long)tokens);
  text += line("steps", "%lld of %lld tokens", (long long)steps,
               (long long)tokensPerStep);
  text += line("time", "at least %.2f hours on %d threads like this CPU's",
               hours / double(ranks), int(at::get_num_threads() * ranks));
  return text;
}

} // namespace fairy2
