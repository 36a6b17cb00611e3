// SPDX-License-Identifier: Apache-2.0
//
// Shrinks a module that makes the compiler fail.
#include "tools/fairy2-reduce/RunInGroup.h"

#include "codegen/RegisterAll.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "llvm/Support/raw_ostream.h"

#include <span>
#include <string_view>

using namespace fairy2;

namespace {

/// mlirReduceMain ends without a word where its output cannot be.
void requireOutput(std::span<char *const> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    std::string_view file;
    if (word == "-o" || word == "--o")
      file = i + 1 < words.size() ? words[i + 1] : "";
    else if (word.starts_with("-o=") || word.starts_with("--o="))
      file = word.substr(word.find('=') + 1);
    if (!file.empty() && file != "-")
      requireCreatable(file);
  }
}

int reduce(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  mlir::MLIRContext context(registry);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}

} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  try {
    const std::span<char *const> words{argv + 1, argv + argc};
    requireDifferentFiles(words);
    requireOutput(words);
    return runInGroup([&] { return reduce(argc, argv); });
  } catch (const Error &error) {
    llvm::errs() << "fairy2-reduce: error: " << error.what() << "\n";
    return 1;
  }
}
