// SPDX-License-Identifier: Apache-2.0
//
// fairy2-train tokenize: text to shards of tokens.
#include "tools/fairy2-train/Tokenize.h"

#include "frontend/HFConfig.h"
#include "runtime/support/Error.h"
#include "runtime/support/StandardStreams.h"
#include "tools/ModelFolderFlags.h"
#include "tools/ParsingEnd.h"
#include "tools/Validators.h"
#include "trainer/data/TokenizedText.h"
#include "trainer/model/Model.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace fairy2;
using namespace fairy2::trainer;

int tokenizeMain(int argc, char **argv) {
  CLI::App app(
      "Tokenize text once, on all cores, into a folder that data.train "
      "of a recipe may name.",
      "fairy2-train tokenize");
  app.footer("Example: fairy2-train tokenize -o data/stories stories.jsonl.zst "
             "--model models/SmolLM2-135M --separator eos");
  TokenizeOptions options;
  std::vector<std::string> where;
  app.add_option("inputs", options.inputs,
                 ".txt, .jsonl, or .zst of either, in order")
      ->required()
      ->type_name("FILE");
  app.add_option("--model", options.model,
                 "Folder with config.json and the tokenizer")
      ->required()
      ->type_name("FOLDER");
  addModelFolderFlags(app, options.rules);
  app.add_option("-o,--output", options.output, "Folder for the shards")
      ->required()
      ->type_name("FOLDER");
  app.add_option("--separator", options.separator,
                 "Between documents, as data.separator of the recipe")
      ->check(CLI::IsMember({"none", "bos", "eos", "both", "blank_line"}))
      ->capture_default_str();
  app.add_option("--special-tokens", options.specialTokens,
                 "What becomes of text that spells a special token, as "
                 "data.special_tokens of the recipe")
      ->check(CLI::IsMember({"parse", "text"}))
      ->capture_default_str();
  app.add_option("--text-field", options.textField, "Text of a JSONL record")
      ->capture_default_str();
  app.add_option("--where", where, "Use only records with this field's value")
      ->type_name("FIELD=VALUE");
  app.add_option("--shard-tokens", options.shardTokens,
                 "Tokens after which a new shard begins")
      ->check(wholeNumber<int64_t>(1, int64_t(1) << 50))
      ->capture_default_str();
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-train");
  }
  try {
    for (const std::string &condition : where) {
      const size_t equals = condition.find('=');
      if (equals == std::string::npos || equals == 0)
        throw Error("--where: expected FIELD=VALUE, found '" + condition + "'");
      options.where[condition.substr(0, equals)] = condition.substr(equals + 1);
    }
    const TokenizeResult result =
        tokenizeFiles(options, HFConfig::read({options.model, options.rules}));
    std::printf("%lld tokens of %lld documents in %lld shards in %s\n",
                (long long)result.tokens, (long long)result.documents,
                (long long)result.shards, options.output.c_str());
    flushStandardOutput();
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fairy2-train: error: %s\n", error.what());
    return 1;
  }
}
