// SPDX-License-Identifier: Apache-2.0
//
// The summary of a coded model, for people.
#include "tools/fairy2-quantize/PrintSummary.h"

#include <cstdio>
#include <string>

namespace fairy2 {

void printSummary(const nlohmann::ordered_json &summary) {
  std::printf("%-20s %8s %7s %7s %11s %10s %10s\n", "matrix", "matrices",
              "stages", "bits", "metric err", "weight err", "pred. loss");
  const auto print = [](const std::string &name,
                        const nlohmann::ordered_json &row) {
    const auto value = [&](const char *key) { return row[key].get<double>(); };
    std::printf("%-20s %8d %7.4g %7.3f %11.5f %10.4f %10.4f\n", name.c_str(),
                row["matrices"].get<int>(), value("stages"),
                value("bits_per_weight"), value("metric_error"),
                value("weight_error"), value("predicted_loss"));
  };
  for (const auto &[kind, row] : summary["kinds"].items())
    print(kind, row);
  print("all", summary["all"]);
  if (summary.contains("tuning"))
    std::printf("tuned on %lld tokens: divergence from the float model %.4f "
                "nats at first, %.4f at the end\n",
                summary["tuning"]["tokens"].get<long long>(),
                summary["tuning"]["first_divergence"].get<double>(),
                summary["tuning"]["last_divergence"].get<double>());
  const auto output = summary["output"].get<std::string>();
  std::printf("%.4g stages, %.3f bits per weight of these matrices, %.2f per "
              "parameter of the whole file\n"
              "written to %s\nfairy2-compile %s -o model.so\n",
              summary["all"]["stages"].get<double>(),
              summary["all"]["bits_per_weight"].get<double>(),
              summary["file_bits_per_parameter"].get<double>(), output.c_str(),
              output.c_str());
}

void printPlan(const nlohmann::ordered_json &plan) {
  std::printf(
      "matrices to code: %lld, %lld of %lld parameters\n"
      "%.3f bits per weight of these matrices\n"
      "calibration: %lld tokens, and %lld for gradients\n"
      "about %.1f minutes with --threads=%lld, %.0f MiB of memory, %.0f MiB of "
      "disk\n",
      plan["matrices"].get<long long>(), plan["weights"].get<long long>(),
      plan["parameters"].get<long long>(),
      plan["bits_per_weight"].get<double>(), plan["tokens"].get<long long>(),
      plan["gradient_tokens"].get<long long>(),
      plan["seconds"].get<double>() / 60, plan["threads"].get<long long>(),
      plan["memory_bytes"].get<double>() / (1 << 20),
      plan["disk_bytes"].get<double>() / (1 << 20));
}

} // namespace fairy2
