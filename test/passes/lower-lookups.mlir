// RUN: fairy2-opt %s --fairy2-lower-lookups=cpu=x86-64-v4-vnni | FileCheck %s --check-prefixes=CHECK,VNNI
// RUN: fairy2-opt %s --fairy2-lower-lookups=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: fairy2-opt %s --fairy2-lower-lookups=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: fairy2-opt %s --fairy2-lower-lookups=cpu=aarch64-neon | FileCheck %s --check-prefixes=CHECK,NEON
// RUN: fairy2-opt %s --fairy2-lower-lookups=cpu=scalar | FileCheck %s --check-prefixes=CHECK,V2

// CHECK-NOT: fairy2.

// CHECK-LABEL: func @lane16
func.func @lane16(%t: vector<16xi8>, %i: vector<16xi8>) -> vector<16xi8> {
  // VNNI-NEXT: llvm.call_intrinsic "llvm.x86.ssse3.pshuf.b.128"
  // V3-NEXT: llvm.call_intrinsic "llvm.x86.ssse3.pshuf.b.128"
  // V2-NEXT: llvm.call_intrinsic "llvm.x86.ssse3.pshuf.b.128"
  // NEON-NEXT: llvm.call_intrinsic "llvm.aarch64.neon.tbl1.v16i8"
  // CHECK-NEXT: return
  %0 = fairy2.table_lookup lane %t, %i : vector<16xi8>
  return %0 : vector<16xi8>
}

// CHECK-LABEL: func @lane32
func.func @lane32(%t: vector<32xi8>, %i: vector<32xi8>) -> vector<32xi8> {
  // VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx2.pshuf.b"
  // V3-NEXT: llvm.call_intrinsic "llvm.x86.avx2.pshuf.b"
  // Without such registers: byte by byte.
  // V2-COUNT-32: arith.index_castui
  // NEON-COUNT-32: arith.index_castui
  // CHECK: return
  %0 = fairy2.table_lookup lane %t, %i : vector<32xi8>
  return %0 : vector<32xi8>
}

// CHECK-LABEL: func @quad
// CHECK-SAME: (%[[T:.*]]: vector<64xi8>, %[[I:.*]]: vector<64xi8>)
func.func @quad(%t: vector<64xi8>, %i: vector<64xi8>) -> vector<64xi8> {
  // The table's number, byte mod 4, joins the index as bits 4 and 5.
  // CHECK: %[[N:.*]] = arith.constant dense<[0, 16, 32, 48, 0, 16, 32, 48, {{.*}}]> : vector<64xi8>
  // CHECK: %[[J:.*]] = arith.ori %[[I]], %[[N]] : vector<64xi8>
  // VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx512.permvar.qi.512"(%[[T]], %[[J]])
  // V3-COUNT-64: vector.extract %[[T]][{{%.*}}]
  // V2-COUNT-64: vector.extract %[[T]][{{%.*}}]
  // NEON-COUNT-64: vector.extract %[[T]][{{%.*}}]
  // CHECK: return
  %0 = fairy2.table_lookup quad %t, %i : vector<64xi8>
  return %0 : vector<64xi8>
}

// CHECK-LABEL: func @sum4
// CHECK-SAME: (%[[A:.*]]: vector<16xi32>, %[[B:.*]]: vector<64xi8>)
func.func @sum4(%a: vector<16xi32>, %b: vector<64xi8>) -> vector<16xi32> {
  // VNNI: %[[F:.*]] = arith.constant dense<4> : vector<64xi8>
  // VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[A]], %[[B]], %[[F]])
  // V3: vector.bitcast %[[B]] : vector<64xi8> to vector<16xi32>
  // V3-COUNT-4: arith.shrui
  // V3: arith.addi %[[A]]
  // V2: vector.bitcast %[[B]] : vector<64xi8> to vector<16xi32>
  // V2-COUNT-4: arith.shrui
  // V2: arith.addi %[[A]]
  // NEON: vector.bitcast %[[B]] : vector<64xi8> to vector<16xi32>
  // NEON: arith.addi %[[A]]
  // CHECK-NEXT: return
  %0 = fairy2.sum4_accumulate %a, %b factor 4 : vector<16xi32>, vector<64xi8>
  return %0 : vector<16xi32>
}

