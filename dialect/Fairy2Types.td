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
    decided when the model becomes loops.

    Example: `!fairy2.kv_cache<layers = 5, heads = 4, dim = 8>`
  }];
  let parameters = (ins "int64_t":$layers, "int64_t":$heads, "int64_t":$dim);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // FAIRY2_TYPES_TD
