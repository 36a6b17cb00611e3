// SPDX-License-Identifier: Apache-2.0
//
// Writer and reader of config.json's field "fairy2".
#include "frontend/TrainedSchemeFile.h"

namespace fairy2 {

using nlohmann::json;

namespace {

constexpr char kPhases[] = "complex_phase", kNone[] = "none";

/// The member `key`, one of the names that `fromName` knows.
template <typename Enum>
Enum named(const JsonField &field, std::string_view key,
           std::optional<Enum> (*fromName)(std::string_view),
           const char *expected) {
  const JsonField member = field[key];
  const std::optional<Enum> value = fromName(member.string());
  if (!value)
    member.fail(expected);
  return *value;
}

/// Whether the member `key` is `yes`; else it is `no`.
bool isNamed(const JsonField &field, std::string_view key, const char *yes,
             const char *no) {
  const JsonField member = field[key];
  const std::string word = member.string();
  if (word != yes && word != no)
    member.fail(std::string("\"") + no + "\" or \"" + yes + "\"");
  return word == yes;
}

PhaseScheme readPhases(const JsonField &field) {
  PhaseScheme scheme;
  scheme.stages = int(field["stages"].integer(1, kMaxStages));
  scheme.scales = named(field, "scales", granularityFromName,
                        "\"tensor\", \"row\" or \"tile\"");
  scheme.stageScales = named(field, "stage_scales", stageScalesFromName,
                             "\"mean\" or \"binary\"");
  scheme.grid =
      named(field, "scale_grid", scaleGridFromName, "\"float\" or \"int8\"");
  if (const std::string fault = schemeFault(scheme); !fault.empty())
    field.refuse(fault);
  return scheme;
}

SignScheme readSigns(const JsonField &field, SignMethod method) {
  SignScheme scheme{method};
  scheme.scales =
      named(field, "scales", granularityFromName, "\"tensor\" or \"row\"");
  if (scheme.scales == ScaleGranularity::Tile)
    field["scales"].fail("\"tensor\" or \"row\"");
  return scheme;
}

} // namespace

std::optional<TrainedScheme> readTrainedScheme(const JsonObject &config) {
  const json *value = config.find(kTrainedField);
  if (!value)
    return std::nullopt;
  const JsonField field(*value, config.file(), kTrainedField,
                        JsonStyle::Fields);
  field.requireKeys({"method", "stages", "scales", "stage_scales", "scale_grid",
                     "activations", "lm_head"});
  TrainedScheme trained;
  const std::string method = field["method"].string();
  if (method == kPhases)
    trained.phases = readPhases(field);
  else if (const auto signs = signMethodFromName(method))
    trained.signs = readSigns(field, *signs);
  else if (method != kNone)
    field["method"].fail("\"complex_phase\", \"bitnet\", \"ternary\", "
                         "\"sign2\", \"int2\" or \"none\"");
  trained.quantizesActivations = isNamed(field, "activations", "int8", "float");
  trained.quantizesHead = isNamed(field, "lm_head", "quantize", "keep");
  return trained;
}

json toJson(const TrainedScheme &trained) {
  json field = {
      {"method", kNone},
      {"activations", trained.quantizesActivations ? "int8" : "float"},
      {"lm_head", trained.quantizesHead ? "quantize" : "keep"}};
  if (trained.phases) {
    field["method"] = kPhases;
    field["stages"] = trained.phases->stages;
    field["scales"] = nameOf(trained.phases->scales);
    field["stage_scales"] = nameOf(trained.phases->stageScales);
    field["scale_grid"] = nameOf(trained.phases->grid);
  } else if (trained.signs) {
    field["method"] = nameOf(trained.signs->method);
    field["scales"] = nameOf(trained.signs->scales);
  }
  return field;
}

} // namespace fairy2
