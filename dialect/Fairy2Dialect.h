// SPDX-License-Identifier: Apache-2.0
//
// The fairy2 dialect: its types and attributes. Ops are in one header per stage
// (Fairy2ModelOps.h and its brothers), so that an edit of one .td reaches only
// the files that name its ops. Textual definitions are in the .td files beside.
#pragma once

#include "dialect/Fairy2Enums.h"
#include "dialect/phase/Packing.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"

#include "dialect/Fairy2Dialect.h.inc"

namespace mlir {

/// Enumerations of Phase.h are written by their names.
template <typename Enum>
FailureOr<Enum> parseNamed(AsmParser &parser,
                           std::optional<Enum> (*fromName)(std::string_view),
                           const char *expected) {
  StringRef word;
  const SMLoc place = parser.getCurrentLocation();
  if (failed(parser.parseKeyword(&word)))
    return failure();
  if (const std::optional<Enum> value = fromName({word.data(), word.size()}))
    return *value;
  return parser.emitError(place, "expected ")
         << expected << ", found '" << word << "'";
}

template <>
struct FieldParser<fairy2::ScaleGranularity, fairy2::ScaleGranularity> {
  static FailureOr<fairy2::ScaleGranularity> parse(AsmParser &parser) {
    return parseNamed(parser, fairy2::granularityFromName,
                      "tensor, row or tile");
  }
};
template <> struct FieldParser<fairy2::QuantizeMode, fairy2::QuantizeMode> {
  static FailureOr<fairy2::QuantizeMode> parse(AsmParser &parser) {
    return parseNamed(parser, fairy2::quantizeModeFromName,
                      "canonical or official_bf16");
  }
};
template <> struct FieldParser<fairy2::StageScales, fairy2::StageScales> {
  static FailureOr<fairy2::StageScales> parse(AsmParser &parser) {
    return parseNamed(parser, fairy2::stageScalesFromName, "mean or binary");
  }
};
template <> struct FieldParser<fairy2::ScaleGrid, fairy2::ScaleGrid> {
  static FailureOr<fairy2::ScaleGrid> parse(AsmParser &parser) {
    return parseNamed(parser, fairy2::scaleGridFromName, "float or int8");
  }
};
template <> struct FieldParser<fairy2::SignMethod, fairy2::SignMethod> {
  static FailureOr<fairy2::SignMethod> parse(AsmParser &parser) {
    return parseNamed(parser, fairy2::signMethodFromName,
                      "bitnet, ternary, sign2 or int2");
  }
};

inline AsmPrinter &operator<<(AsmPrinter &printer,
                              fairy2::ScaleGranularity scales) {
  return printer << fairy2::nameOf(scales);
}
inline AsmPrinter &operator<<(AsmPrinter &printer, fairy2::QuantizeMode mode) {
  return printer << fairy2::nameOf(mode);
}
inline AsmPrinter &operator<<(AsmPrinter &printer,
                              fairy2::StageScales stageScales) {
  return printer << fairy2::nameOf(stageScales);
}
inline AsmPrinter &operator<<(AsmPrinter &printer, fairy2::ScaleGrid grid) {
  return printer << fairy2::nameOf(grid);
}
inline AsmPrinter &operator<<(AsmPrinter &printer, fairy2::SignMethod method) {
  return printer << fairy2::nameOf(method);
}

} // namespace mlir

#define GET_TYPEDEF_CLASSES
#include "dialect/Fairy2Types.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/Fairy2Attrs.h.inc"

namespace fairy2 {

/// The most elements of one weight: byte counts of any layout fit 64 bits.
constexpr int64_t kMaxWeightElements = int64_t(1) << 40;
/// The largest extent of a KV cache type.
constexpr int64_t kMaxCacheExtent = int64_t(1) << 16;

inline PhaseScheme phaseSchemeOf(SchemeAttr scheme) {
  return {int(scheme.getStages()), scheme.getScales(), scheme.getMode(),
          scheme.getStageScales(), scheme.getScaleGrid()};
}
inline PhaseScheme phaseSchemeOf(StoredPhasesAttr stored) {
  return {int(stored.getStages()), stored.getScales(), QuantizeMode::Canonical,
          stored.getStageScales(), stored.getScaleGrid()};
}
inline SchemeAttr schemeAttrOf(mlir::MLIRContext *context, PhaseScheme scheme,
                               ActivationKind activations) {
  return SchemeAttr::get(context, scheme.stages, scheme.scales, scheme.mode,
                         scheme.stageScales, scheme.grid, activations);
}
inline StoredPhasesAttr storedPhasesOf(mlir::MLIRContext *context,
                                       PhaseScheme scheme) {
  return StoredPhasesAttr::get(context, scheme.stages, scheme.scales,
                               scheme.stageScales, scheme.grid);
}

inline SignScheme signSchemeOf(SignSchemeAttr scheme) {
  return {scheme.getMethod(), scheme.getScales()};
}

/// The number of features of a [tokens, features] tensor.
inline int64_t featuresOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType()).getDimSize(1);
}

} // namespace fairy2
