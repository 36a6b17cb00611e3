// SPDX-License-Identifier: Apache-2.0
//
// The compiler's insides: every dialect, pass and pipeline on a command line.
#include "codegen/CheckNesting.h"
#include "codegen/RegisterAll.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <filesystem>

using namespace fairy2;

namespace {

/// A file appears whole; a device or pipe is written to.
void write(const std::string &name, const std::string &text) {
  std::error_code error;
  if (name == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return flushStandardOutput();
  }
  if (!std::filesystem::is_character_file(name, error) &&
      !std::filesystem::is_fifo(name, error))
    return writeTextFile(name, text);
  llvm::raw_fd_ostream stream(name, error);
  if (!error) {
    stream << text;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    throw Error(name + ": cannot write: " + error.message());
}

/// MlirOptMain on a file that is first checked for nesting that would overflow
/// the parser's stack. Whether it succeeded; it has said why not.
bool optimize(const std::string &inputName, const std::string &outputName,
              mlir::DialectRegistry &registry) {
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  std::string error;
  auto input = mlir::openInputFile(inputName, &error);
  if (!input)
    throw Error(error);
  const llvm::MemoryBufferRef buffer = input->getMemBufferRef();
  if (!mlir::isBytecode(buffer))
    if (auto line = lineNestedTooDeep(buffer.getBuffer()))
      throw Error(buffer.getBufferIdentifier().str() + ":" +
                  std::to_string(*line) + ": expected at most " +
                  std::to_string(kMaxNesting) + " nested brackets");
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (failed(mlir::MlirOptMain(stream, std::move(input), registry, config)))
    return false;
  write(outputName, text);
  return true;
}

bool run(int argc, char **argv) {
  requireDifferentFiles({argv + 1, argv + argc});
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  const auto [input, output] = mlir::registerAndParseCLIOptions(
      argc, argv, "Fairy2 optimizer driver\n", registry);
  const auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  if (config.shouldShowDialects() || config.shouldListPasses())
    return succeeded(mlir::MlirOptMain(argc, argv, input, output, registry));
  return optimize(input, output, registry);
}

} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  llvm::InitLLVM init(argc, argv);
  cleanUpOnSignals();
  try {
    return run(argc, argv) ? 0 : 1;
  } catch (const std::exception &error) {
    llvm::errs() << "fairy2-opt: error: " << error.what() << "\n";
    return 1;
  }
}
