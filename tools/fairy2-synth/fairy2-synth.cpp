// SPDX-License-Identifier: Apache-2.0
//
// fairy2-synth: writes a random checkpoint of a real model's shape.
#include "frontend/Synthesize.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "tools/ParsingEnd.h"
#include "tools/ProgressBar.h"
#include "tools/Validators.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace fairy2;

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  CLI::App app("Writes a random checkpoint with the tensor names and shapes of "
               "a model's\nconfig.json, for work on speed and memory.");
  app.name("fairy2-synth");
  app.footer("Example:\n  fairy2-synth --config llama2_7b.config.json -o "
             "llama2-random --dtype BF16");
  app.set_version_flag("--version", "fairy2-synth " FAIRY2_VERSION);

  std::string config, output, type, tokenizer;
  SynthesizeOptions options;
  double shardGigabytes = 5;
  app.add_option("--config", config, "A Hugging Face config.json")
      ->required()
      ->type_name("FILE");
  app.add_option("-o,--output", output, "The folder to write")
      ->required()
      ->type_name("DIR");
  app.add_option("--seed", options.seed, "Other seeds, other weights")
      ->check(wholeNumber<uint64_t>())
      ->capture_default_str();
  app.add_option("--dtype", type,
                 "Stored type; by default the config's torch_dtype, or BF16")
      ->check(CLI::IsMember({"F32", "F16", "BF16"}));
  app.add_option("--shard-gb", shardGigabytes,
                 "Largest file in units of 10^9 bytes")
      ->check(number(1e-6, 1e6))
      ->type_name("GB")
      ->capture_default_str();
  app.add_option("--tokenizer", tokenizer,
                 "'bytes' adds a tokenizer.json whose tokens are single bytes")
      ->check(CLI::IsMember({"bytes"}));
  app.add_flag("--force", options.overwrite,
               "Replace the checkpoint in a folder that is not empty");
  app.add_flag("--allow-unknown-fields", options.allowsUnknownFields,
               "Read past fields of the config that are not known, and list "
               "them");
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-synth");
  }

  options.type = dtypeFromName(type);
  options.shardBytes = int64_t(shardGigabytes * 1e9);
  options.byteTokenizer = tokenizer == "bytes";
  try {
    ProgressBar bar("writing");
    options.progress = [&](int64_t done, int64_t total) {
      bar.show(done, total);
    };
    const SynthesizeResult result =
        synthesizeCheckpoint(config, output, options);
    std::printf("%s: %lld parameters, %lld bytes in %d file%s\n",
                output.c_str(), static_cast<long long>(result.parameters),
                static_cast<long long>(result.bytes), result.files,
                result.files == 1 ? "" : "s");
    for (const std::string &field : result.unknownFields)
      std::printf("unknown field: %s\n", field.c_str());
    flushStandardOutput();
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fairy2-synth: error: %s\n", error.what());
    return 1;
  }
}
