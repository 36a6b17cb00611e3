// SPDX-License-Identifier: Apache-2.0
#include "codegen/Compile.h"

#include "codegen/EmitCode.h"
#include "codegen/LinkSharedLibrary.h"
#include "codegen/Manifest.h"
#include "dialect/Error.h"
#include "passes/Passes.h"
#include "runtime/File.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace fairy2 {
namespace {

void run(ModuleOp module,
         llvm::function_ref<void(OpPassManager &)> buildPipeline) {
  PassManager pm(module.getContext());
  buildPipeline(pm);
  if (failed(pm.run(module)))
    throw Error("compilation failed in the passes above");
}

void quantize(ModuleOp module, const CompileOptions &options) {
  QuantizeOptions quantize;
  quantize.stages = options.stages;
  quantize.floatActivations = options.floatActivations;
  quantize.head = options.head;
  quantize.cache = options.cache;
  run(module, [&](OpPassManager &pm) { buildQuantizePipeline(pm, quantize); });
}

void cpuOptions(CpuOptions &cpu, const CpuTarget &target,
                const CompileOptions &options) {
  cpu.cpu = target.name.str();
  cpu.batch = options.batch;
  cpu.prefetchL1 = options.prefetchL1;
  cpu.prefetchL2 = options.prefetchL2;
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
  OutputFile file(path);
  file.append({reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  file.commit();
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

std::string optCommand(Stage stage, const CompileOptions &options) {
  const CpuTarget &target = *options.targets.front();
  std::string passes;
  auto add = [&](const std::string &pass) {
    passes += (passes.empty() ? "" : ",") + pass;
  };
  if (stage >= Stage::Quantized)
    add("fairy2-to-quantized{stages=" + std::to_string(options.stages) +
        " float-activations=" + (options.floatActivations ? "true" : "false") +
        " lm-head=" + nameOf(options.head) +
        " kv-cache=" + nameOf(options.cache) + "}");
  if (stage >= Stage::Packed)
    add("fairy2-to-packed");
  std::string cpu = "{cpu=" + target.name.str() +
                    " batch=" + std::to_string(options.batch);
  if (options.prefetchL1 >= 0)
    cpu += " prefetch-l1=" + std::to_string(options.prefetchL1);
  if (options.prefetchL2 >= 0)
    cpu += " prefetch-l2=" + std::to_string(options.prefetchL2);
  cpu += "}";
  if (stage >= Stage::Loops)
    add("fairy2-to-loops" + cpu);
  if (stage >= Stage::Llvm)
    add("fairy2-to-llvm" + cpu);
  return "fairy2-opt model.mlir --pass-pipeline='builtin.module(" + passes +
         ")'";
}

CompileSummary compile(ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets,
                       const CompileOptions &options) {
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
  writeWeightSection(module, weights, options.threads, writer,
                     options.progress);
  if (!assets.tokenizer.empty()) {
    const auto *text =
        reinterpret_cast<const uint8_t *>(assets.tokenizer.data());
    const int64_t offset = writer.append({text, assets.tokenizer.size()});
    manifest.setTokenizer(offset, int64_t(assets.tokenizer.size()));
  }
  summary.fileBytes = writer.finish(manifest.json());
  summary.layers = manifest.layers();
  return summary;
}

} // namespace fairy2
