// SPDX-License-Identifier: Apache-2.0
//
// One reader per kind of scaling; both spellings lead to the same fields.
#include "frontend/RopeConfig.h"

#include "frontend/ConfigFields.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

namespace fairy2 {

using nlohmann::json;

namespace {

constexpr int64_t kMaxPositions = int64_t(1) << 30;
constexpr double kDefaultLocalTheta = 10000;
constexpr char kOriginalPositions[] = "original_max_position_embeddings";

/// The members of a scaling's object that somebody may have written there.
/// "finetuned" is a remark of YaRN's authors.
const std::set<std::string> kMembers = {"attention_factor",
                                        "beta_fast",
                                        "beta_slow",
                                        "factor",
                                        "finetuned",
                                        "high_freq_factor",
                                        "long_factor",
                                        "low_freq_factor",
                                        "mscale",
                                        "mscale_all_dim",
                                        "original_max_position_embeddings",
                                        "partial_rotary_factor",
                                        "rope_theta",
                                        "rope_type",
                                        "short_factor",
                                        "truncate",
                                        "type"};

/// The object of a field; one without members says nothing.
std::optional<JsonObject> findFilled(const JsonObject &config,
                                     const char *field) {
  std::optional<JsonObject> object = config.object(field);
  return object && object->value().empty() ? std::nullopt : object;
}

void checkMembers(const JsonObject &config, const JsonObject &rope,
                  const RopeRules &rules) {
  for (const auto &[key, value] : rope.value().items()) {
    if (value.is_null() || kMembers.count(key))
      continue;
    if (!rules.unknownFields)
      rope.fail(key, kUnknownField);
    const char *holder = findFilled(config, "rope_parameters")
                             ? "rope_parameters."
                             : "rope_scaling.";
    rules.unknownFields->push_back(holder + key);
  }
}

/// Of a field that may stand beside or inside the scaling's object.
void requireEqual(const JsonObject &config, const JsonObject &rope,
                  const std::string &field) {
  const json *outer = config.find(field), *inner = rope.find(field);
  if (outer && inner && *outer != *inner)
    rope.fail(field, "disagrees with field '" + field + "'");
}

/// The scaling's own object: rope_scaling, or rope_parameters of newer files.
std::optional<JsonObject> findRopeObject(const JsonObject &config) {
  const std::optional<JsonObject> older = findFilled(config, "rope_scaling");
  const std::optional<JsonObject> newer = findFilled(config, "rope_parameters");
  if (!newer)
    return older;
  for (const auto &[key, value] : newer->value().items())
    if (value.is_object())
      newer->fail(key, "rotary parameters by layer type are not supported");
  if (older)
    for (const auto &[key, value] : older->value().items())
      if (!newer->value().contains(key) || newer->value()[key] != value)
        older->fail(key, "disagrees with field 'rope_parameters." + key + "'");
  return newer;
}

RopeConfig::Scaling readType(const JsonObject &rope, const RopeRules &rules) {
  using Scaling = RopeConfig::Scaling;
  const bool isNewSpelling = rope.find("rope_type");
  const char *field = isNewSpelling ? "rope_type" : "type";
  // rope_parameters without a type is plain; rope_scaling must name one.
  const std::string type =
      !isNewSpelling && !rope.find("type") && rope.find("rope_theta")
          ? "default"
          : rope.string(field);
  if (isNewSpelling && rope.string("type", type) != type)
    rope.fail("type", "disagrees with 'rope_type'");
  const bool isOldLongRope = rules.isPhi3 && (type == "su" || type == "yarn");
  if (type == "longrope" || isOldLongRope)
    return Scaling::LongRope;
  if (type == "default")
    return Scaling::None;
  if (type == "linear")
    return Scaling::Linear;
  if (type == "dynamic")
    return Scaling::Dynamic;
  if (type == "llama3")
    return Scaling::Llama3;
  if (type == "yarn")
    return Scaling::Yarn;
  rope.failExpected(field, "default, linear, dynamic, llama3, yarn or longrope",
                    type);
}

/// A factor that stretches, so 1 or more.
double stretch(const JsonObject &rope) {
  const double factor = rope.positive("factor");
  if (factor < 1)
    rope.failExpected("factor", "a number from 1 up", rope.require("factor"));
  return factor;
}

/// The length that the model was trained for before it was stretched: beside
/// or inside the scaling's object.
int64_t originalPositions(const JsonObject &config, const JsonObject &rope,
                          const RopeRules &rules) {
  requireEqual(config, rope, kOriginalPositions);
  const JsonObject &holder = rope.find(kOriginalPositions) ? rope : config;
  return holder.integer(kOriginalPositions, 1, kMaxPositions,
                        rules.isPhi3 ? 4096 : rules.maxPositions);
}

void readLlama3(const JsonObject &rope, RopeConfig &result) {
  result.lowFrequencyFactor = rope.positive("low_freq_factor");
  result.highFrequencyFactor = rope.positive("high_freq_factor");
  if (result.highFrequencyFactor <= result.lowFrequencyFactor)
    rope.failExpected("high_freq_factor", "more than low_freq_factor",
                      rope.require("high_freq_factor"));
}

/// 0.1 m ln(s) + 1 (Peng et al., arXiv 2309.00071, equation 22).
double yarnMagnitude(double scale, double m) {
  return scale <= 1 ? 1 : 0.1 * m * std::log(scale) + 1;
}

void requireGrowingWaves(const JsonObject &rope, const RopeConfig &result) {
  if (result.theta <= 1)
    rope.fail("rope_theta", "expected more than 1 for this scaling, found " +
                                json(result.theta).dump());
}

void readYarn(const JsonObject &rope, RopeConfig &result) {
  requireGrowingWaves(rope, result);
  result.betaFast = rope.positive("beta_fast", 32);
  result.betaSlow = rope.positive("beta_slow", 1);
  result.truncatesRange = rope.boolean("truncate", true);
  if (rope.find("attention_factor"))
    result.magnitude = rope.positive("attention_factor");
  else if (rope.find("mscale") && rope.find("mscale_all_dim"))
    result.magnitude =
        yarnMagnitude(result.factor, rope.positive("mscale")) /
        yarnMagnitude(result.factor, rope.positive("mscale_all_dim"));
  else
    result.magnitude = yarnMagnitude(result.factor, 1);
  if (result.magnitude < 1e-6 || result.magnitude > 1e6)
    rope.fail(rope.find("attention_factor") ? "attention_factor" : "mscale",
              "expected cosines scaled by 1e-6 to 1e6, found " +
                  json(result.magnitude).dump());
}

std::vector<float> readFactors(const JsonObject &rope, const char *field,
                               int64_t count) {
  const json &list = rope.require(field);
  if (!list.is_array() || int64_t(list.size()) != count)
    rope.failExpected(field,
                      "a list of " + std::to_string(count) +
                          " numbers, one per frequency",
                      list);
  std::vector<float> factors;
  for (const json &value : list) {
    const double factor = value.is_number() ? value.get<double>() : 0;
    if (!(factor >= 1e-6 && factor <= 1e6))
      rope.failExpected(field, "numbers from 1e-6 to 1e6", value);
    factors.push_back(float(factor));
  }
  return factors;
}

void readLongRope(const JsonObject &rope, const RopeRules &rules,
                  RopeConfig &result) {
  requireGrowingWaves(rope, result);
  const int64_t count = result.rotaryDim(rules.headDim) / 2;
  result.shortFactors = readFactors(rope, "short_factor", count);
  result.longFactors = readFactors(rope, "long_factor", count);
  const double original = double(result.originalMaxPositions);
  const double factor =
      rope.positive("factor", double(rules.maxPositions) / original);
  if (rope.find("attention_factor"))
    result.magnitude = rope.positive("attention_factor");
  else if (factor > 1 && original > 1)
    result.magnitude = std::sqrt(1 + std::log(factor) / std::log(original));
}

void readPartialFactor(const JsonObject &holder, const RopeRules &rules,
                       RopeConfig &result) {
  const json *value = holder.find("partial_rotary_factor");
  if (!value || *value == 1)
    return;
  if (!rules.isPhi3)
    holder.fail("partial_rotary_factor",
                "only 1 is supported, found " + describe(*value));
  result.partialFactor = holder.positive("partial_rotary_factor");
  const int64_t dim = result.rotaryDim(rules.headDim);
  if (result.partialFactor > 1 || dim < 2 || dim % 2 != 0)
    holder.failExpected("partial_rotary_factor",
                        "a part of head_dim (" + std::to_string(rules.headDim) +
                            ") that is an even number of features",
                        *value);
}

void readScaling(const JsonObject &config, const JsonObject &rope,
                 const RopeRules &rules, RopeConfig &result) {
  using Scaling = RopeConfig::Scaling;
  checkMembers(config, rope, rules);
  if (rope.find("rope_theta"))
    result.theta = rope.positive("rope_theta");
  readPartialFactor(rope, rules, result);
  result.scaling = readType(rope, rules);
  if (result.scaling == Scaling::None)
    return;
  if (result.scaling != Scaling::LongRope)
    result.factor = stretch(rope);
  if (result.scaling == Scaling::Linear || result.scaling == Scaling::Dynamic)
    return;
  if (result.scaling == Scaling::Llama3)
    readLlama3(rope, result);
  result.originalMaxPositions = originalPositions(config, rope, rules);
  if (result.scaling == Scaling::Yarn)
    readYarn(rope, result);
  if (result.scaling == Scaling::LongRope)
    readLongRope(rope, rules, result);
}

/// Gemma 3: rope_scaling and rope_theta are those of layers that see
/// everything; those with a window have rope_local_base_freq.
RopePair readByLayerType(const JsonObject &config, const RopeRules &rules) {
  RopePair pair{{.theta = rules.defaultTheta},
                RopeConfig{.theta = kDefaultLocalTheta}};
  pair.main.theta = config.positive("rope_theta", pair.main.theta);
  pair.local->theta =
      config.positive("rope_local_base_freq", pair.local->theta);
  const std::optional<JsonObject> newer = config.object("rope_parameters");
  if (!newer) {
    if (const auto older = findFilled(config, "rope_scaling"))
      readScaling(config, *older, rules, pair.main);
    return pair;
  }
  for (const char *old : {"rope_scaling", "rope_theta", "rope_local_base_freq"})
    if (config.find(old))
      config.fail(old, "expected nothing beside field 'rope_parameters'");
  for (const auto &[key, value] : newer->value().items())
    if (key != "full_attention" && key != "sliding_attention")
      newer->fail(key, "expected full_attention and sliding_attention alone");
  if (const auto full = newer->object("full_attention"))
    readScaling(config, *full, rules, pair.main);
  if (const auto sliding = newer->object("sliding_attention"))
    readScaling(config, *sliding, rules, *pair.local);
  return pair;
}

} // namespace

RopePair readRope(const JsonObject &config, const RopeRules &rules) {
  // Known in any case; the scalings that need it read it.
  config.find(kOriginalPositions);
  if (rules.byLayerType)
    return readByLayerType(config, rules);
  RopePair pair{{.theta = rules.defaultTheta}, std::nullopt};
  pair.main.theta = config.positive("rope_theta", pair.main.theta);
  if (rules.isPhi3)
    readPartialFactor(config, rules, pair.main);
  const std::optional<JsonObject> rope = findRopeObject(config);
  if (!rope)
    return pair;
  requireEqual(config, *rope, "rope_theta");
  if (rules.isPhi3)
    requireEqual(config, *rope, "partial_rotary_factor");
  readScaling(config, *rope, rules, pair.main);
  return pair;
}

namespace {

// transformers computes on float32 tensors: every line below rounds to float
// where one of its operations ends. Python's scalar / tensor is the tensor's
// reciprocal times the scalar. The power, correctly rounded here, may differ
// from torch's in the last place.

/// theta^(2 i / dim) for i of [0, dim / 2).
std::vector<float> powers(double theta, int64_t dim) {
  std::vector<float> result;
  for (int64_t i = 0; i < dim; i += 2) {
    const float exponent = float(i) / float(dim);
    result.push_back(float(std::pow(double(float(theta)), double(exponent))));
  }
  return result;
}

/// Long waves are stretched, short ones stay, between the two is a slope.
float llama3Frequency(const RopeConfig &rope, float plain) {
  const float scale = float(rope.factor);
  const float positions = float(rope.originalMaxPositions);
  const float low = float(rope.lowFrequencyFactor);
  const float longest =
      float(double(rope.originalMaxPositions) / rope.lowFrequencyFactor);
  const float shortest =
      float(double(rope.originalMaxPositions) / rope.highFrequencyFactor);
  const float wavelength = (1.0f / plain) * float(2 * std::numbers::pi);
  if (wavelength > longest)
    return plain / scale;
  if (wavelength < shortest)
    return plain;
  const float smooth =
      ((1.0f / wavelength) * positions - low) /
      float(rope.highFrequencyFactor - rope.lowFrequencyFactor);
  return (1.0f - smooth) * plain / scale + smooth * plain;
}

/// YaRN (arXiv 2309.00071, section 3.2): the range of dimensions, not of
/// wavelengths, in which frequencies go from their own to stretched.
std::vector<float> yarnFrequencies(const RopeConfig &rope,
                                   const std::vector<float> &powers) {
  const double dim = 2 * double(powers.size());
  const auto dimension = [&](double turns) {
    return dim *
           std::log(double(rope.originalMaxPositions) /
                    (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimension(rope.betaFast), high = dimension(rope.betaSlow);
  if (rope.truncatesRange) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (float(high - low) == 0)
    high = low + 0.001;
  std::vector<float> frequencies;
  for (size_t i = 0; i < powers.size(); ++i) {
    const float ramp =
        std::clamp((float(i) - float(low)) / float(high - low), 0.0f, 1.0f);
    const float own = 1.0f - ramp;
    const float stretched = 1.0f / (float(rope.factor) * powers[i]);
    frequencies.push_back(stretched * (1.0f - own) + 1.0f / powers[i] * own);
  }
  return frequencies;
}

std::vector<float> divided(const std::vector<float> &powers,
                           const std::vector<float> &factors) {
  std::vector<float> frequencies;
  for (size_t i = 0; i < powers.size(); ++i)
    frequencies.push_back(1.0f / (factors[i] * powers[i]));
  return frequencies;
}

} // namespace

std::vector<float> RopeConfig::inverseFrequencies(int64_t headDim) const {
  std::vector<float> result = powers(theta, rotaryDim(headDim));
  if (scaling == Scaling::LongRope)
    return divided(result, shortFactors);
  if (scaling == Scaling::Yarn)
    return yarnFrequencies(*this, result);
  for (float &value : result) {
    value = 1.0f / value;
    if (scaling == Scaling::Linear)
      value = value / float(factor);
    else if (scaling == Scaling::Llama3)
      value = llama3Frequency(*this, value);
  }
  return result;
}

std::vector<float> RopeConfig::longInverseFrequencies(int64_t headDim) const {
  return divided(powers(theta, rotaryDim(headDim)), longFactors);
}

} // namespace fairy2
