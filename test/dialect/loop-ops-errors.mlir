// RUN: fairy2-opt %s --split-input-file --verify-diagnostics

func.func @quad(%t: vector<32xi8>) -> vector<32xi8> {
  // expected-error @+1 {{expected 64 bytes, found 32}}
  %0 = fairy2.table_lookup quad %t, %t : vector<32xi8>
  return %0 : vector<32xi8>
}

// -----

func.func @lane(%t: vector<24xi8>) -> vector<24xi8> {
  // expected-error @+1 {{expected a multiple of 16 bytes, found 24}}
  %0 = fairy2.table_lookup lane %t, %t : vector<24xi8>
  return %0 : vector<24xi8>
}

// -----

func.func @scalable(%t: vector<[16]xi8>) -> vector<[16]xi8> {
  // expected-error @+1 {{must be fixed-length vector}}
  %0 = fairy2.table_lookup lane %t, %t : vector<[16]xi8>
  return %0 : vector<[16]xi8>
}

// -----

func.func @sum4(%a: vector<16xi32>, %b: vector<32xi8>) -> vector<16xi32> {
  // expected-error @+1 {{expected four bytes per lane, found 'vector<32xi8>' and 'vector<16xi32>'}}
  %0 = fairy2.sum4_accumulate %a, %b factor 1 : vector<16xi32>, vector<32xi8>
  return %0 : vector<16xi32>
}

// -----

func.func @factor(%a: vector<16xi32>, %b: vector<64xi8>) -> vector<16xi32> {
  // expected-error @+1 {{attribute 'factor' failed to satisfy constraint}}
  %0 = fairy2.sum4_accumulate %a, %b factor 128 : vector<16xi32>, vector<64xi8>
  return %0 : vector<16xi32>
}

// -----

func.func @dot4(%a: vector<4xi32>, %b: vector<64xi8>) -> vector<4xi32> {
  // expected-error @+1 {{expected four bytes per lane, found 'vector<64xi8>' and 'vector<4xi32>'}}
  %0 = fairy2.dot4_accumulate %a, %b, %b : vector<4xi32>, vector<64xi8>
  return %0 : vector<4xi32>
}

// -----

func.func @dot2(%b: vector<64xi8>) -> vector<16xi16> {
  // expected-error @+1 {{expected two elements per lane, found 'vector<64xi8>' and 'vector<16xi16>'}}
  %0 = fairy2.dot2 %b, %b : vector<64xi8> -> vector<16xi16>
  return %0 : vector<16xi16>
}

// -----

func.func @sum2(%a: vector<16xi32>, %p: vector<16xi16>) -> vector<16xi32> {
  // expected-error @+1 {{expected two elements per lane, found 'vector<16xi16>' and 'vector<16xi32>'}}
  %0 = fairy2.sum2_accumulate %a, %p : vector<16xi32>, vector<16xi16>
  return %0 : vector<16xi32>
}
