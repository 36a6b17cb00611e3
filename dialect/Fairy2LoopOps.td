// SPDX-License-Identifier: Apache-2.0
//
// Ops of the loops stage: what a kernel's inner loop needs and upstream vector
// ops do not express in a form that becomes one instruction.
#ifndef FAIRY2_LOOP_OPS_TD
#define FAIRY2_LOOP_OPS_TD

include "dialect/Fairy2Attrs.td"
include "dialect/Fairy2OpBase.td"

def Fairy2_Bytes : FixedVectorOfRankAndType<[1], [I8]>;

def Fairy2_TableLookupOp : Fairy2_Op<"table_lookup",
    Fairy2_Stages<"Loops", "Loops">, [Pure,
    AllTypesMatch<["table", "index", "result"]>]> {
  let summary = "bytes looked up in 16-entry tables";
  let description = [{
    result[i] = table[16 T(i) + index[i]] with index[i] in 0 .. 15, undefined
    otherwise. `lanes` gives the table number T: `lane` looks every 16 bytes up
    in the 16 bytes at the same place (T = i / 16: pshufb, tbl), `quad` looks
    byte i up in table i mod 4 (64 bytes: vpermb).

    Example:
    ```mlir
    func.func @f(%t: vector<64xi8>, %i: vector<64xi8>) -> vector<64xi8> {
      %0 = fairy2.table_lookup quad %t, %i : vector<64xi8>
      return %0 : vector<64xi8>
    }
    ```
  }];
  let arguments = (ins Fairy2_LookupLanesAttr:$lanes, Fairy2_Bytes:$table,
                       Fairy2_Bytes:$index);
  let results = (outs Fairy2_Bytes:$result);
  let assemblyFormat = "$lanes $table `,` $index attr-dict `:` type($table)";
  let hasVerifier = 1;
}

def Fairy2_Sum4AccumulateOp : Fairy2_Op<"sum4_accumulate",
    Fairy2_Stages<"Loops", "Loops">, [Pure,
    AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "adds every four bytes to a 32-bit lane";
  let description = [{
    result[r] = accumulator[r] + factor * (b[4r] + b[4r+1] + b[4r+2] + b[4r+3]),
    bytes unsigned; `factor` is 1, or 4 for the high parts of a sum.

    Example:
    ```mlir
    func.func @f(%a: vector<16xi32>, %b: vector<64xi8>) -> vector<16xi32> {
      %0 = fairy2.sum4_accumulate %a, %b factor 1 : vector<16xi32>, vector<64xi8>
      return %0 : vector<16xi32>
    }
    ```
  }];
  let arguments = (ins FixedVectorOfRankAndType<[1], [I32]>:$accumulator,
                       Fairy2_Bytes:$bytes,
                       ConfinedAttr<I64Attr, [IntMinValue<1>,
                                              IntMaxValue<127>]>:$factor);
  let results = (outs FixedVectorOfRankAndType<[1], [I32]>:$result);
  let assemblyFormat = [{
    $accumulator `,` $bytes `factor` $factor attr-dict
    `:` type($accumulator) `,` type($bytes)
  }];
  let hasVerifier = 1;
}

def Fairy2_Dot4AccumulateOp : Fairy2_Op<"dot4_accumulate",
    Fairy2_Stages<"Loops", "Loops">, [Pure,
    AllTypesMatch<["accumulator", "result"]>,
    AllTypesMatch<["lhs", "rhs"]>]> {
  let summary = "adds the dot product of every four bytes to a 32-bit lane";
  let description = [{
    result[r] = accumulator[r] + sum over b of lhs[4r+b] * rhs[4r+b], lhs bytes
    unsigned (vpdpbusd) or, with `signed_lhs`, signed (sdot), rhs bytes signed.

    Example:
    ```mlir
    func.func @f(%a: vector<16xi32>, %x: vector<64xi8>, %w: vector<64xi8>) -> vector<16xi32> {
      %0 = fairy2.dot4_accumulate %a, %x, %w : vector<16xi32>, vector<64xi8>
      return %0 : vector<16xi32>
    }
    ```
  }];
  let arguments = (ins FixedVectorOfRankAndType<[1], [I32]>:$accumulator,
                       Fairy2_Bytes:$lhs, Fairy2_Bytes:$rhs,
                       UnitAttr:$signed_lhs);
  let results = (outs FixedVectorOfRankAndType<[1], [I32]>:$result);
  let assemblyFormat = [{
    $accumulator `,` $lhs `,` $rhs attr-dict
    `:` type($accumulator) `,` type($lhs)
  }];
  let hasVerifier = 1;
}

def Fairy2_Dot2Op : Fairy2_Op<"dot2",
    Fairy2_Stages<"Loops", "Loops">, [Pure, AllTypesMatch<["lhs", "rhs"]>]> {
  let summary = "the dot product of every two bytes in a 16-bit lane";
  let description = [{
    result[i] = lhs[2i] * rhs[2i] + lhs[2i+1] * rhs[2i+1], lhs bytes unsigned,
    rhs bytes signed; undefined where the sum does not fit 16 bits (vpmaddubsw).

    Example:
    ```mlir
    func.func @f(%w: vector<32xi8>, %x: vector<32xi8>) -> vector<16xi16> {
      %0 = fairy2.dot2 %w, %x : vector<32xi8> -> vector<16xi16>
      return %0 : vector<16xi16>
    }
    ```
  }];
  let arguments = (ins Fairy2_Bytes:$lhs, Fairy2_Bytes:$rhs);
  let results = (outs FixedVectorOfRankAndType<[1], [I16]>:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Fairy2_Sum2AccumulateOp : Fairy2_Op<"sum2_accumulate",
    Fairy2_Stages<"Loops", "Loops">, [Pure,
    AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "adds every two 16-bit lanes to a 32-bit lane";
  let description = [{
    result[r] = accumulator[r] + pairs[2r] + pairs[2r+1], pairs signed
    (vpmaddwd by ones).

    Example:
    ```mlir
    func.func @f(%a: vector<8xi32>, %p: vector<16xi16>) -> vector<8xi32> {
      %0 = fairy2.sum2_accumulate %a, %p : vector<8xi32>, vector<16xi16>
      return %0 : vector<8xi32>
    }
    ```
  }];
  let arguments = (ins FixedVectorOfRankAndType<[1], [I32]>:$accumulator,
                       FixedVectorOfRankAndType<[1], [I16]>:$pairs);
  let results = (outs FixedVectorOfRankAndType<[1], [I32]>:$result);
  let assemblyFormat = [{
    $accumulator `,` $pairs attr-dict
    `:` type($accumulator) `,` type($pairs)
  }];
  let hasVerifier = 1;
}

#endif // FAIRY2_LOOP_OPS_TD
