// SPDX-License-Identifier: Apache-2.0
//
// The stages as functions: each adds the passes that take a module from one
// stage to the next. They are registered for fairy2-opt under the names below.
#pragma once

#include "codegen/PipelineOptions.h"
#include "dialect/phase/Phase.h"

#include "mlir/Pass/PassManager.h"

namespace fairy2 {

/// What becomes of the language model's head.
enum class HeadKind { Keep, Int8, Quantize };
inline constexpr std::array kHeadKinds = {HeadKind::Keep, HeadKind::Int8,
                                          HeadKind::Quantize};
/// As on command lines and in the manifest.
const char *nameOf(HeadKind head);

/// What the user may choose about quantization.
struct QuantizeOptions : PipelineOptions<QuantizeOptions> {
  Choice<SignMethod, kSignMethods.size()> signs{
      *this,
      "signs",
      kSignMethods,
      SignMethod::Ternary,
      "method of real signs in place of phases, if there is one",
      /*isFlag=*/false};
  // Defaults of the scheme are the method's own; the tool has others
  // (ResolveScheme.h).
  /// 0, which the tool calls no method, keeps layers in stored precision.
  Number stages{*this,
                "stages",
                1,
                kMaxStages,
                2,
                "Residual stages: bits per real parameter",
                "what the checkpoint was trained for, or 4"};
  Choice<ScaleGranularity, kScaleGranularities.size()> scales{
      *this,
      "scales",
      kScaleGranularities,
      ScaleGranularity::Tensor,
      "What shares a pair of scales",
      /*isFlag=*/true,
      "what the checkpoint was trained for, or row"};
  Choice<QuantizeMode, kQuantizeModes.size()> mode{
      *this, "mode", kQuantizeModes, QuantizeMode::Canonical,
      "Arithmetic of the quantizer"};
  Choice<StageScales, kStageScales.size()> stageScales{
      *this,
      "stage-scales",
      kStageScales,
      StageScales::Mean,
      "How the scales of stages relate",
      /*isFlag=*/true,
      "what the checkpoint was trained for, or binary"};
  Choice<ScaleGrid, kScaleGrids.size()> scaleGrid{
      *this,
      "scale-grid",
      kScaleGrids,
      ScaleGrid::Float,
      "What scales are: any numbers, or integers times one unit",
      /*isFlag=*/true,
      "what the checkpoint was trained for, or int8 where stages are binary "
      "and at most 6"};
  Words keep{*this, "keep", "REGEX",
             "Layers that stay dense: a regular expression that matches a "
             "part of their names, such as 'layers\\.0\\.' or down_proj; "
             "repeatable"};
  Words stagesFor{*this, "stages-for", "REGEX=T",
                  "Other stages for some layers; repeatable, the last match "
                  "counts"};
  Choice<ActivationKind, kActivationKinds.size()> activations{
      *this, "activations", kActivationKinds, ActivationKind::Int8,
      "Input of layers on phases"};
  Choice<HeadKind, kHeadKinds.size()> head{
      *this, "lm-head", kHeadKinds, HeadKind::Keep, "What becomes of the head"};
  Choice<EmbeddingKind, kEmbeddingKinds.size()> embedding{
      *this, "embedding", kEmbeddingKinds, EmbeddingKind::Int8,
      "What the embedding is stored as; one that is tied to a head of stored "
      "precision stays"};
  Choice<CacheKind, kCacheKinds.size()> cache{
      *this, "kv-cache", kCacheKinds, CacheKind::F16,
      "What keys and values are stored as"};
};

/// What code for a CPU is made of.
struct CpuOptions : PipelineOptions<CpuOptions> {
  Word cpu{*this, "cpu", "x86-64-v3", "row of passes/cpu/CpuTarget.cpp"};
};

/// How its kernels are made.
struct LoopsOptions : PipelineOptions<LoopsOptions> {
  Word cpu{*this, "cpu", "x86-64-v3", "row of passes/cpu/CpuTarget.cpp"};
  Number batch{*this, "batch", 1, kMaxBatch, 64, "Most tokens of one step"};
};

/// model -> quantized ("fairy2-to-quantized").
void buildQuantizePipeline(mlir::OpPassManager &pm,
                           const QuantizeOptions &options);
/// quantized -> packed ("fairy2-to-packed").
void buildPackPipeline(mlir::OpPassManager &pm);
/// packed -> loops ("fairy2-to-loops").
void buildLoopsPipeline(mlir::OpPassManager &pm, const LoopsOptions &options);
/// loops -> llvm ("fairy2-to-llvm").
void buildLlvmPipeline(mlir::OpPassManager &pm, const CpuOptions &options);

/// Makes the pipelines known to fairy2-opt.
void registerPipelines();

} // namespace fairy2
