// RUN: fairy2-opt %s | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --mlir-print-op-generic | fairy2-opt | FileCheck %s
// RUN: fairy2-opt %s --emit-bytecode -o %t.mlirbc && fairy2-opt %t.mlirbc | FileCheck %s

// CHECK-LABEL: func @table_lookup
func.func @table_lookup(%t: vector<64xi8>, %i: vector<64xi8>,
                        %u: vector<16xi8>, %j: vector<16xi8>) -> (vector<64xi8>, vector<64xi8>, vector<16xi8>) {
  // CHECK: fairy2.table_lookup quad %{{.*}}, %{{.*}} : vector<64xi8>
  %0 = fairy2.table_lookup quad %t, %i : vector<64xi8>
  // CHECK: fairy2.table_lookup lane %{{.*}}, %{{.*}} : vector<64xi8>
  %1 = fairy2.table_lookup lane %t, %i : vector<64xi8>
  // CHECK: fairy2.table_lookup lane %{{.*}}, %{{.*}} : vector<16xi8>
  %2 = fairy2.table_lookup lane %u, %j : vector<16xi8>
  return %0, %1, %2 : vector<64xi8>, vector<64xi8>, vector<16xi8>
}

// CHECK-LABEL: func @pairs
func.func @pairs(%a: vector<8xi32>, %w: vector<32xi8>, %x: vector<32xi8>) -> vector<8xi32> {
  // CHECK: %[[P:.*]] = fairy2.dot2 %{{.*}}, %{{.*}} : vector<32xi8> -> vector<16xi16>
  %0 = fairy2.dot2 %w, %x : vector<32xi8> -> vector<16xi16>
  // CHECK: fairy2.sum2_accumulate %{{.*}}, %[[P]] : vector<8xi32>, vector<16xi16>
  %1 = fairy2.sum2_accumulate %a, %0 : vector<8xi32>, vector<16xi16>
  return %1 : vector<8xi32>
}

// CHECK-LABEL: func @sums
func.func @sums(%a: vector<16xi32>, %x: vector<64xi8>, %w: vector<64xi8>) -> vector<16xi32> {
  // CHECK: %[[A:.*]] = fairy2.sum4_accumulate %{{.*}}, %{{.*}} factor 4 : vector<16xi32>, vector<64xi8>
  %0 = fairy2.sum4_accumulate %a, %x factor 4 : vector<16xi32>, vector<64xi8>
  // CHECK: fairy2.dot4_accumulate %[[A]], %{{.*}}, %{{.*}} : vector<16xi32>, vector<64xi8>
  %1 = fairy2.dot4_accumulate %0, %x, %w : vector<16xi32>, vector<64xi8>
  return %1 : vector<16xi32>
}
