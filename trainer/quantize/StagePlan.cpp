// SPDX-License-Identifier: Apache-2.0
//
// Stages by names, and greedily by predicted losses.
#include "trainer/quantize/StagePlan.h"

#include "runtime/support/Error.h"
#include "runtime/support/Words.h"

#include <algorithm>
#include <charconv>
#include <regex>

namespace fairy2::trainer {

namespace {

std::regex compiled(const StagesFor &choice) {
  try {
    return std::regex(choice.regex);
  } catch (const std::regex_error &error) {
    throw Error(quoteName(choice.regex) +
                ": expected a regular expression, found: " + error.what());
  }
}

} // namespace

int64_t storedBits(const Parameter &parameter, int stages) {
  return stages * parameter.count() + 8 * parameter.shape[0] + 32;
}

bool matches(const StagesFor &choice, const std::string &name) {
  return std::regex_search(name, compiled(choice));
}

StagesFor parseStagesFor(const std::string &text) {
  const size_t place = text.rfind('=');
  StagesFor choice{text, text.substr(0, place), 0};
  const std::string digits = place == text.npos ? "" : text.substr(place + 1);
  const auto [end, fault] = std::from_chars(
      digits.data(), digits.data() + digits.size(), choice.stages);
  if (choice.regex.empty() || fault != std::errc() ||
      end != digits.data() + digits.size() || choice.stages < 1 ||
      choice.stages > kMaxStages)
    throw Error("expected REGEX=T with T from 1 to " +
                std::to_string(kMaxStages) + ", found " + quoteName(text));
  compiled(choice);
  return choice;
}

StagesFor parseKeep(const std::string &text) {
  StagesFor choice{text, text, 0};
  if (text.empty())
    throw Error("expected REGEX, found nothing");
  compiled(choice);
  return choice;
}

StagePlan planStages(const Model &model, int stages,
                     const std::vector<StagesFor> &choices,
                     const std::function<void(const std::string &)> &note) {
  StagePlan plan;
  for (const Parameter &parameter : model.parameters()) {
    const bool isEven = parameter.isMatrix() && parameter.shape[0] % 2 == 0 &&
                        parameter.shape[1] % 2 == 0;
    if (parameter.isMatrix() && !isEven)
      note(parameter.name + " stays dense: its extents are odd");
    plan.push_back(isEven ? stages : 0);
  }
  for (const StagesFor &choice : choices) {
    const std::regex regex = compiled(choice);
    bool isAny = false;
    for (size_t i = 0; i < plan.size(); ++i) {
      const Parameter &parameter = model.parameters()[i];
      if (!parameter.isMatrix() || !std::regex_search(parameter.name, regex))
        continue;
      isAny = true;
      plan[i] = plan[i] ? choice.stages : 0;
    }
    if (!isAny)
      throw Error(
          quoteName(choice.expression) +
          ": expected to match a layer's matrix, such as " +
          quoteName(
              model.parameters()[model.decoderPlan().layers[0].mlpOutput.weight]
                  .name) +
          ", found none");
  }
  return plan;
}

double bitsPerWeight(const Model &model, const StagePlan &plan) {
  double bits = 0, weights = 0;
  for (size_t i = 0; i < plan.size(); ++i)
    if (plan[i]) {
      bits += double(storedBits(model.parameters()[i], plan[i]));
      weights += double(model.parameters()[i].count());
    }
  return weights > 0 ? bits / weights : 0;
}

PhaseScheme schemeOf(const StagePlan &plan) {
  const int stages = plan.empty() ? 0 : *std::ranges::max_element(plan);
  return {stages, ScaleGranularity::Row, QuantizeMode::Canonical,
          StageScales::Binary, gridThatSuits(StageScales::Binary, stages)};
}

void spendBits(const Model &model, double bits,
               const std::map<size_t, StageLosses> &losses, StagePlan &plan) {
  double left = 0; // bits that are not spent yet
  for (size_t i = 0; i < plan.size(); ++i) {
    if (!plan[i])
      continue;
    if (losses.contains(i))
      plan[i] = 1;
    const Parameter &parameter = model.parameters()[i];
    left += bits * double(parameter.count()) -
            double(storedBits(parameter, plan[i]));
  }
  while (true) {
    const size_t none = plan.size();
    size_t best = none;
    double most = 0;
    for (const auto &[i, loss] : losses) {
      const auto count = double(model.parameters()[i].count());
      if (plan[i] == int(loss.size()) || count > left)
        continue;
      const double gain =
          (loss[size_t(plan[i] - 1)] - loss[size_t(plan[i])]) / count;
      if (best == none || gain > most) {
        best = i;
        most = gain;
      }
    }
    if (best == none)
      return;
    ++plan[best];
    left -= double(model.parameters()[best].count());
  }
}

} // namespace fairy2::trainer
