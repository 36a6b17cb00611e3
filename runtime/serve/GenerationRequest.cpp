// SPDX-License-Identifier: Apache-2.0
//
// Sampling, stop strings and the form of the reply, checked at the edge, so
// that nothing behind it meets a value out of range.
#include "runtime/serve/GenerationRequest.h"

#include "runtime/support/Json.h"

#include <charconv>
#include <random>

namespace fairy2::serve {
namespace {

using nlohmann::json;

std::vector<std::string> readStops(const JsonFields &fields) {
  const json *found = fields.find("stop");
  if (!found)
    return {};
  const auto textOf = [](const json &value, const std::string &path) {
    if (!value.is_string() || value.get_ref<const std::string &>().empty())
      failField(path, "a text that is not empty", value);
    return value.get<std::string>();
  };
  if (!found->is_array())
    return {textOf(*found, "stop")};
  if (found->size() > kMostStops)
    fields.fail("stop", "at most " + std::to_string(kMostStops) + " texts");
  std::vector<std::string> stops;
  for (const json &value : *found)
    stops.push_back(
        textOf(value, "stop[" + std::to_string(stops.size()) + "]"));
  return stops;
}

std::vector<std::pair<int32_t, float>> readBias(const JsonFields &fields,
                                                int32_t vocabSize) {
  std::vector<std::pair<int32_t, float>> biases;
  const auto object = fields.object("logit_bias");
  if (!object)
    return biases;
  for (const auto &[key, value] : object->value().items()) {
    int32_t id = -1;
    const char *end = key.data() + key.size();
    const auto read = std::from_chars(key.data(), end, id);
    if (read.ec != std::errc() || read.ptr != end || id < 0 || id >= vocabSize)
      throw ApiError(400,
                     "logit_bias: expected token ids from 0 to " +
                         std::to_string(vocabSize - 1) + ", found " +
                         describe(key),
                     "logit_bias");
    if (const auto bias = object->number(key, -100, 100))
      biases.emplace_back(id, float(*bias));
  }
  return biases;
}

/// OpenAI's seeds are whole numbers of 64 bits, of either sign.
uint64_t readSeed(const JsonFields &fields) {
  const json *found = fields.find("seed");
  if (found && !found->is_number_integer())
    fields.fail("seed", "a whole number of 64 bits");
  if (found)
    return found->is_number_unsigned() ? found->get<uint64_t>()
                                       : uint64_t(found->get<int64_t>());
  std::random_device random;
  return uint64_t(random()) << 32 | random();
}

float readAbove0(const JsonFields &fields, const char *key, double most) {
  const double value = fields.number(key, 0, most).value_or(1);
  if (!(float(value) > 0))
    fields.fail(key, "a number above 0");
  return float(value);
}

void readStreaming(const JsonFields &fields, GenerationRequest &request) {
  request.stream = fields.boolean("stream").value_or(false);
  const auto options = fields.object("stream_options");
  if (!options)
    return;
  request.includeUsage = options->boolean("include_usage").value_or(false);
}

} // namespace

void readGeneration(const JsonFields &fields, const RequestBounds &bounds,
                    GenerationRequest &request) {
  request.model = fields.string("model");
  request.n = fields.integer("n", 1, kMostSequences).value_or(1);
  readStreaming(fields, request);
  GenerationOptions &options = request.options;
  options.stops = readStops(fields);
  options.ignoreEos = fields.boolean("ignore_eos").value_or(false);
  Sampling &sampling = options.sampling;
  sampling.temperature = float(fields.number("temperature", 0, 2).value_or(1));
  sampling.topP = readAbove0(fields, "top_p", 1);
  sampling.minP = float(fields.number("min_p", 0, 1).value_or(0));
  sampling.topK = int32_t(fields.integer("top_k", 0, INT32_MAX).value_or(0));
  sampling.repetitionPenalty = readAbove0(fields, "repetition_penalty", 10);
  sampling.presencePenalty =
      float(fields.number("presence_penalty", -2, 2).value_or(0));
  sampling.frequencyPenalty =
      float(fields.number("frequency_penalty", -2, 2).value_or(0));
  sampling.logitBias = readBias(fields, bounds.vocabSize);
  sampling.seed = readSeed(fields);
}

} // namespace fairy2::serve
