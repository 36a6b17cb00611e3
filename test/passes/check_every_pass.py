# SPDX-License-Identifier: Apache-2.0
#
# usage: check_every_pass.py SOURCE
#
# Runs every pass and pipeline that fairy2-opt lists, once and twice in a row, on
# modules without anything of ours, on those of other dialects, and on every
# example of dialect/*.td. It may refuse a module, in words, and never crashes.
import glob
import os
import re
import subprocess
import sys

OTHERS = ["module {}",
          "module { module {} }",
          "func.func private @f(tensor<?x4xf32>)",
          "func.func private @f(!fairy2.kv_cache<layers = 1, heads = 1, dim = 4>)",
          "llvm.func @f(%x: i32) -> i32 { llvm.return %x : i32 }",
          "func.func @f() { %0 = arith.constant 1 : index return }",
          "gpu.module @g { gpu.func @k() kernel { gpu.return } }",
          "spirv.module Logical GLSL450 {}"]
FENCE = re.compile(r"```mlir\n(.*?)```", re.DOTALL)
NAME = re.compile(r"^ +--(fairy2-[\w-]+)", re.MULTILINE)


def names():
    """Passes and pipelines; a pass that is new is among them."""
    text = subprocess.run(["fairy2-opt", "--help"], check=True,
                          capture_output=True, text=True).stdout
    return sorted(set(NAME.findall(text)))


def modules(source):
    """All of them in one file: fairy2-opt gives each a context of its own."""
    examples = []
    for path in sorted(glob.glob(os.path.join(source, "dialect", "*.td"))):
        with open(path) as file:
            examples += FENCE.findall(file.read())
    return OTHERS + examples


def main():
    source = sys.argv[1]
    inputs = modules(source)
    failures = 0
    found = names()
    for name in found:
        for count in (1, 2):
            result = subprocess.run(
                ["fairy2-opt", "--split-input-file", *["--" + name] * count],
                input="\n// -----\n".join(inputs), capture_output=True,
                text=True)
            refused = result.returncode == 1 and "error:" in result.stderr
            if result.returncode != 0 and not refused:
                failures += 1
                print(f"error: {name}, {count} times: exit code "
                      f"{result.returncode}: {result.stderr[-2000:]}")
    print(f"{len(found)} passes and pipelines, {len(inputs)} modules, "
          f"{failures} failures")
    sys.exit(1 if failures or len(found) < 17 else 0)


main()
