// SPDX-License-Identifier: Apache-2.0
//
// The last expression that matches a layer decides, and one that chose no layer
// is an error.
#include "passes/LayerPatterns.h"

using namespace mlir;

namespace fairy2 {

LogicalResult LayerPatterns::add(StringRef text, Operation *at) {
  Pattern pattern{text.str(), llvm::Regex(text)};
  std::string problem;
  if (text.empty() || !pattern.regex.isValid(problem))
    return at->emitError() << option
                           << ": expected a regular expression, found '" << text
                           << "'" << (problem.empty() ? "" : ": ") << problem;
  patterns.push_back(std::move(pattern));
  return success();
}

std::optional<size_t> LayerPatterns::find(StringRef layer) {
  std::optional<size_t> found;
  for (auto [i, pattern] : llvm::enumerate(patterns))
    if (pattern.regex.match(layer)) {
      pattern.isUsed = true;
      found = i;
    }
  return found;
}

LogicalResult LayerPatterns::verifyUsed(Operation *at) const {
  for (const Pattern &pattern : patterns)
    if (!pattern.isUsed)
      return at->emitError() << option << ": '" << pattern.text
                             << "' matches no layer that is quantized";
  return success();
}

} // namespace fairy2
