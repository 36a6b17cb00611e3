// SPDX-License-Identifier: Apache-2.0
//
// Sums over the matrices that have one name in all layers.
#include "trainer/quantize/Summary.h"

#include <map>
#include <string>

namespace fairy2::trainer {

namespace {

/// The part of a matrix's name that it shares with those of other layers.
std::string kindOf(const std::string &name) {
  constexpr std::string_view kWeight = ".weight";
  const size_t layer = name.find_first_of("0123456789");
  const size_t begin = name.find('.', layer) + 1;
  return name.substr(begin, name.size() - begin - kWeight.size());
}

} // namespace

std::vector<size_t> indicesOf(const std::vector<bool> &isCoded) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < isCoded.size(); ++i)
    if (isCoded[i])
      indices.push_back(i);
  return indices;
}

double bitsPerWeight(const Model &model, const std::vector<bool> &isCoded,
                     int stages) {
  double bits = 0, weights = 0;
  for (const size_t i : indicesOf(isCoded)) {
    const Parameter &parameter = model.parameters()[i];
    bits += double(stages * parameter.count() + 8 * parameter.shape[0] + 32);
    weights += double(parameter.count());
  }
  return weights > 0 ? bits / weights : 0;
}

nlohmann::ordered_json
summaryOf(const Model &model,
          const std::vector<std::pair<size_t, CodingReport>> &reports,
          const QuantizeOptions &options, const std::vector<bool> &isCoded) {
  std::vector<std::string> order;
  std::map<std::string, std::pair<int, CodingReport>> kinds;
  CodingReport all;
  for (const auto &[index, report] : reports) {
    const std::string kind = kindOf(model.parameters()[index].name);
    if (!kinds.contains(kind))
      order.push_back(kind);
    auto &[count, sum] = kinds[kind];
    ++count;
    for (CodingReport *to : {&sum, &all}) {
      to->loss += report.loss;
      to->norm += report.norm;
      to->weights.norm += report.weights.norm;
      to->weights.error += report.weights.error;
    }
  }
  const auto numbers = [](const CodingReport &report) {
    return nlohmann::ordered_json{
        {"metric_error", report.norm > 0 ? report.loss / report.norm : 0},
        {"weight_error", report.weights.relative()},
        {"predicted_loss", report.loss}};
  };
  nlohmann::ordered_json summary;
  summary["output"] = options.output;
  summary["stages"] = options.stages;
  summary["bits_per_weight"] = bitsPerWeight(model, isCoded, options.stages);
  for (const std::string &kind : order) {
    nlohmann::ordered_json row = numbers(kinds[kind].second);
    row["matrices"] = kinds[kind].first;
    summary["kinds"][kind] = row;
  }
  summary["all"] = numbers(all);
  return summary;
}

} // namespace fairy2::trainer
