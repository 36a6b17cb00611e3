// SPDX-License-Identifier: Apache-2.0
//
// Runs the pipelines one stage after the other, then makes code for every CPU,
// links it, and writes the artefact; or stops where --emit says.
#include "codegen/Compile.h"

#include "codegen/EmitCode.h"
#include "codegen/LinkSharedLibrary.h"
#include "codegen/Manifest.h"
#include "passes/Passes.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// Runs passes; what they say when they fail becomes the Error.
void run(ModuleOp module,
         llvm::function_ref<void(OpPassManager &)> buildPipeline) {
  std::string errors;
  ScopedDiagnosticHandler handler(
      module.getContext(), [&](Diagnostic &diagnostic) -> LogicalResult {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
          return failure(); // Someone else's.
        errors += (errors.empty() ? "" : "; ") + diagnostic.str();
        return success();
      });
  PassManager pm(module.getContext());
  buildPipeline(pm);
  if (failed(pm.run(module)))
    throw Error(errors.empty() ? "compilation failed in the passes" : errors);
}

void quantize(ModuleOp module, const CompileOptions &options) {
  QuantizeOptions quantize;
  if (options.signs)
    quantize.signs = nameOf(*options.signs);
  quantize.stages = *options.stages;
  quantize.scales = nameOf(*options.scales);
  quantize.mode = nameOf(options.mode);
  quantize.keep = options.keep;
  quantize.stagesFor = options.stagesFor;
  quantize.floatActivations = options.floatActivations;
  quantize.head = options.head;
  quantize.cache = options.cache;
  run(module, [&](OpPassManager &pm) { buildQuantizePipeline(pm, quantize); });
}

void cpuOptions(CpuOptions &cpu, const CpuTarget &target,
                const CompileOptions &options) {
  cpu.cpu = target.name.str();
  cpu.batch = options.batch;
}

void lowerToLoops(ModuleOp module, const CpuTarget &target,
                  const CompileOptions &options) {
  CpuOptions cpu;
  cpuOptions(cpu, target, options);
  run(module, [&](OpPassManager &pm) { buildLoopsPipeline(pm, cpu); });
}

void lowerToLlvm(ModuleOp module, const CpuTarget &target,
                 const CompileOptions &options) {
  CpuOptions cpu;
  cpuOptions(cpu, target, options);
  run(module, [&](OpPassManager &pm) { buildLlvmPipeline(pm, cpu); });
}

/// "-" is standard output.
void writeText(const std::filesystem::path &path, llvm::StringRef text) {
  if (path == "-") {
    llvm::outs() << text;
    llvm::outs().flush();
    return;
  }
  writeTextFile(path, text);
}

std::string textOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text + "\n";
}

/// The exported function of a target.
std::string entrySymbol(const CpuTarget &target) {
  return "fairy2_forward_" + target.symbolSuffix();
}

void nameEntry(ModuleOp llvmModule, const CpuTarget &target) {
  auto entry = llvmModule.lookupSymbol<LLVM::LLVMFuncOp>("forward");
  if (!entry)
    throw Error("the module has no function @forward");
  entry.setSymName(entrySymbol(target));
}

} // namespace

std::string methodName(const CompileOptions &options) {
  if (options.signs)
    return nameOf(*options.signs);
  return options.stages == 0
             ? "none"
             : "complex_phase_v" + std::to_string(*options.stages);
}

/// What phases alone have is not asked for beside a method of signs.
static void requireSignOptions(const CompileOptions &options, WeightOp stored) {
  const std::string method = nameOf(*options.signs);
  auto refuse = [&](const char *option) {
    throw Error(std::string(option) +
                ": expected a method of complex phases beside it, found " +
                method);
  };
  if (options.mode != QuantizeMode::Canonical)
    refuse("--mode");
  if (!options.stagesFor.empty())
    refuse("--stages-for");
  if (options.scales == ScaleGranularity::Tile)
    throw Error("--scales: expected tensor or row with method " + method +
                ", found tile");
  if (stored)
    throw Error(stored.getFile()->str() + ": tensor '" +
                stored.getSymName().str() +
                "' is stored as phases; expected no other method to be asked "
                "for");
}

