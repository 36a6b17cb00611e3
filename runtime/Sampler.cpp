// SPDX-License-Identifier: Apache-2.0
//
// Sampling on (logit, id) pairs in one strict order, likeliest first and the
// lower id before an equal one, so that every cut is unambiguous.
#include "runtime/Sampler.h"

#include "runtime/Status.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace fairy2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Candidate {
  float logit;
  int32_t id;
  double weight; ///< probability times a common factor
};

bool isLikelier(const Candidate &a, const Candidate &b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

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
  size_t best = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || logits[id] == kInfinity)
      failOn("logits[" + std::to_string(id) + "]", "a finite value",
             std::isnan(logits[id]) ? "NaN" : "infinity");
    if (logits[id] > logits[best])
      best = id;
  }
  if (logits[best] == -kInfinity)
    failOn("logits", "a possible token", "-infinity for all");
  return int32_t(best);
}

/// All tokens, after the repetition penalty.
std::vector<Candidate> candidatesOf(const Sampling &sampling,
                                    std::span<const float> logits,
                                    std::span<const int32_t> history) {
  std::vector<Candidate> candidates(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    candidates[id] = {logits[id], int32_t(id), 0};
  if (sampling.repetitionPenalty == 1)
    return candidates;
  std::vector<bool> seen(logits.size());
  for (const int32_t id : history) {
    if (id < 0 || size_t(id) >= logits.size())
      failOn("history", "ids from 0 to " + std::to_string(logits.size() - 1),
             std::to_string(id));
    if (seen[size_t(id)])
      continue;
    seen[size_t(id)] = true;
    float &logit = candidates[size_t(id)].logit;
    if (logit == -kInfinity)
      continue;
    // A possible token stays possible, whatever the penalty.
    constexpr float largest = std::numeric_limits<float>::max();
    logit = std::clamp(logit > 0 ? logit / sampling.repetitionPenalty
                                 : logit * sampling.repetitionPenalty,
                       -largest, largest);
  }
  return candidates;
}

/// Keeps the k likeliest, in order.
void cutTopK(std::vector<Candidate> &candidates, int32_t k) {
  const auto kept = std::min(size_t(k), candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + int64_t(kept),
                    candidates.end(), isLikelier);
  candidates.resize(kept);
}

double totalWeight(const std::vector<Candidate> &candidates) {
  double total = 0;
  for (const Candidate &candidate : candidates)
    total += candidate.weight;
  return total;
}

/// Keeps the fewest likeliest whose weights reach `share` of all.
void cutTopP(std::vector<Candidate> &candidates, double share) {
  const double wanted = share * totalWeight(candidates);
  const auto later = [](const Candidate &a, const Candidate &b) {
    return isLikelier(b, a);
  };
  // A heap: the few that are kept cost far less than sorting a vocabulary.
  std::make_heap(candidates.begin(), candidates.end(), later);
  std::vector<Candidate> kept;
  double reached = 0;
  while (!candidates.empty() && (kept.empty() || reached < wanted)) {
    std::pop_heap(candidates.begin(), candidates.end(), later);
    kept.push_back(candidates.back());
    candidates.pop_back();
    reached += kept.back().weight;
  }
  candidates = std::move(kept);
}

/// A bijection whose output bits all depend on all input bits (the finalizer of
/// the splitmix64 generator).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

} // namespace

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
}

int32_t sampleToken(const Sampling &sampling, std::span<const float> logits,
                    std::span<const int32_t> history, uint64_t step) {
  checkSampling(sampling);
  const int32_t unpenalized = checkedBest(logits);
  if (sampling.temperature == 0 && sampling.repetitionPenalty == 1)
    return unpenalized;
  std::vector<Candidate> candidates = candidatesOf(sampling, logits, history);
  const Candidate best =
      *std::min_element(candidates.begin(), candidates.end(), isLikelier);
  if (sampling.temperature == 0)
    return best.id;

  if (sampling.topK > 0)
    cutTopK(candidates, sampling.topK);
  for (Candidate &candidate : candidates)
    candidate.weight = std::exp((double(candidate.logit) - best.logit) /
                                double(sampling.temperature));
  if (sampling.topP < 1)
    cutTopP(candidates, double(sampling.topP));
  // The best has weight 1, so a weight is the ratio to the best.
  if (sampling.minP > 0)
    std::erase_if(candidates, [&](const Candidate &candidate) {
      return candidate.weight < double(sampling.minP);
    });

  const double target =
      uniformOf(sampling.seed, step) * totalWeight(candidates);
  double reached = 0;
  int32_t last = best.id; // rounding may leave the sum just below the target
  for (const Candidate &candidate : candidates) {
    if (candidate.weight == 0)
      continue;
    last = candidate.id;
    reached += candidate.weight;
    if (reached > target)
      break;
  }
  return last;
}

} // namespace fairy2
