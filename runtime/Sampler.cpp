// SPDX-License-Identifier: Apache-2.0
//
// Sampling in one strict order of tokens, likeliest first and the lower id
// before an equal one, so that every cut is unambiguous. What a cut drops gets
// weight 0; nothing is sorted but the few tokens around a cut.
#include "runtime/Sampler.h"

#include "runtime/LogitPasses.h"
#include "runtime/Status.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fairy2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

[[noreturn]] void failOn(const std::string &field, const std::string &expected,
                         const std::string &found) {
  throw StatusError(FAIRY2_BAD_ARGUMENT,
                    field + ": expected " + expected + ", found " + found);
}

void checkRange(const char *field, float value, bool inside,
                const char *expected) {
  if (!inside || !std::isfinite(value))
    failOn(field, expected, std::to_string(value));
}

/// The first of the largest logits, after a look at all of them.
int32_t checkedBest(std::span<const float> logits) {
  if (logits.empty())
    failOn("logits", "at least one", "none");
  if (hasBrokenLogit(logits))
    for (size_t id = 0; id < logits.size(); ++id)
      if (!(logits[id] < kInfinity))
        failOn("logits[" + std::to_string(id) + "]", "a finite value",
               std::isnan(logits[id]) ? "NaN" : "infinity");
  const size_t best = firstLargest(logits);
  if (logits[best] == -kInfinity)
    failOn("logits", "a possible token", "-infinity for all");
  return int32_t(best);
}

/// Throws unless `id` has a logit.
float &logitOf(std::span<float> logits, int32_t id, const char *field) {
  if (id < 0 || size_t(id) >= logits.size())
    failOn(field, "ids from 0 to " + std::to_string(logits.size() - 1),
           std::to_string(id));
  return logits[size_t(id)];
}

/// A possible token stays possible, and an impossible one impossible.
void set(float &logit, float value) {
  constexpr float largest = std::numeric_limits<float>::max();
  if (logit != -kInfinity)
    logit = std::clamp(value, -largest, largest);
}

/// Once per distinct token of the history.
void penalizeRepetition(std::span<float> logits, float penalty,
                        std::span<const int32_t> history) {
  std::vector<bool> seen(logits.size());
  for (const int32_t id : history) {
    float &logit = logitOf(logits, id, "history");
    if (!seen[size_t(id)])
      set(logit, logit > 0 ? logit / penalty : logit * penalty);
    seen[size_t(id)] = true;
  }
}

/// logit - frequency count - presence, in float32.
void penalizeCounts(std::span<float> logits, const Sampling &sampling,
                    std::span<const int32_t> generated) {
  std::map<int32_t, int64_t> counts;
  for (const int32_t id : generated)
    ++counts[id];
  for (const auto [id, count] : counts) {
    float &logit = logitOf(logits, id, "history");
    set(logit, logit - sampling.frequencyPenalty * float(count) -
                   sampling.presencePenalty);
  }
}

void addBias(std::span<float> logits, const Sampling &sampling) {
  const std::map<int32_t, float> last(sampling.logitBias.rbegin(),
                                      sampling.logitBias.rend());
  for (const auto [id, bias] : last) {
    float &logit = logitOf(logits, id, "logit_bias");
    set(logit, logit + bias);
  }
}

bool changesLogits(const Sampling &sampling) {
  return sampling.repetitionPenalty != 1 || sampling.presencePenalty != 0 ||
         sampling.frequencyPenalty != 0 || !sampling.logitBias.empty();
}

/// A bijection whose output bits all depend on all input bits (the finalizer of
/// the splitmix64 generator).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

} // namespace

void checkLogits(std::span<const float> logits) { checkedBest(logits); }

double uniformOf(uint64_t seed, uint64_t step) {
  constexpr uint64_t golden = 0x9e3779b97f4a7c15;
  return double(mix(mix(seed + golden) + (step + 1) * golden) >> 11) * 0x1p-53;
}

void checkSampling(const Sampling &sampling) {
  checkRange("temperature", sampling.temperature, sampling.temperature >= 0,
             "a number of at least 0");
  if (sampling.topK < 0)
    failOn("top_k", "at least 0", std::to_string(sampling.topK));
  checkRange("top_p", sampling.topP, sampling.topP > 0 && sampling.topP <= 1,
             "a number above 0 and up to 1");
  checkRange("min_p", sampling.minP, sampling.minP >= 0 && sampling.minP <= 1,
             "a number from 0 to 1");
  checkRange("repetition_penalty", sampling.repetitionPenalty,
             sampling.repetitionPenalty > 0, "a number above 0");
  for (const auto &[field, value] :
       {std::pair("presence_penalty", sampling.presencePenalty),
        std::pair("frequency_penalty", sampling.frequencyPenalty)})
    checkRange(field, value, value >= -2 && value <= 2,
               "a number from -2 to 2");
  for (const auto &[id, bias] : sampling.logitBias)
    checkRange("logit_bias", bias, bias >= -100 && bias <= 100,
               "a number from -100 to 100");
}

int32_t sampleToken(const Sampling &sampling, std::span<const float> logits,
                    std::span<const int32_t> history, uint64_t step) {
  checkSampling(sampling);
  int32_t best = checkedBest(logits);
  // Kept from call to call: a vocabulary's memory costs as much as a pass.
  thread_local std::vector<float> penalized, weights;
  if (changesLogits(sampling)) {
    penalized.assign(logits.begin(), logits.end());
    if (sampling.repetitionPenalty != 1)
      penalizeRepetition(penalized, sampling.repetitionPenalty, history);
    if (sampling.presencePenalty != 0 || sampling.frequencyPenalty != 0)
      penalizeCounts(penalized, sampling,
                     history.last(std::min(size_t(step), history.size())));
    addBias(penalized, sampling);
    logits = penalized;
    best = int32_t(firstLargest(logits));
  }
  if (sampling.temperature == 0)
    return best;

  weights.resize((logits.size() + kPassBlock - 1) / kPassBlock * kPassBlock);
  weigh(logits, logits[size_t(best)], sampling.temperature, weights);
  if (sampling.topK > 0 && size_t(sampling.topK) < logits.size())
    dropBehind(cutAtCount(logits, size_t(sampling.topK)), logits, weights);
  if (sampling.topP < 1)
    dropBehind(cutAtSum(weights, double(sampling.topP)), weights, weights);
  // The best has weight 1, so a weight is the ratio to the best.
  if (sampling.minP > 0)
    dropBelow(sampling.minP, weights);
  return int32_t(drawAt(weights, uniformOf(sampling.seed, step)));
}

} // namespace fairy2
