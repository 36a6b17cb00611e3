// SPDX-License-Identifier: Apache-2.0
//
// Declares the flags and turns them into the compiler's options.
#include "tools/fairy2-compile/Options.h"

#include "dialect/Fairy2Dialect.h"
#include "runtime/Artifact.h"

#include <CLI/CLI.hpp>

namespace fairy2 {
namespace {

const std::map<std::string, Stage> kStages = {
    {"model", Stage::Model},   {"quantized", Stage::Quantized},
    {"packed", Stage::Packed}, {"loops", Stage::Loops},
    {"llvm", Stage::Llvm},     {"asm", Stage::Assembly},
    {"obj", Stage::Object},    {"so", Stage::So}};
/// Stages of phases, or a method of signs.
struct Method {
  std::optional<int64_t> stages;
  std::optional<SignMethod> signs;
};
const std::map<std::string, Method> kMethods = {
    {"none", {0, {}}},
    {"complex_phase_v1", {1, {}}},
    {"complex_phase_v2", {2, {}}},
    {"complex_phase_v3", {3, {}}},
    {"complex_phase_v4", {4, {}}},
    {"bitnet", {{}, SignMethod::BitNet}},
    {"ternary", {{}, SignMethod::Ternary}},
    {"sign2", {{}, SignMethod::TwoSigns}},
    {"int2", {{}, SignMethod::FourLevels}}};
const std::map<std::string, std::optional<ScaleGranularity>> kScales = {
    {"tensor", ScaleGranularity::Tensor},
    {"row", ScaleGranularity::Row},
    {"tile", ScaleGranularity::Tile}};
const std::map<std::string, QuantizeMode> kModes = {
    {"canonical", QuantizeMode::Canonical},
    {"official-bf16", QuantizeMode::OfficialBF16}};
const std::map<std::string, HeadKind> kHeads = {
    {"keep", HeadKind::Keep},
    {"int8", HeadKind::Int8},
    {"quantize", HeadKind::Quantize}};
const std::map<std::string, CacheKind> kCaches = {{"f32", CacheKind::F32},
                                                  {"f16", CacheKind::F16},
                                                  {"int8", CacheKind::Int8}};
const std::map<std::string, bool> kActivations = {{"int8", false},
                                                  {"float", true}};

/// The targets of this machine that a user's model.so carries by default.
std::vector<const CpuTarget *> defaultTargets() {
  std::vector<const CpuTarget *> targets;
  for (const CpuTarget &target : cpuTargets())
    if (target.machine() == hostMachine() && target.form != LookupForm::Scalar)
      targets.push_back(&target);
  return targets;
}

std::string keysOf(const auto &map) {
  std::string keys;
  for (const auto &entry : map)
    keys += (keys.empty() ? "" : ", ") + entry.first;
  return keys;
}

/// Checks a word against a table and says what would have been right.
template <typename T>
CLI::Option *addChoice(CLI::App &app, const std::string &name, T &value,
                       const std::map<std::string, T> &choices,
                       const std::string &description) {
  return app
      .add_option_function<std::string>(
          name,
          [&value, &choices, name](const std::string &word) {
            const auto found = choices.find(word);
            if (found == choices.end())
              throw CLI::ValidationError(name, "expected one of " +
                                                   keysOf(choices) +
                                                   ", found '" + word + "'");
            value = found->second;
          },
          description + " (" + keysOf(choices) + ")")
      ->type_name("NAME");
}

} // namespace

std::optional<int> parseCommandLine(int argc, char **argv, CommandLine &line) {
  CompileOptions &options = line.options;
  CLI::App app("Compiles a Hugging Face checkpoint to one native library whose "
               "linear layers\nhold complex phases.");
  app.name("fairy2-compile");
  app.footer("Examples:\n"
             "  fairy2-compile SmolLM2-135M -o smol.so\n"
             "  fairy2-compile SmolLM2-135M -o smol.so --stages=4 "
             "--lm-head=int8\n"
             "  fairy2-compile SmolLM2-135M -o smol.mlir --emit=packed");
  app.set_version_flag("--version", "fairy2-compile " FAIRY2_VERSION);
  std::string output;
  std::vector<std::string> targets;
  app.add_option("model", line.model, "The checkpoint's folder")
      ->required()
      ->type_name("MODEL_DIR");
  app.add_option("-o,--output", output,
                 "The file to write; - prints a stage's text")
      ->required()
      ->type_name("FILE");
  Method method;
  auto *methodOption =
      addChoice(app, "--method", method, kMethods,
                "Quantization method; none keeps dense weights");
  app.add_option("--stages", options.stages,
                 "Residual stages: bits per real parameter; default 2")
      ->check(CLI::Range(int64_t(1), kMaxStages))
      ->excludes(methodOption);
  addChoice(app, "--scales", options.scales, kScales,
            "What shares a pair of scales; default tensor");
  addChoice(app, "--mode", options.mode, kModes,
            "Arithmetic of the quantizer; default canonical");
  app.add_option("--keep", options.keep,
                 "Layers that stay dense: a regular expression that matches a "
                 "part of their names, such as 'layers\\.0\\.' or down_proj; "
                 "repeatable")
      ->allow_extra_args(false)
      ->type_name("REGEX");
  app.add_option("--stages-for", options.stagesFor,
                 "Other stages for some layers; repeatable, the last match "
                 "counts")
      ->allow_extra_args(false)
      ->type_name("REGEX=T");
  addChoice(app, "--activations", options.floatActivations, kActivations,
            "Input of layers on phases; default int8");
  addChoice(app, "--lm-head", options.head, kHeads,
            "What becomes of the head; default keep");
  addChoice(app, "--kv-cache", options.cache, kCaches,
            "What keys and values are stored as; default f16");
  addChoice(app, "--emit", options.emit, kStages,
            "Stop at a stage and write it; default so");
  app.add_option(
         "--target", targets,
         "CPU levels, comma-separated; default all of this machine's (" +
             cpuTargetNames() + ")")
      ->delimiter(',')
      ->type_name("NAMES");
  app.add_option("--batch", options.batch, "Most tokens of one step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Threads that pack weights; 0: all usable cores")
      ->check(CLI::Range(0, 1024))
      ->default_val(0);
  app.add_flag("--allow-unknown-fields", line.allowsUnknownFields,
               "Read past fields of config.json that are not known; the "
               "library's manifest lists them");
  app.add_flag("--verbose", line.isVerbose, "List every layer in the summary");
  app.add_flag("--print-opt-command", line.printsOptCommand,
               "Print the fairy2-opt command that takes a model-stage file to "
               "--emit's stage, and stop");
  try {
    app.parse(argc, argv);
    options.signs = method.signs;
    if (method.stages)
      options.stages = method.stages;
    for (const std::string &name : targets) {
      const CpuTarget *target = findCpuTarget(name);
      if (!target)
        throw CLI::ValidationError("--target", "expected some of " +
                                                   cpuTargetNames() +
                                                   ", found '" + name + "'");
      if (!options.targets.empty() &&
          options.targets.front()->machine() != target->machine())
        throw CLI::ValidationError("--target",
                                   "expected levels of one machine");
      options.targets.push_back(target);
    }
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.targets.empty())
    options.targets = defaultTargets();
  options.output = output;
  if (output == "-" && options.emit == Stage::So) {
    std::fprintf(stderr, "fairy2-compile: error: --output: expected a file for "
                         "a library, found standard output\n");
    return 2;
  }
  return std::nullopt;
}

} // namespace fairy2
