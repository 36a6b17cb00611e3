# SPDX-License-Identifier: Apache-2.0
#
# How lit finds and runs the tests: tools come from the build's bin/, FileCheck
# and the binary utilities from LLVM. A test that needs something this machine
# may lack says so with REQUIRES and one of the features set below; %levels are
# the CPU levels that run here, comma-separated.
import os
import shutil
import sys

import lit.formats

config.name = "fairy2"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.fairy2_binary_dir, "test")

config.environment["PATH"] = os.pathsep.join(
    [config.fairy2_tools_dir, config.llvm_tools_dir, os.environ["PATH"]])
# Python helpers of the tests import each other, and leave nothing behind.
config.environment["PYTHONPATH"] = os.path.join(
    config.test_source_root, "tools")
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

shared_data = os.path.join(config.fairy2_source_dir, "..", "shared", "data")
config.substitutions += [
    ("%python", '"' + sys.executable + '"'),
    ("%source", config.fairy2_source_dir),
    ("%build", config.fairy2_binary_dir),
    ("%cmake", config.cmake),
    ("%cc", config.c_compiler),
    ("%shared-data", shared_data),
]
if os.path.isdir(shared_data):
    config.available_features.add("shared-data")
if config.fairy2_sanitize:
    config.available_features.add("sanitizer")


def cpu_flags():
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            for line in cpuinfo:
                if line.startswith("flags"):
                    return set(line.split(":")[1].split())
    except OSError:
        pass
    return set()


# The levels of passes/cpu/CpuTarget.cpp that this machine can run.
flags = cpu_flags()
levels = []
if {"ssse3", "sse4_1", "sse4_2", "popcnt"} <= flags:
    levels.append("x86-64-v2")
if {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"} <= flags:
    levels.append("x86-64-v3")
avx512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
if avx512 <= flags:
    levels.append("x86-64-v4")
if avx512 | {"avx512vbmi", "avx512_vnni"} <= flags:
    levels.append("x86-64-v4-vnni")
config.substitutions.append(("%levels", ",".join(levels)))
if levels:
    config.available_features.add("x86-64")

# An emulator and a compiler with libraries for aarch64 (tools/setup.sh).
AARCH64_ROOT = "/usr/aarch64-linux-gnu"
qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
clang = shutil.which("clang++-22")
if qemu and clang and os.path.exists(
        os.path.join(AARCH64_ROOT, "lib", "libstdc++.so.6")):
    config.available_features.add("qemu-aarch64")
    config.substitutions += [
        ("%qemu-aarch64", f"{qemu} -L {AARCH64_ROOT}"),
        ("%clang-aarch64", f"{clang} --target=aarch64-linux-gnu -fuse-ld=lld"),
    ]
