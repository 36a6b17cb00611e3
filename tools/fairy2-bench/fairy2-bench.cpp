// SPDX-License-Identifier: Apache-2.0
//
// fairy2-bench: tokens per second, beside what the memory allows.
#include "runtime/measure/BenchmarkReport.h"
#include "runtime/support/Bytes.h"
#include "runtime/support/File.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "tools/HugePagesOption.h"
#include "tools/ParsingEnd.h"
#include "tools/ProgressBar.h"
#include "tools/Validators.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <iostream>
#include <optional>

using namespace fairy2;

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  CLI::App app("Measure a compiled Fairy2 model's speed and the machine's read "
               "bandwidth in one run.");
  app.set_version_flag("--version", "fairy2-bench " FAIRY2_VERSION);
  app.footer("Example: fairy2-bench model.so --prompt 128 --gen 64 "
             "--threads 1,2");
  std::string path, html;
  bool json = false;
  BenchmarkOptions options;
  app.add_option("model", path, "Compiled model")->required();
  app.add_option("--prompt", options.prompt, "Tokens of a prefill; 0: none")
      ->capture_default_str();
  app.add_option("--gen", options.generate, "Tokens of a decode; 0: none")
      ->capture_default_str();
  app.add_option("--depth", options.depth,
                 "Positions in the cache before the decode")
      ->capture_default_str();
  addList(app, "--batch", options.batches, "N,N,..",
          "Sequences decoded together; default 1", wholeNumber<int32_t>());
  addList(app, "--threads", options.threads, "N,N,..",
          "Numbers of threads; default all cores", wholeNumber<int32_t>());
  app.add_option("--repeat", options.repeat, "Runs of each row")
      ->capture_default_str();
  addHugePages(app, options.hugePages);
  app.add_flag("--kernels", options.kernels,
               "Also time every step of a decoded token");
  app.add_flag("--sampling", options.sampling,
               "Also time the choice of the next token");
  app.add_option("--html", html,
                 "Write a page: the roofline, and with "
                 "--kernels where a token's time goes")
      ->check(fileName());
  app.add_flag("--json", json, "Print one JSON object");
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
    checkUsage([&] { checkCounts(options); });
    requireDifferent("--batch", options.batches);
    requireDifferent("--threads", options.threads);
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-bench");
  }
  try {
    // Before the measurement, so that a wrong path costs no time.
    std::optional<OutputFile> page;
    if (!html.empty()) {
      requireNotInput(html, path);
      page.emplace(html);
    }
    ProgressBar bar("measuring");
    options.onProgress = [&](int64_t done, int64_t total) {
      bar.show(done, total);
    };
    const BenchmarkResult result = benchmark(Model::open(path), options);
    std::cout << (json ? toJson(result).dump() + "\n" : toTable(result));
    if (page) {
      page->append(bytesOf(
          toHtml(result, "fairy2-bench " +
                             std::filesystem::path(path).filename().string())));
      page->commit();
    }
    flushStandardOutput();
    return 0;
  } catch (const std::exception &error) {
    std::cerr << "fairy2-bench: error: " << error.what() << '\n';
    return 1;
  }
}
