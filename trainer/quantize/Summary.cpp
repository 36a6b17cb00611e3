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

/// Over matrices of one kind, or of all.
struct Sums {
  int matrices = 0;
  double weights = 0, stages = 0, bits = 0; ///< the latter times weights
  CodingReport report;

  void add(const Parameter &parameter, int own, const CodingReport &of) {
    ++matrices;
    const auto count = double(parameter.count());
    weights += count;
    stages += own * count;
    bits += double(storedBits(parameter, own));
    report.loss += of.loss;
    report.norm += of.norm;
    report.weights.norm += of.weights.norm;
    report.weights.error += of.weights.error;
  }

  nlohmann::ordered_json json() const {
    return {{"matrices", matrices},
            {"stages", weights > 0 ? stages / weights : 0},
            {"bits_per_weight", weights > 0 ? bits / weights : 0},
            {"metric_error", report.norm > 0 ? report.loss / report.norm : 0},
            {"weight_error", report.weights.relative()},
            {"predicted_loss", report.loss}};
  }
};

} // namespace

nlohmann::ordered_json
summaryOf(const Model &model,
          const std::vector<std::pair<size_t, CodingReport>> &reports,
          const QuantizeOptions &options, const StagePlan &plan) {
  std::vector<std::string> order;
  std::map<std::string, Sums> kinds;
  Sums all;
  for (const auto &[index, report] : reports) {
    const Parameter &parameter = model.parameters()[index];
    const std::string kind = kindOf(parameter.name);
    if (!kinds.contains(kind))
      order.push_back(kind);
    kinds[kind].add(parameter, plan[index], report);
    all.add(parameter, plan[index], report);
  }
  nlohmann::ordered_json summary;
  summary["output"] = options.output;
  for (const std::string &kind : order)
    summary["kinds"][kind] = kinds[kind].json();
  summary["all"] = all.json();
  return summary;
}

} // namespace fairy2::trainer
