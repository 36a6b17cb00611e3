# SPDX-License-Identifier: Apache-2.0
#
# How lit finds and runs the tests: tools come from the build's bin/, FileCheck
# and the binary utilities from LLVM. A test that needs something this machine
# may lack says so with REQUIRES and one of the features set below; %levels are
# the CPU levels that run here, comma-separated.
import os
import shutil
import subprocess
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


def cpu_levels():
    """The levels that this machine can run, the lowest first, and machines.

    The program is asked: a list here would leave out a level that is new."""
    table = subprocess.run(
        [os.path.join(config.fairy2_tools_dir, "fairy2-compile"),
         "--print-targets"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in table.splitlines()[1:]]
    runnable = [row for row in rows if row[3] == "yes" and row[2] != "scalar"]
    return ([row[0] for row in reversed(runnable)],
            {row[1] for row in runnable})


levels, machines = cpu_levels()
config.substitutions.append(("%levels", ",".join(levels)))
config.available_features |= machines

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

# A browser and what drives it (tools/setup.sh --clients).
clients = os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
    "fairy2", "clients", "bin", "python")
config.substitutions.append(("%clients-python", f'"{clients}"'))
if shutil.which("chromedriver") and os.path.exists(clients) and \
        subprocess.run([clients, "-c", "import selenium"],
                       stderr=subprocess.DEVNULL).returncode == 0:
    config.available_features.add("browser")
