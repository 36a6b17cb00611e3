// SPDX-License-Identifier: Apache-2.0
#include "tools/fairy2-compile/Options.h"

#include "dialect/Fairy2Dialect.h"

#include <CLI/CLI.hpp>

#include <sys/resource.h>

namespace fairy2 {
namespace {

const std::map<std::string, Stage> kStages = {
    {"model", Stage::Model},       {"quantized", Stage::Quantized},
    {"packed", Stage::Packed},     {"loops", Stage::Loops},
    {"llvm", Stage::Llvm},         {"asm", Stage::Assembly},
    {"obj", Stage::Object},        {"so", Stage::So}};
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
#if defined(__aarch64__)
  const char *machine = "aarch64";
#else
  const char *machine = "x86-64";
#endif
  std::vector<const CpuTarget *> targets;
  for (const CpuTarget &target : cpuTargets())
    if (target.machine() == machine && target.form != LookupForm::Scalar)
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
  app.add_option("--target", targets,
                 "CPU levels, comma-separated; default all of this machine's (" +
                     cpuTargetNames() + ")")
      ->delimiter(',')
      ->type_name("NAMES");
  app.add_option("--batch", options.batch, "Most tokens of one step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--prefetch-l1", options.prefetchL1,
                 "Bytes of weights fetched into L1 ahead of use; -1: the CPU "
                 "level's own")
      ->check(CLI::Range(-1, 1 << 20))
      ->capture_default_str();
  app.add_option("--prefetch-l2", options.prefetchL2, "The same for L2")
      ->check(CLI::Range(-1, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Threads that pack weights; 0: all usable cores")
      ->check(CLI::Range(0, 1024))
      ->default_val(0);
  app.add_flag("--verbose", line.isVerbose,
               "List every layer in the summary");
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

/// "model.layers.*.mlp.up_proj" for that of every number.
static std::string kindOf(const std::string &layer) {
  std::string kind;
  for (size_t i = 0; i < layer.size(); ++i) {
    if (!std::isdigit((unsigned char)layer[i]))
      kind += layer[i];
    else if (i == 0 || !std::isdigit((unsigned char)layer[i - 1]))
      kind += '*';
  }
  return kind;
}

/// One line for the layers of one kind and form: their mean error, the worst
/// and whose it is.
static void printLayers(const std::vector<QuantizedLayer> &layers,
                        bool isVerbose) {
  struct Group {
    int64_t count = 0;
    double sum = 0;
    const QuantizedLayer *worst = nullptr;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;
  std::vector<std::pair<std::string, std::string>> order;
  for (const QuantizedLayer &layer : layers) {
    const std::pair key{isVerbose ? layer.name : kindOf(layer.name),
                        layer.form};
    if (!groups.count(key))
      order.push_back(key);
    Group &group = groups[key];
    ++group.count;
    if (!layer.relativeError)
      continue;
    group.sum += *layer.relativeError;
    if (!group.worst || *layer.relativeError > *group.worst->relativeError)
      group.worst = &layer;
  }
  if (!order.empty())
    std::printf("%-36s %-16s %6s %14s\n", "linear layers", "form", "number",
                "|A-Aq|/|A|");
  for (const auto &key : order) {
    const Group &group = groups[key];
    std::printf("%-36s %-16s %6lld", key.first.c_str(), key.second.c_str(),
                (long long)group.count);
    if (group.worst && group.count > 1)
      std::printf(" %14.4f, worst %.4f in %s", group.sum / double(group.count),
                  *group.worst->relativeError, group.worst->name.c_str());
    else if (group.worst)
      std::printf(" %14.4f", group.sum);
    std::printf("\n");
  }
}

void printSummary(const CommandLine &line, const CompileSummary &summary,
                  double seconds) {
  if (line.options.output == "-")
    return;
  struct Group {
    int64_t packs = 0, parameters = 0, bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (const LayerSummary &layer : summary.layers) {
    Group &group = groups[{layer.op, layer.kernel}];
    ++group.packs;
    group.parameters += layer.parameters;
    group.bytes += layer.bytes;
  }
  if (!groups.empty())
    std::printf("%-16s %-20s %6s %14s %14s %9s\n", "weights of", "kernel",
                "packs", "parameters", "bytes", "bits/par.");
  for (const auto &[key, group] : groups)
    std::printf("%-16s %-20s %6lld %14lld %14lld %9.3f\n", key.first.c_str(),
                key.second.empty() ? "-" : key.second.c_str(),
                (long long)group.packs, (long long)group.parameters,
                (long long)group.bytes,
                8.0 * double(group.bytes) / double(group.parameters));
  printLayers(summary.linears, line.isVerbose);
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%s: %lld bytes, %.1f s, peak memory %ld MiB\n",
              line.options.output.c_str(), (long long)summary.fileBytes,
              seconds, usage.ru_maxrss / 1024);
}

} // namespace fairy2
