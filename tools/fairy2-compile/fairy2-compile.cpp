// SPDX-License-Identifier: Apache-2.0
//
// fairy2-compile: a Hugging Face checkpoint becomes one native library.
#include "codegen/Compile.h"
#include "codegen/ResolveScheme.h"
#include "frontend/CheckpointWeights.h"
#include "frontend/DecoderCheckpoint.h"
#include "frontend/ImportModel.h"
#include "frontend/ReadAssets.h"
#include "runtime/Cores.h"
#include "runtime/support/File.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "tools/ProgressBar.h"
#include "tools/fairy2-compile/Options.h"

#include <sys/resource.h>

using namespace fairy2;

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  const auto start = std::chrono::steady_clock::now();
  try {
    CommandLine line;
    if (std::optional<int> code = parseCommandLine(argc, argv, line))
      return *code;
    if (line.options.threads == 0)
      line.options.threads = usableCores();
    if (!line.printsOptCommand) {
      requireNotInput(line.options.output, line.model);
      if (line.options.output != "-")
        requireCreatable(line.options.output);
    }
    mlir::MLIRContext context;
    const ModelFolder folder(line.model, line.rules);
    const auto [config, checkpoint] = DecoderCheckpoint::open(folder);
    const ModelAssets assets = readAssets(folder, config);
    mlir::OwningOpRef<mlir::ModuleOp> module =
        importModel(&context, checkpoint, config);
    if (line.printsOptCommand) {
      resolveScheme(*module, assets.trained, line.options.isMethodNamed,
                    line.options.quantize);
      std::printf("%s\n", optCommand(line.options.emit, line.options).c_str());
      flushStandardOutput();
      return 0;
    }
    ProgressBar bar("packing");
    line.options.progress = [&](int64_t done, int64_t total) {
      bar.show(done, total);
    };
    const CompileSummary summary =
        compile(*module, CheckpointWeights(checkpoint), assets, line.options);
    if (line.options.output == "-")
      return 0;
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    std::printf("%s%s: %lld bytes, %.1f s, peak memory %ld MiB\n",
                toTables(summary, line.isVerbose).c_str(),
                line.options.output.c_str(), (long long)summary.fileBytes,
                seconds.count(), usage.ru_maxrss / 1024);
    flushStandardOutput();
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fairy2-compile: error: %s\n", error.what());
    return 1;
  }
}
