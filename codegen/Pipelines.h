// SPDX-License-Identifier: Apache-2.0
//
// The stages as functions: each adds the passes that take a module from one
// stage to the next. They are registered for fairy2-opt under the names below.
#pragma once

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

#include <string>

namespace fairy2 {

enum class HeadKind { Keep, Int8, Quantize };
enum class CacheKind { F32, F16, Int8 };

/// As on command lines and in the manifest.
const char *nameOf(HeadKind head);
const char *nameOf(CacheKind cache);

/// What the user may choose about quantization.
struct QuantizeOptions : mlir::PassPipelineOptions<QuantizeOptions> {
  Option<std::string> signs{
      *this, "signs",
      llvm::cl::desc(
          "method of real signs in place of phases: bitnet, ternary, "
          "sign2 or int2"),
      llvm::cl::init("")};
  Option<int64_t> stages{*this, "stages",
                         llvm::cl::desc("residual stages; 0 keeps all layers "
                                        "in the checkpoint's precision"),
                         llvm::cl::init(2)};
  Option<std::string> scales{
      *this, "scales",
      llvm::cl::desc("what shares a pair of scales: tensor, row or tile"),
      llvm::cl::init("tensor")};
  Option<std::string> mode{
      *this, "mode",
      llvm::cl::desc("arithmetic of the quantizer: canonical or official_bf16"),
      llvm::cl::init("canonical")};
  ListOption<std::string> keep{
      *this, "keep",
      llvm::cl::desc("regular expressions of layers that stay dense")};
  ListOption<std::string> stagesFor{
      *this, "stages-for",
      llvm::cl::desc("REGEX=T: other stages for some layers")};
  Option<bool> floatActivations{*this, "float-activations",
                                llvm::cl::desc("leave activations in float32"),
                                llvm::cl::init(false)};
  Option<HeadKind> head{
      *this, "lm-head", llvm::cl::desc("what becomes of the head"),
      llvm::cl::init(HeadKind::Keep),
      llvm::cl::values(
          clEnumValN(HeadKind::Keep, "keep", "stored precision"),
          clEnumValN(HeadKind::Int8, "int8", "int8 with a scale per row"),
          clEnumValN(HeadKind::Quantize, "quantize", "phases"))};
  Option<CacheKind> cache{
      *this, "kv-cache", llvm::cl::desc("what keys and values are stored as"),
      llvm::cl::init(CacheKind::F16),
      llvm::cl::values(clEnumValN(CacheKind::F32, "f32", "float32"),
                       clEnumValN(CacheKind::F16, "f16", "float16"),
                       clEnumValN(CacheKind::Int8, "int8",
                                  "int8 with a scale per key and per value"))};
};

struct CpuOptions : mlir::PassPipelineOptions<CpuOptions> {
  Option<std::string> cpu{*this, "cpu",
                          llvm::cl::desc("row of passes/cpu/CpuTarget.cpp"),
                          llvm::cl::init("x86-64-v3")};
  Option<int64_t> batch{*this, "batch",
                        llvm::cl::desc("most tokens of one call"),
                        llvm::cl::init(64)};
};

/// model -> quantized ("fairy2-to-quantized").
void buildQuantizePipeline(mlir::OpPassManager &pm,
                           const QuantizeOptions &options);
/// quantized -> packed ("fairy2-to-packed").
void buildPackPipeline(mlir::OpPassManager &pm);
/// packed -> loops ("fairy2-to-loops").
void buildLoopsPipeline(mlir::OpPassManager &pm, const CpuOptions &options);
/// loops -> llvm ("fairy2-to-llvm").
void buildLlvmPipeline(mlir::OpPassManager &pm, const CpuOptions &options);

/// Makes the pipelines known to fairy2-opt.
void registerPipelines();

} // namespace fairy2