// CHECK-LABEL: func @dot4
// CHECK-SAME: (%[[A:.*]]: vector<16xi32>, %[[X:.*]]: vector<64xi8>, %[[W:.*]]: vector<64xi8>)
func.func @dot4(%a: vector<16xi32>, %x: vector<64xi8>, %w: vector<64xi8>) -> vector<16xi32> {
  // VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[A]], %[[X]], %[[W]])
  // The right operand's bytes are signed: shifted up and arithmetically down.
  // V3: arith.shrsi
  // V3: arith.muli
  // V2: arith.shrsi
  // V2: arith.muli
  // NEON: arith.shrsi
  // NEON: arith.muli
  // CHECK: return
  %0 = fairy2.dot4_accumulate %a, %x, %w : vector<16xi32>, vector<64xi8>
  return %0 : vector<16xi32>
}

// CHECK-LABEL: func @pairs32
// CHECK-SAME: (%[[A:.*]]: vector<8xi32>, %[[W:.*]]: vector<32xi8>, %[[X:.*]]: vector<32xi8>)
func.func @pairs32(%a: vector<8xi32>, %w: vector<32xi8>, %x: vector<32xi8>) -> vector<8xi32> {
  // VNNI: %[[P:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"(%[[W]], %[[X]])
  // V3: %[[P:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"(%[[W]], %[[X]])
  // V3: %[[ONES:.*]] = arith.constant dense<1> : vector<16xi16>
  // V3: %[[S:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[P]], %[[ONES]])
  // V3: arith.addi %[[A]], %[[S]]
  // Elsewhere in wider lanes, of which the even and the odd ones are added.
  // V2: arith.extui %[[W]] : vector<32xi8> to vector<32xi16>
  // V2: arith.extsi %[[X]] : vector<32xi8> to vector<32xi16>
  // V2: arith.muli
  // V2: vector.deinterleave
  // V2: arith.extsi {{.*}} : vector<16xi16> to vector<16xi32>
  // V2: vector.deinterleave
  // V2: arith.addi %[[A]]
  // NEON: vector.deinterleave
  // NEON: vector.deinterleave
  // CHECK: return
  %0 = fairy2.dot2 %w, %x : vector<32xi8> -> vector<16xi16>
  %1 = fairy2.sum2_accumulate %a, %0 : vector<8xi32>, vector<16xi16>
  return %1 : vector<8xi32>
}

// CHECK-LABEL: func @pairs64
func.func @pairs64(%a: vector<16xi32>, %w: vector<64xi8>, %x: vector<64xi8>) -> vector<16xi32> {
  // VNNI: llvm.call_intrinsic "llvm.x86.avx512.pmaddubs.w.512"
  // VNNI: llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"
  // V3: vector.deinterleave
  // V2: vector.deinterleave
  // CHECK: return
  %0 = fairy2.dot2 %w, %x : vector<64xi8> -> vector<32xi16>
  %1 = fairy2.sum2_accumulate %a, %0 : vector<16xi32>, vector<32xi16>
  return %1 : vector<16xi32>
}

// CHECK-LABEL: func @halves
func.func @halves(%h: vector<16xf16>, %x: vector<16xf32>) -> (vector<16xf32>, vector<16xf16>) {
  // VNNI-NEXT: arith.extf
  // V3-NEXT: arith.extf
  // NEON-NEXT: arith.extf
  // Without instructions for them: integers.
  // V2-NOT: arith.extf
  // V2-NOT: arith.truncf
  // CHECK: return
  %0 = arith.extf %h : vector<16xf16> to vector<16xf32>
  %1 = arith.truncf %x : vector<16xf32> to vector<16xf16>
  return %0, %1 : vector<16xf32>, vector<16xf16>
}

// What is not a half stays.
// CHECK-LABEL: func @doubles
func.func @doubles(%x: vector<16xf64>) -> vector<16xf32> {
  // CHECK: arith.truncf
  %0 = arith.truncf %x : vector<16xf64> to vector<16xf32>
  return %0 : vector<16xf32>
}
