// SPDX-License-Identifier: Apache-2.0
//
// The CPUs that kernels are made for, one table row each.
#pragma once

#include "mlir/IR/Operation.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace fairy2 {

/// How a kernel looks up 16-entry tables.
enum class LookupForm {
  Scalar, ///< code by code, without tables: the oracle
  Quad,   ///< four tables per 64-byte register, dot products of bytes (vpermb)
  Lane    ///< one table per 16-byte lane (pshufb, tbl)
};

/// "scalar", "quad" or "lane".
const char *nameOf(LookupForm form);

struct CpuTarget {
  llvm::StringRef name;     ///< as in the manifest and on command lines
  llvm::StringRef triple;   ///< LLVM target triple
  llvm::StringRef llvmCpu;  ///< -mcpu
  llvm::StringRef features; ///< comma-separated, beyond llvmCpu's own
  /// What the loader must find before it runs this code, LLVM's spelling,
  /// comma-separated.
  llvm::StringRef required;
  LookupForm form;
  int64_t lookupBytes; ///< of one look-up instruction, 16, 32 or 64
  /// Tokens of a call from which layers on the int8 grid multiply; 0: they
  /// only look up (loops/PhaseProducts.h). MEASURED.md has the figures.
  int64_t productsFrom = 0;

  /// The name as part of a symbol: x86_64_v3.
  std::string symbolSuffix() const;
  /// The machine of the artefact: x86-64 or aarch64.
  llvm::StringRef machine() const;
  /// The instruction that adds four products of bytes to 32 bits, null where
  /// there is none. Others take pairs of bytes, whose sums fit 16 bits where
  /// the bytes are small.
  struct Dot4 {
    llvm::StringRef feature;
    llvm::StringRef intrinsic; ///< LLVM's
    int64_t bytes;             ///< of a vector
    bool hasSignedLhs;         ///< else the left bytes are unsigned
  };
  const Dot4 *dot4() const;
  /// Whether instructions convert between float16 and float32.
  bool convertsHalves() const;
};

/// Best first within a machine.
llvm::ArrayRef<CpuTarget> cpuTargets();
/// Null when there is no such row.
const CpuTarget *findCpuTarget(llvm::StringRef name);
/// The same, with an error at `op` that lists the rows.
const CpuTarget *requireCpuTarget(mlir::Operation *op, llvm::StringRef name);
/// "a, b, c", for messages.
std::string cpuTargetNames();

} // namespace fairy2
