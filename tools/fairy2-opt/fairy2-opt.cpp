// SPDX-License-Identifier: Apache-2.0
//
// The compiler's insides: every dialect, pass and pipeline on a command line.
#include "codegen/CheckNesting.h"
#include "codegen/RegisterAll.h"
#include "runtime/support/StandardStreams.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

/// MlirOptMain on a file that is first checked for nesting that would overflow
/// the parser's stack.
static mlir::LogicalResult optimize(const std::string &inputName,
                                    const std::string &outputName,
                                    mlir::DialectRegistry &registry) {
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  std::string error;
  auto input = mlir::openInputFile(inputName, &error);
  if (!input) {
    llvm::errs() << error << "\n";
    return mlir::failure();
  }
  const llvm::MemoryBufferRef buffer = input->getMemBufferRef();
  if (!mlir::isBytecode(buffer))
    if (auto line = fairy2::lineNestedTooDeep(buffer.getBuffer())) {
      llvm::errs() << buffer.getBufferIdentifier() << ":" << *line
                   << ": error: expected at most " << fairy2::kMaxNesting
                   << " nested brackets\n";
      return mlir::failure();
    }
  auto output = mlir::openOutputFile(outputName, &error);
  if (!output) {
    llvm::errs() << error << "\n";
    return mlir::failure();
  }
  if (failed(
          mlir::MlirOptMain(output->os(), std::move(input), registry, config)))
    return mlir::failure();
  output->keep();
  return mlir::success();
}

int main(int argc, char **argv) {
  fairy2::openStandardStreams();
  llvm::InitLLVM init(argc, argv);
  mlir::DialectRegistry registry;
  fairy2::registerAllDialects(registry);
  fairy2::registerAllPasses();
  const auto [input, output] = mlir::registerAndParseCLIOptions(
      argc, argv, "Fairy2 optimizer driver\n", registry);
  const auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  if (config.shouldShowDialects() || config.shouldListPasses())
    return mlir::asMainReturnCode(
        mlir::MlirOptMain(argc, argv, input, output, registry));
  return mlir::asMainReturnCode(optimize(input, output, registry));
}
