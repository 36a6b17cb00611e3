// SPDX-License-Identifier: Apache-2.0
//
// Registration, and the verifiers of types and attributes.
#include "dialect/Fairy2Dialect.h"

#include "dialect/Fairy2LoopOps.h"
#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/Fairy2WeightOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialect/Fairy2Dialect.cpp.inc"
#include "dialect/Fairy2Enums.cpp.inc"
#include "dialect/Fairy2StagedOp.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/Fairy2Types.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/Fairy2Attrs.cpp.inc"

namespace fairy2 {

const char *nameOf(Stage stage) {
  switch (stage) {
  case Stage::Model:
    return "model";
  case Stage::Quantized:
    return "quantized";
  case Stage::Packed:
    return "packed";
  case Stage::Loops:
    return "loops";
  case Stage::Llvm:
    return "llvm";
  }
  llvm_unreachable("all stages are handled");
}

/// The ops of one definition file, each of which has to know its stages.
template <typename... Ops> struct StagedOps {
  static_assert((Ops::template hasTrait<StagedOp::Trait>() && ...),
                "every op of the dialect derives from Fairy2_Op, which asks "
                "for its stages");
  template <typename Add> static void addTo(Add &&add) {
    add.template operator()<Ops...>();
  }
};

void Fairy2Dialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/Fairy2Types.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/Fairy2Attrs.cpp.inc"
      >();
  auto add = [this]<typename... Ops>() { addOperations<Ops...>(); };
  StagedOps<
#define GET_OP_LIST
#include "dialect/Fairy2WeightOps.cpp.inc"
      >::addTo(add);
  StagedOps<
#define GET_OP_LIST
#include "dialect/Fairy2ModelOps.cpp.inc"
      >::addTo(add);
  StagedOps<
#define GET_OP_LIST
#include "dialect/Fairy2QuantizedOps.cpp.inc"
      >::addTo(add);
  StagedOps<
#define GET_OP_LIST
#include "dialect/Fairy2PackedOps.cpp.inc"
      >::addTo(add);
  StagedOps<
#define GET_OP_LIST
#include "dialect/Fairy2LoopOps.cpp.inc"
      >::addTo(add);
}

LogicalResult KVCacheType::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t layers, int64_t heads, int64_t dim,
                                  Type element) {
  for (int64_t extent : {layers, heads, dim})
    if (extent < 1 || extent > kMaxCacheExtent)
      return emitError() << "expected layers, heads and dim of 1 to "
                         << kMaxCacheExtent << ", found " << layers << ", "
                         << heads << ", " << dim;
  if (!element.isF32() && !element.isF16() && !element.isInteger(8))
    return emitError() << "expected elements of f32, f16 or i8, found "
                       << element;
  return success();
}

/// `stages` come as they are written; a scheme's are an int.
static LogicalResult verifyScheme(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t stages, PhaseScheme scheme) {
  scheme.stages = int(std::clamp<int64_t>(stages, 0, kMaxStages + 1));
  if (scheme.stages != stages)
    return emitError() << "expected 1 to " << kMaxStages << " stages, found "
                       << stages;
  if (const std::string fault = schemeFault(scheme); !fault.empty())
    return emitError() << fault;
  return success();
}

LogicalResult
StoredPhasesAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                         int64_t stages, ScaleGranularity scales,
                         StageScales stageScales, ScaleGrid grid) {
  return verifyScheme(emitError, stages,
                      {0, scales, QuantizeMode::Canonical, stageScales, grid});
}

LogicalResult SchemeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t stages, ScaleGranularity scales,
                                 QuantizeMode mode, StageScales stageScales,
                                 ScaleGrid grid, ActivationKind activations) {
  return verifyScheme(emitError, stages, {0, scales, mode, stageScales, grid});
}

LogicalResult
SignSchemeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                       SignMethod method, ScaleGranularity scales,
                       ActivationKind activations) {
  if (scales == ScaleGranularity::Tile)
    return emitError() << "expected scales per tensor or row for "
                       << nameOf(method) << ", found scales per tile";
  return success();
}

} // namespace fairy2
