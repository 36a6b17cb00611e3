// SPDX-License-Identifier: Apache-2.0
//
// Times sampleToken and scoreOf on random logits: a cut of the probabilities
// costs most where they are flat, since it then keeps most tokens.
#include "runtime/measure/SamplingTimes.h"

#include "runtime/Likelihood.h"
#include "runtime/Sampler.h"
#include "runtime/measure/Spread.h"

#include <chrono>
#include <random>
#include <string>

namespace fairy2 {
namespace {

constexpr int kCalls = 41;

struct Kind {
  const char *name;
  Sampling sampling;
  int scored = -1; ///< not sampled, but scored with so many likeliest
};
constexpr Kind kKinds[] = {
    {"greedy", {}},
    {"temperature 1", {.temperature = 1}},
    {"temperature 0.8, top-p 0.95", {.temperature = 0.8f, .topP = 0.95f}},
    {"temperature 0.8, top-k 40, top-p 0.95",
     {.temperature = 0.8f, .topK = 40, .topP = 0.95f}},
    {"temperature 1, min-p 0.05", {.temperature = 1, .minP = 0.05f}},
    {"log-probability", {}, 0},
    {"log-probability, 20 likeliest", {}, 20},
};

struct Shape {
  const char *name;
  float deviation;
  bool hasPeaks; ///< five logits of 18 to 22
};
constexpr Shape kShapes[] = {
    {"flat", 0.1f, false}, {"normal", 1, false}, {"peaked", 1, true}};

std::vector<float> logitsOf(const Shape &shape, int32_t vocabulary) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, shape.deviation);
  std::vector<float> logits(static_cast<size_t>(vocabulary));
  for (float &logit : logits)
    logit = normal(random);
  if (shape.hasPeaks)
    for (int i = 0; i < 5; ++i)
      logits[random() % logits.size()] = float(18 + i);
  return logits;
}

} // namespace

std::vector<SamplingRow> timeSampling(int32_t vocabulary) {
  std::vector<SamplingRow> rows;
  for (const Shape &shape : kShapes) {
    const std::vector<float> logits = logitsOf(shape, vocabulary);
    for (const Kind &kind : kKinds) {
      Sampling sampling = kind.sampling;
      std::vector<double> microseconds;
      for (int call = 0; call < kCalls; ++call) {
        sampling.seed = uint64_t(call);
        const auto start = std::chrono::steady_clock::now();
        if (kind.scored < 0)
          sampleToken(sampling, logits, {}, uint64_t(call));
        else
          scoreOf(logits, int32_t(call), size_t(kind.scored));
        const std::chrono::duration<double, std::micro> time =
            std::chrono::steady_clock::now() - start;
        microseconds.push_back(time.count());
      }
      rows.push_back(
          {kind.name, shape.name, vocabulary, spreadOf(microseconds)});
    }
  }
  return rows;
}

} // namespace fairy2
