// SPDX-License-Identifier: Apache-2.0
//
// fairy2-bench: tokens per second, beside what the memory allows.
#include "runtime/Benchmark.h"
#include "tools/ProgressBar.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <iostream>

using namespace fairy2;

namespace {

nlohmann::ordered_json toJson(const BenchmarkResult &result) {
  nlohmann::ordered_json out;
  out["machine"] = {{"cpu", result.cpu}, {"variant", result.variant}};
  out["rows"] = nlohmann::ordered_json::array();
  for (const BenchmarkRow &row : result.rows) {
    nlohmann::ordered_json json;
    json["kind"] = row.kind;
    json["tokens"] = row.tokens;
    json["threads"] = row.threads;
    json["tok_s"] = {{"min", row.tokensPerSecond.min},
                     {"median", row.tokensPerSecond.median},
                     {"max", row.tokensPerSecond.max}};
    json["weight_bytes_per_token"] = result.weightBytesPerToken;
    json["read_bandwidth_gb_s"] = row.bandwidth;
    if (row.kind == "decode") {
      json["gb_s"] = row.weightRate;
      json["bandwidth_fraction"] = row.bandwidthFraction;
    }
    out["rows"].push_back(json);
  }
  return out;
}

void print(const BenchmarkResult &result) {
  std::printf("%s, %s, %.1f MB of weights per token\n", result.cpu.c_str(),
              result.variant.c_str(),
              double(result.weightBytesPerToken) / 1e6);
  std::printf("%-8s %7s %8s %9s %9s %9s %8s %10s %6s\n", "", "tokens",
              "threads", "min tok/s", "median", "max", "GB/s", "read GB/s",
              "share");
  for (const BenchmarkRow &row : result.rows) {
    std::printf("%-8s %7d %8d %9.1f %9.1f %9.1f", row.kind.c_str(), row.tokens,
                row.threads, row.tokensPerSecond.min,
                row.tokensPerSecond.median, row.tokensPerSecond.max);
    if (row.kind == "decode")
      std::printf(" %8.2f %10.2f %5.0f%%", row.weightRate, row.bandwidth,
                  100 * row.bandwidthFraction);
    std::printf("\n");
  }
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Measure a compiled Fairy2 model's speed and the machine's read "
               "bandwidth in one run.");
  app.set_version_flag("--version", "fairy2-bench " FAIRY2_VERSION);
  app.footer("Example: fairy2-bench model.so --prompt 128 --gen 64 "
             "--threads 1,2");
  std::string path;
  bool json = false;
  BenchmarkOptions options;
  app.add_option("model", path, "Compiled model")->required();
  app.add_option("--prompt", options.prompt, "Tokens of a prefill; 0: none")
      ->capture_default_str();
  app.add_option("--gen", options.generate, "Tokens of a decode; 0: none")
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Numbers of threads, comma-separated; default all cores")
      ->delimiter(',');
  app.add_option("--repeat", options.repeat, "Runs of each row")
      ->capture_default_str();
  app.add_flag("--json", json, "Print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    ProgressBar bar("measuring");
    options.onProgress = [&](int64_t done, int64_t total) {
      bar.show(done, total);
    };
    const BenchmarkResult result = benchmark(Model::open(path), options);
    if (json)
      std::cout << toJson(result).dump() << '\n';
    else
      print(result);
    return 0;
  } catch (const std::exception &error) {
    std::cerr << "fairy2-bench: error: " << error.what() << '\n';
    return 1;
  }
}
