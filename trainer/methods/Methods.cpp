// SPDX-License-Identifier: Apache-2.0
//
// The table of methods by name, and what they share.
#include "trainer/methods/Methods.h"
#include "trainer/TensorData.h"

#include "runtime/support/Error.h"
#include "runtime/support/Words.h"
#include "trainer/methods/MethodTable.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <map>

namespace fairy2::trainer {
namespace {

using MakeMethod = std::unique_ptr<Method> (*)(const std::string &name,
                                               const ScaleOptions &options);

ScaleGranularity granularityOf(const ScaleOptions &options) {
  return options.scales == "row"    ? ScaleGranularity::Row
         : options.scales == "tile" ? ScaleGranularity::Tile
                                    : ScaleGranularity::Tensor;
}

template <int stages>
std::unique_ptr<Method> phases(const std::string &,
                               const ScaleOptions &options) {
  PhaseScheme scheme = {stages, granularityOf(options)};
  if (options.stageScales == "binary")
    scheme.stageScales = StageScales::Binary;
  scheme.grid = scaleGridFromName(options.scaleGrid)
                    .value_or(gridThatSuits(scheme.stageScales, stages));
  return makeComplexPhase(scheme);
}

/// What phases alone have is not asked for beside another method.
void requireNoStages(const std::string &name, const ScaleOptions &options) {
  const auto expect = [&](const char *key, const std::string &value,
                          const char *expected) {
    if (value != expected)
      throw Error(std::string(key) + ": expected " + expected +
                  " with method " + name + ", found " + value);
  };
  expect("stage_scales", options.stageScales, "mean");
  expect("scale_grid", options.scaleGrid, "auto");
}

template <SignMethod method>
std::unique_ptr<Method> signs(const std::string &name,
                              const ScaleOptions &options) {
  requireNoStages(name, options);
  const ScaleGranularity scales = granularityOf(options);
  if (scales == ScaleGranularity::Tile)
    throw Error("scales: expected tensor or row with method " + name +
                ", found tile");
  return makeSigns({method, scales});
}

std::unique_ptr<Method> none(const std::string &name,
                             const ScaleOptions &options) {
  requireNoStages(name, options);
  return nullptr;
}

const std::map<std::string, MakeMethod> kMethods = {
    {"none", none},
    {"complex_phase_v1", phases<1>},
    {"complex_phase_v2", phases<2>},
    {"complex_phase_v3", phases<3>},
    {"complex_phase_v4", phases<4>},
    {"bitnet", signs<SignMethod::BitNet>},
    {"ternary", signs<SignMethod::Ternary>},
    {"sign2", signs<SignMethod::TwoSigns>},
    {"int2", signs<SignMethod::FourLevels>},
};

} // namespace

PhaseMatrix Method::phases(const float *, int64_t, int64_t,
                           const std::string &name) const {
  throw Error(name + ": expected a method of complex phases");
}

std::vector<at::Tensor>
Method::quantized(const std::vector<NamedLatent> &latents) const {
  std::vector<at::Tensor> results;
  for (const auto &[latent, name] : latents) {
    const at::Tensor host = latent.cpu();
    const at::Tensor out = at::empty_like(host);
    quantize(floatsOf(host), host.size(0), host.size(1), name,
             out.mutable_data_ptr<float>());
    results.push_back(out.to(latent.device()));
  }
  return results;
}

std::vector<std::string> methodNames() {
  std::vector<std::string> names;
  for (const auto &[name, make] : kMethods)
    names.push_back(name);
  return names;
}

std::unique_ptr<Method> makeMethod(const std::string &name,
                                   const ScaleOptions &options) {
  const auto found = kMethods.find(name);
  if (found == kMethods.end())
    throw Error("method: expected one of " + joined(methodNames()) +
                ", found '" + name + "'" + didYouMean(name, methodNames()));
  return found->second(name, options);
}

std::vector<at::Tensor>
quantizedWeights(const std::vector<NamedLatent> &latents, const Method &method,
                 double lambda) {
  const at::NoGradGuard noGradients;
  std::vector<at::Tensor> results = method.quantized(latents);
  if (lambda != 1)
    for (size_t i = 0; i < latents.size(); ++i)
      results[i].mul_(lambda).add_(latents[i].latent, 1 - lambda);
  return results;
}

at::Tensor quantizedWeight(const at::Tensor &latent, const Method &method,
                           const std::string &name, double lambda) {
  return quantizedWeights({{latent, name}}, method, lambda)[0];
}

} // namespace fairy2::trainer
