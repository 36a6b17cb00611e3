// SPDX-License-Identifier: Apache-2.0
//
// Runs the pipelines one stage after the other, then makes code for every CPU,
// links it, and writes the artefact; or stops where --emit says.
#include "codegen/Compile.h"

#include "codegen/EmitCode.h"
#include "codegen/LinkSharedLibrary.h"
#include "codegen/Manifest.h"
#include "codegen/ResolveScheme.h"
#include "passes/Passes.h"
#include "passes/StaysDense.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/StandardStreams.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// "MODEL/config.json: lm_head: " of what the frontend made, "" of what it did
/// not.
std::string placeOf(Location location) {
  const auto named = dyn_cast<NameLoc>(location);
  if (!named)
    return "";
  const auto file = dyn_cast<FileLineColLoc>(named.getChildLoc());
  return (file ? file.getFilename().str() + ": " : "") + named.getName().str() +
         ": ";
}

/// Runs passes; what they say when they fail becomes the Error.
void run(ModuleOp module,
         llvm::function_ref<void(OpPassManager &)> buildPipeline) {
  std::string errors;
  ScopedDiagnosticHandler handler(
      module.getContext(), [&](Diagnostic &diagnostic) -> LogicalResult {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
          return failure(); // Someone else's.
        errors += (errors.empty() ? "" : "; ") +
                  placeOf(diagnostic.getLocation()) + diagnostic.str();
        return success();
      });
  PassManager pm(module.getContext());
  buildPipeline(pm);
  if (failed(pm.run(module)))
    throw Error(errors.empty() ? "compilation failed in the passes" : errors);
}

/// Collects why layers stay dense from what the passes remark.
class ReasonCollector final : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit ReasonCollector(std::shared_ptr<DenseReasons> reasons)
      : reasons(std::move(reasons)) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string layer, reason;
    for (const remark::detail::Remark::Arg &argument : remark.getArgs()) {
      if (argument.key == kDenseLayer)
        layer = argument.val;
      if (argument.key == kDenseReason)
        reason = argument.val;
    }
    if (!layer.empty())
      (*reasons)[layer] = reason;
  }

private:
  std::shared_ptr<DenseReasons> reasons;
};

/// The pipeline of quantization; tells which layers it left alone.
DenseReasons quantize(ModuleOp module, const QuantizeOptions &options) {
  const auto reasons = std::make_shared<DenseReasons>();
  MLIRContext *context = module.getContext();
  remark::RemarkCategories categories;
  categories.missed = "fairy2-.*";
  if (failed(remark::enableOptimizationRemarks(
          *context, std::make_unique<ReasonCollector>(reasons),
          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories)))
    throw Error("remarks of the passes cannot be collected");
  run(module, [&](OpPassManager &pm) { buildQuantizePipeline(pm, options); });
  context->setRemarkEngine(nullptr);
  return *reasons;
}

/// "-" is standard output.
void writeText(const std::filesystem::path &path, llvm::StringRef text) {
  if (path == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return flushStandardOutput();
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

std::string methodName(const QuantizeOptions &options) {
  if (options.signs.hasValue())
    return nameOf(options.signs);
  return options.stages == 0
             ? "none"
             : "complex_phase_v" + std::to_string(options.stages);
}

std::string optCommand(EmitKind kind, const CompileOptions &options) {
  CpuOptions cpu;
  cpu.cpu = options.loops.cpu;
  std::string passes;
  auto add = [&](const std::string &pass) {
    passes += (passes.empty() ? "" : ",") + pass;
  };
  if (kind >= EmitKind::Quantized)
    add("fairy2-to-quantized" + options.quantize.text());
  if (kind >= EmitKind::Packed)
    add("fairy2-to-packed");
  if (kind >= EmitKind::Loops)
    add("fairy2-to-loops" + options.loops.text());
  if (kind >= EmitKind::Llvm)
    add("fairy2-to-llvm" + cpu.text());
  return "fairy2-opt model.mlir --pass-pipeline='builtin.module(" + passes +
         ")'";
}

CompileSummary compile(ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets, CompileOptions &options) {
  resolveScheme(module, assets.trained, options.isMethodNamed,
                options.quantize);
  CompileSummary summary;
  summary.isAsTrained =
      assets.trained && isAsTrained(*assets.trained, options.quantize);
  auto emitText = [&](const std::string &text) {
    writeText(options.output, text);
    summary.fileBytes = int64_t(text.size());
    return summary;
  };
  if (options.emit == EmitKind::Model)
    return emitText(textOf(module));
  const DenseReasons reasons = quantize(module, options.quantize);
  if (options.emit == EmitKind::Quantized)
    return emitText(textOf(module));
  run(module, [](OpPassManager &pm) { buildPackPipeline(pm); });
  if (options.emit == EmitKind::Packed)
    return emitText(textOf(module));

  std::vector<std::string> objects;
  ManifestBuilder manifest(module, assets, options);
  for (const CpuTarget *target : options.targets) {
    OwningOpRef<ModuleOp> clone(module.clone());
    CpuOptions cpu;
    cpu.cpu = target->name.str();
    options.loops.cpu = target->name.str();
    run(*clone,
        [&](OpPassManager &pm) { buildLoopsPipeline(pm, options.loops); });
    manifest.addVariant(*clone, *target, entrySymbol(*target));
    if (options.emit == EmitKind::Loops)
      return emitText(textOf(*clone));
    run(*clone, [&](OpPassManager &pm) { buildLlvmPipeline(pm, cpu); });
    nameEntry(*clone, *target);
    if (options.emit == EmitKind::Llvm)
      return emitText(textOf(*clone));
    objects.push_back(emitCode(*clone, *target,
                               options.emit == EmitKind::Assembly
                                   ? CodeKind::Assembly
                                   : CodeKind::Object));
    if (options.emit == EmitKind::Assembly || options.emit == EmitKind::Object)
      return emitText(objects.back());
  }

  ArtifactWriter writer(options.output, linkSharedLibrary(objects));
  const WeightFactsMap facts = writeWeightSection(
      module, weights, options.threads, writer, options.progress);
  manifest.setGrids(facts);
  if (!assets.tokenizer.empty()) {
    const auto *text =
        reinterpret_cast<const uint8_t *>(assets.tokenizer.data());
    const int64_t offset = writer.append({text, assets.tokenizer.size()});
    manifest.setTokenizer(offset, int64_t(assets.tokenizer.size()));
  }
  summary.fileBytes = writer.finish(manifest.json());
  summary.layers = manifest.layers();
  summary.quantized = quantizedLayers(module, facts, reasons);
  return summary;
}

} // namespace fairy2
