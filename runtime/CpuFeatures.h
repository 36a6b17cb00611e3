// SPDX-License-Identifier: Apache-2.0
//
// What this CPU and its operating system can run, under LLVM's feature names,
// so that the loader picks a variant of the code without trying it.
#pragma once

#include <string_view>

namespace fairy2 {

/// Whether the feature may be used on this machine: the CPU has it and the
/// operating system saves its registers. An unknown name counts as absent: code
/// of a later compiler may ask for what nobody here can tell.
bool cpuHasFeature(std::string_view llvmName);

/// Whether there is a row for the feature of a machine, x86-64 or aarch64. Code
/// that requires one without would never be chosen.
bool isKnownCpuFeature(std::string_view machine, std::string_view llvmName);

} // namespace fairy2
