// SPDX-License-Identifier: Apache-2.0
//
// The vocabulary in which decoders are written: each call adds the op and the
// weight symbol behind it, after checking that the checkpoint has that tensor
// in that shape.
#pragma once

#include "frontend/DecoderPlan.h"
#include "frontend/PackedCheckpoint.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <set>

namespace fairy2 {

class StoredPhasesAttr;

class ModelBuilder {
public:
  /// Starts a module with an empty function @forward.
  ModelBuilder(mlir::MLIRContext *context, const Checkpoint &checkpoint,
               const HFConfig &config);

  const HFConfig &config;
  const DecoderPlan plan;

  /// Arguments of @forward: ids of [tokens], and the cache.
  mlir::Value tokens, slots, positions, rows, cache;

  mlir::Value embedding(const DecoderParameter &table);
  /// Cosines and sines for the features of a head that are turned.
  mlir::Value ropeTable(const RopeConfig &rope);
  /// Each part of a row that is as long as the weight is normalized by itself.
  mlir::Value rmsNorm(mlir::Value x, const DecoderParameter &weight);
  /// y = W x (+ bias), without one where it is null.
  mlir::Value linear(mlir::Value x, const DecoderParameter &weight,
                     const DecoderParameter *bias);
  /// The language model's head.
  mlir::Value head(mlir::Value x, const DecoderParameter &weight);
  mlir::Value rope(mlir::Value x, mlir::Value table);
  /// Features [begin, begin + count) of each row.
  mlir::Value slice(mlir::Value x, int64_t begin, int64_t count);
  mlir::Value attention(mlir::Value query, mlir::Value key, mlir::Value value,
                        int64_t layer);
  mlir::Value gated(mlir::Value gate, mlir::Value up);
  mlir::Value add(mlir::Value a, mlir::Value b);
  /// x itself where the factor is 1.
  mlir::Value scale(mlir::Value x, double factor);
  /// x itself where there is no cap.
  mlir::Value softCap(mlir::Value x, std::optional<double> cap);
  /// The rows whose logits are wanted.
  mlir::Value wantedRows(mlir::Value x);

  /// The stored type of a tensor that must be there.
  DType storedType(const std::string &name) const;

  /// Ends @forward; throws Error when the checkpoint has a tensor that the
  /// model did not use.
  mlir::OwningOpRef<mlir::ModuleOp> finish(mlir::Value logits);

private:
  mlir::FlatSymbolRefAttr weight(const DecoderParameter &parameter);
  /// The phases that stand for that weight, if the checkpoint has such.
  const PackedWeight *findPacked(const std::string &name) const;
  /// Checks the shape and counts the tensor as used; `phases` may be null.
  mlir::FlatSymbolRefAttr declare(const std::string &name,
                                  const StoredTensor &place,
                                  llvm::ArrayRef<int64_t> found,
                                  llvm::ArrayRef<int64_t> expected,
                                  mlir::Type element, StoredPhasesAttr phases);
  mlir::RankedTensorType activations(int64_t features);
  mlir::Location locationOf(const std::string &name);

  const Checkpoint &checkpoint;
  std::optional<PackedCheckpoint> packed;
  mlir::OpBuilder builder;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp forward;
  std::set<std::string> declared;
};

} // namespace fairy2
