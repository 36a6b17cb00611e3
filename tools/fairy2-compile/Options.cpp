// SPDX-License-Identifier: Apache-2.0
//
// Declares the flags and turns them into the compiler's options.
#include "tools/fairy2-compile/Options.h"

#include "runtime/Artifact.h"
#include "runtime/CpuFeatures.h"
#include "runtime/support/Error.h"
#include "tools/ModelFolderFlags.h"
#include "tools/ParsingEnd.h"
#include "tools/Validators.h"

#include "llvm/ADT/StringExtras.h"
#include <CLI/CLI.hpp>

namespace fairy2 {
namespace {

const std::map<std::string, EmitKind> kEmitKinds = {
    {"model", EmitKind::Model},   {"quantized", EmitKind::Quantized},
    {"packed", EmitKind::Packed}, {"loops", EmitKind::Loops},
    {"llvm", EmitKind::Llvm},     {"asm", EmitKind::Assembly},
    {"obj", EmitKind::Object},    {"so", EmitKind::So}};
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
/// The targets of this machine that a user's model.so carries by default.
std::vector<const CpuTarget *> defaultTargets() {
  std::vector<const CpuTarget *> targets;
  for (const CpuTarget &target : cpuTargets())
    if (target.machine() == hostMachine() && target.form != LookupForm::Scalar)
      targets.push_back(&target);
  return targets;
}

/// "yes", or why this machine cannot run the level's code.
std::string runsHere(const CpuTarget &target) {
  if (target.machine() != hostMachine())
    return "no: another machine";
  for (llvm::StringRef feature : llvm::split(target.required, ','))
    if (!cpuHasFeature(feature))
      return "no: needs " + feature.str();
  return "yes";
}

/// The rows of passes/cpu/CpuTarget.cpp, for people and for test/lit.cfg.py.
void printTargets() {
  std::printf("%-16s %-8s %-7s %s\n", "level", "machine", "look-up",
              "runs here");
  for (const CpuTarget &target : cpuTargets())
    std::printf("%-16s %-8s %-7s %s\n", target.name.str().c_str(),
                target.machine().str().c_str(), nameOf(target.form),
                runsHere(target).c_str());
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

/// The options of a pipeline, which know their values and checks.
void addFlags(CLI::App &app, const std::vector<Flag> &flags) {
  for (const Flag &flag : flags) {
    const std::string name = "--" + flag.name;
    auto set = [name, &flag](const std::string &word) {
      try {
        flag.set(word);
      } catch (const Error &error) {
        throw CLI::ValidationError(name, error.what());
      }
    };
    CLI::Option *option =
        flag.isList
            ? app.add_option_function<std::vector<std::string>>(
                     name,
                     [set](const std::vector<std::string> &words) {
                       for (const std::string &word : words)
                         set(word);
                     },
                     flag.help)
                  ->allow_extra_args(false)
            : app.add_option_function<std::string>(name, set, flag.help);
    option->type_name(flag.valueName);
  }
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
  addFlags(app, options.quantize.flags());
  app.get_option("--stages")->excludes(methodOption);
  addChoice(app, "--emit", options.emit, kEmitKinds,
            "Stop at a stage and write it; default so");
  addList(app, "--target", targets, "NAME,NAME,..",
          "CPU levels; default all of this machine's (" + cpuTargetNames() +
              ")",
          CLI::Validator(
              [](const std::string &name) {
                return findCpuTarget(name)
                           ? ""
                           : "expected some of " + cpuTargetNames() +
                                 ", found '" + name + "'";
              },
              ""));
  addFlags(app, options.loops.flags());
  app.add_option("--threads", options.threads,
                 "Threads that pack weights; 0: all usable cores")
      ->check(wholeNumber<int32_t>(0, 1024))
      ->default_val(0);
  addModelFolderFlags(app, line.rules);
  app.add_flag("--verbose", line.isVerbose, "List every layer in the summary");
  app.add_flag_callback(
         "--print-targets",
         [] {
           printTargets();
           throw CLI::Success();
         },
         "Print the CPU levels and whether this machine runs them, and stop")
      ->trigger_on_parse();
  app.add_flag("--print-opt-command", line.printsOptCommand,
               "Print the fairy2-opt command that takes a model-stage file to "
               "--emit's stage, and stop");
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
    if (method.signs)
      options.quantize.signs = *method.signs;
    if (method.stages)
      options.quantize.stages = *method.stages;
    options.isMethodNamed = method.stages && *method.stages > 0;
    requireDifferent("--target", targets);
    for (const std::string &name : targets) {
      const CpuTarget *target = findCpuTarget(name);
      if (!options.targets.empty() &&
          options.targets.front()->machine() != target->machine())
        throw CLI::ValidationError("--target",
                                   "expected levels of one machine");
      options.targets.push_back(target);
    }
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-compile");
  }
  if (options.targets.empty())
    options.targets = defaultTargets();
  options.loops.cpu = options.targets.front()->name.str();
  options.output = output;
  if (output == "-" && options.emit == EmitKind::So) {
    std::fprintf(stderr, "fairy2-compile: error: --output: expected a file for "
                         "a library, found standard output\n");
    return 2;
  }
  return std::nullopt;
}

} // namespace fairy2