/// Gives stages and scales their values: what the options ask for, or what the
/// weights of the module are stored with, or the defaults. Throws Error when
/// options and stored weights, or options of phases and a method of signs,
/// disagree.
static void resolveScheme(ModuleOp module, CompileOptions &options) {
  WeightOp stored;
  for (auto weight : module.getOps<WeightOp>())
    if (!stored && weight.getPhases())
      stored = weight;
  if (options.signs)
    requireSignOptions(options, stored);
  if (!stored || options.stages == 0) {
    options.stages = options.stages.value_or(2);
    options.scales = options.scales.value_or(ScaleGranularity::Tensor);
    return;
  }
  const int64_t stages = stored.getPhases()->getStages();
  const ScaleGranularity scales = stored.getPhases()->getScales();
  if (options.stages.value_or(stages) != stages ||
      options.scales.value_or(scales) != scales)
    throw Error(stored.getFile()->str() + ": tensor '" +
                stored.getSymName().str() + "' is stored as phases of " +
                std::to_string(stages) + " stages with scales per " +
                nameOf(scales) +
                "; expected no other stages or scales to be asked for");
  options.stages = stages;
  options.scales = scales;
}

/// " name={a,b}", or nothing for an empty list. Elements in braces may hold any
/// character but unbalanced braces and quotes.
static std::string listOption(const std::string &name,
                              const std::vector<std::string> &values) {
  std::string text;
  for (const std::string &value : values)
    text += (text.empty() ? "" : ",") + ("{" + value + "}");
  return text.empty() ? "" : " " + name + "={" + text + "}";
}

std::string optCommand(Stage stage, const CompileOptions &options) {
  const CpuTarget &target = *options.targets.front();
  std::string passes;
  auto add = [&](const std::string &pass) {
    passes += (passes.empty() ? "" : ",") + pass;
  };
  if (stage >= Stage::Quantized)
    add("fairy2-to-quantized{" +
        (options.signs ? std::string("signs=") + nameOf(*options.signs) + " "
                       : std::string()) +
        "stages=" + std::to_string(options.stages.value_or(2)) +
        " scales=" + nameOf(options.scales.value_or(ScaleGranularity::Tensor)) +
        " mode=" + nameOf(options.mode) + listOption("keep", options.keep) +
        listOption("stages-for", options.stagesFor) +
        " float-activations=" + (options.floatActivations ? "true" : "false") +
        " lm-head=" + nameOf(options.head) +
        " kv-cache=" + nameOf(options.cache) + "}");
  if (stage >= Stage::Packed)
    add("fairy2-to-packed");
  const std::string cpu = "{cpu=" + target.name.str() +
                          " batch=" + std::to_string(options.batch) + "}";
  if (stage >= Stage::Loops)
    add("fairy2-to-loops" + cpu);
  if (stage >= Stage::Llvm)
    add("fairy2-to-llvm" + cpu);
  return "fairy2-opt model.mlir --pass-pipeline='builtin.module(" + passes +
         ")'";
}

CompileSummary compile(ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets, const CompileOptions &asked) {
  CompileOptions options = asked;
  resolveScheme(module, options);
  CompileSummary summary;
  auto emitText = [&](const std::string &text) {
    writeText(options.output, text);
    summary.fileBytes = int64_t(text.size());
    return summary;
  };
  if (options.emit == Stage::Model)
    return emitText(textOf(module));
  quantize(module, options);
  if (options.emit == Stage::Quantized)
    return emitText(textOf(module));
  run(module, [](OpPassManager &pm) { buildPackPipeline(pm); });
  if (options.emit == Stage::Packed)
    return emitText(textOf(module));

  std::vector<std::string> objects;
  ManifestBuilder manifest(module, assets, options);
  for (const CpuTarget *target : options.targets) {
    OwningOpRef<ModuleOp> clone(module.clone());
    lowerToLoops(*clone, *target, options);
    manifest.addVariant(*clone, *target, entrySymbol(*target));
    if (options.emit == Stage::Loops)
      return emitText(textOf(*clone));
    lowerToLlvm(*clone, *target, options);
    nameEntry(*clone, *target);
    if (options.emit == Stage::Llvm)
      return emitText(textOf(*clone));
    objects.push_back(emitCode(*clone, *target,
                               options.emit == Stage::Assembly
                                   ? CodeKind::Assembly
                                   : CodeKind::Object));
    if (options.emit == Stage::Assembly || options.emit == Stage::Object)
      return emitText(objects.back());
  }

  ArtifactWriter writer(options.output, linkSharedLibrary(objects));
  const WeightErrors errors = writeWeightSection(
      module, weights, options.threads, writer, options.progress);
  if (!assets.tokenizer.empty()) {
    const auto *text =
        reinterpret_cast<const uint8_t *>(assets.tokenizer.data());
    const int64_t offset = writer.append({text, assets.tokenizer.size()});
    manifest.setTokenizer(offset, int64_t(assets.tokenizer.size()));
  }
  summary.fileBytes = writer.finish(manifest.json());
  summary.layers = manifest.layers();
  summary.linears = quantizedLayers(module, errors);
  return summary;
}

} // namespace fairy2
