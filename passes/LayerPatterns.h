// SPDX-License-Identifier: Apache-2.0
//
// Choosing layers by regular expressions on their names. A layer's name is that
// of its weight without ".weight"; an expression (POSIX extended) may match any
// part of it.
#pragma once

#include "mlir/IR/Operation.h"

#include "llvm/Support/Regex.h"

namespace fairy2 {

/// "model.layers.0.mlp.up_proj" for @model.layers.0.mlp.up_proj.weight.
inline llvm::StringRef layerName(llvm::StringRef weight) {
  weight.consume_back(".weight");
  return weight;
}

class LayerPatterns {
public:
  /// `option` names them in errors.
  explicit LayerPatterns(llvm::StringRef option) : option(option.str()) {}

  /// Emits an error at `at` when the text is no expression.
  llvm::LogicalResult add(llvm::StringRef text, mlir::Operation *at);
  /// The number of the last expression that matches the layer, if any.
  std::optional<size_t> find(llvm::StringRef layer);
  /// Emits an error that names an expression that has matched no layer.
  llvm::LogicalResult verifyUsed(mlir::Operation *at) const;

private:
  struct Pattern {
    std::string text;
    llvm::Regex regex;
    bool isUsed = false;
  };
  std::string option;
  std::vector<Pattern> patterns;
};

} // namespace fairy2
