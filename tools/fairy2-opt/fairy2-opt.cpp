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
#include <string_view>

using namespace fairy2;

namespace {

/// Whether an output of that name is a file and not a stream, device or pipe.
bool becomesFile(const std::string &name) {
  std::error_code error;
  return name != "-" && !std::filesystem::is_character_file(name, error) &&
         !std::filesystem::is_fifo(name, error);
}

/// A file appears whole; a device or pipe is written to.
void write(const std::string &name, const std::string &text) {
  std::error_code error;
  if (name == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return flushStandardOutput();
  }
  if (becomesFile(name))
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

/// Of a file; or of a stream, within the limits that every reader of them has.
std::unique_ptr<llvm::MemoryBuffer> openInput(const std::string &name) {
  constexpr std::string_view kBytecode = "ML\xefR";
  if (name == "-")
    return llvm::MemoryBuffer::getMemBufferCopy(readStandardInput(kBytecode),
                                                "<stdin>");
  std::error_code absent; // who opens it says so
  const auto type = std::filesystem::status(name, absent).type();
  if (type == std::filesystem::file_type::character ||
      type == std::filesystem::file_type::fifo)
    return llvm::MemoryBuffer::getMemBufferCopy(readStream(name, kBytecode),
                                                name);
  std::string error;
  auto input = mlir::openInputFile(name, &error);
  if (!input)
    throw Error(error);
  return input;
}

/// MlirOptMain on a file that is first checked for nesting that would overflow
/// the parser's stack. Whether it succeeded; it has said why not.
bool optimize(const std::string &inputName, const std::string &outputName,
              mlir::DialectRegistry &registry) {
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  if (becomesFile(outputName))
    requireCreatable(outputName);
  std::unique_ptr<llvm::MemoryBuffer> input = openInput(inputName);
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
