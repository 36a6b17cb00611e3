// SPDX-License-Identifier: Apache-2.0
#ifndef FAIRY2_ATTRS_TD
#define FAIRY2_ATTRS_TD

include "dialect/Fairy2Dialect.td"

/// Phase.h's enumeration; parsed and printed by name (Fairy2Dialect.h).
def Fairy2_Granularity : AttrParameter<"ScaleGranularity",
                                       "what shares a pair of scales">;

def Fairy2_QuantizeMode : AttrParameter<"QuantizeMode",
                                        "the arithmetic of the quantizer">;

def Fairy2_StageScales : AttrParameter<"StageScales",
                                       "how the scales of stages relate">;

def Fairy2_ScaleGrid : AttrParameter<"ScaleGrid", "what scales are">;

def Fairy2_SignMethod : AttrParameter<"SignMethod",
                                       "a quantizer of real numbers">;

def Fairy2_ActivationBits : I32EnumAttr<"ActivationKind",
    "how activations enter a linear layer", [
      I32EnumAttrCase<"Int8", 0, "int8">,
      I32EnumAttrCase<"Float", 1, "float">
    ]> {
  let cppNamespace = "::fairy2";
}

def Fairy2_StoredPhasesAttr : AttrDef<Fairy2Dialect, "StoredPhases"> {
  let mnemonic = "stored_phases";
  let summary = "a weight that the checkpoint holds as phases";
  let description = [{
    The checkpoint has codes and scales in place of values: `stages` residual
    stages with a pair of axis scales per `tensor`, `row` or `tile`
    (dialect/phase/Phase.h). The rest is as in `#fairy2.scheme`.

    Example: `#fairy2.stored_phases<stages = 2, scales = row>`
  }];
  let parameters = (ins "int64_t":$stages, Fairy2_Granularity:$scales,
                        DefaultValuedParameter<"StageScales",
                            "StageScales::Mean">:$stage_scales,
                        DefaultValuedParameter<"ScaleGrid",
                            "ScaleGrid::Float">:$scale_grid);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Fairy2_SchemeAttr : AttrDef<Fairy2Dialect, "Scheme"> {
  let mnemonic = "scheme";
  let summary = "how the weights and activations of a layer are quantized";
  let description = [{
    `stages` residual stages of phases (bits per real parameter), a pair of
    axis scales for each matrix (U, W) and stage, and activations that are
    either int8 (one scale per token, the largest magnitude over 127, exact
    integer sums) or float. `scales` says what shares a pair: the `tensor`
    (default), the same with a factor per real `row`, or a `tile` of 64 x 64
    complex entries. `mode` is `canonical` (default) or `official_bf16`, which
    rounds where the reference implementation does. `stage_scales` are `mean`
    (default), found stage by stage, or `binary`: each stage has half the scale
    of the one before, U and W alike. On the `scale_grid` `int8` scales are
    integers times one unit, such that the matrix over that and its factors is
    one of signed bytes; on `float` (default) they are any numbers. Units are
    found with the codes, when weights are packed.

    Example: `#fairy2.scheme<stages = 4, stage_scales = binary,
    scale_grid = int8>`
  }];
  let parameters = (ins "int64_t":$stages,
                        DefaultValuedParameter<"ScaleGranularity",
                            "ScaleGranularity::Tensor">:$scales,
                        DefaultValuedParameter<"QuantizeMode",
                            "QuantizeMode::Canonical">:$mode,
                        DefaultValuedParameter<"StageScales",
                            "StageScales::Mean">:$stage_scales,
                        DefaultValuedParameter<"ScaleGrid",
                            "ScaleGrid::Float">:$scale_grid,
                        "ActivationKind":$activations);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Fairy2_SignSchemeAttr : AttrDef<Fairy2Dialect, "SignScheme"> {
  let mnemonic = "sign_scheme";
  let summary = "how the weights and activations of a layer become signs";
  let description = [{
    `method` is `bitnet` (one plane of signs), `ternary`, `sign2` or `int2`
    (two; dialect/phase/Signs.h has the formulas). Scales are per `tensor`
    (default) or per `row`; activations are as in `#fairy2.scheme`.

    Example: `#fairy2.sign_scheme<method = ternary, activations = int8>`
  }];
  let parameters = (ins Fairy2_SignMethod:$method,
                        DefaultValuedParameter<"ScaleGranularity",
                            "ScaleGranularity::Tensor">:$scales,
                        "ActivationKind":$activations);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Fairy2_PackingKind : I32EnumAttr<"PackingKind",
    "byte layout of a packed weight", [
      I32EnumAttrCase<"SignPlanes", 0, "plane_stream">,
      I32EnumAttrCase<"Dense", 1, "dense">,
      I32EnumAttrCase<"Int8", 2, "int8">,
      I32EnumAttrCase<"RealSignPlanes", 3, "real_plane_stream">,
      I32EnumAttrCase<"Int4", 4, "int4">
    ]> {
  let cppNamespace = "::fairy2";
  let genSpecializedAttr = 0;
}
def Fairy2_PackingKindAttr
    : EnumAttr<Fairy2Dialect, Fairy2_PackingKind, "packing"> {
  let assemblyFormat = "`<` $value `>`";
}

def Fairy2_GateKind : I32EnumAttr<"GateKind",
    "activation function of a gated unit", [
      I32EnumAttrCase<"Silu", 0, "silu">,
      I32EnumAttrCase<"GeluTanh", 1, "gelu_tanh">
    ]> {
  let cppNamespace = "::fairy2";
  let genSpecializedAttr = 0;
}
def Fairy2_GateKindAttr : EnumAttr<Fairy2Dialect, Fairy2_GateKind, "gate"> {
  let assemblyFormat = "$value";
}

def Fairy2_LookupLanes : I32EnumAttr<"LookupLanes",
    "which 16-entry table a byte is looked up in", [
      I32EnumAttrCase<"Quad", 0, "quad">,
      I32EnumAttrCase<"Lane", 1, "lane">
    ]> {
  let cppNamespace = "::fairy2";
  let genSpecializedAttr = 0;
}
def Fairy2_LookupLanesAttr
    : EnumAttr<Fairy2Dialect, Fairy2_LookupLanes, "lanes"> {
  let assemblyFormat = "$value";
}

#endif // FAIRY2_ATTRS_TD
