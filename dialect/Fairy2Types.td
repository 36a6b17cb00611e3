// SPDX-License-Identifier: Apache-2.0
#ifndef FAIRY2_TYPES_TD
#define FAIRY2_TYPES_TD

include "dialect/Fairy2Dialect.td"

def Fairy2_KVCacheType : TypeDef<Fairy2Dialect, "KVCache"> {
  let mnemonic = "kv_cache";
  let summary = "keys and values of all earlier tokens";
  let description = [{
    The cache of a whole model: for every slot (one conversation), layer, head
    and position a key and a value of `dim` numbers. How it lies in memory is
    decided when the model becomes loops. `element` is what a number is stored
    as: f32 (default), f16, or i8 with one scale per key and per value.

    Example: `!fairy2.kv_cache<layers = 5, heads = 4, dim = 8, element = f16>`
  }];
  let parameters = (ins "int64_t":$layers, "int64_t":$heads, "int64_t":$dim,
      DefaultValuedParameter<"::mlir::Type",
                             "::mlir::Float32Type::get($_ctxt)">:$element);
  let builders = [
    TypeBuilder<(ins "int64_t":$layers, "int64_t":$heads, "int64_t":$dim), [{
      return $_get($_ctxt, layers, heads, dim,
                   ::mlir::Float32Type::get($_ctxt));
    }]>
  ];
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // FAIRY2_TYPES_TD
