# SPDX-License-Identifier: Apache-2.0
#
# usage: check_bad_mlir.py WORK_DIR GOOD.mlir [--no-limit]
#
# Bad .mlir and bytecode files: one error that says what is wrong, exit code 1,
# no crash, and no output file.
import os
import random
import resource
import subprocess
import sys

from error_form import form_fault

CASES = [
    ("unknown dialect", 'magic.wand', "Dialect `magic' not found"),
    ("unknown op", 'fairy2.wand', "custom op 'fairy2.wand' is unknown"),
    ("unknown attribute", 'fairy2.phase_quantize @p of @w #fairy2.shape<1>',
     "unknown"),
    ("verifier", 'fairy2.weight @w : tensor<4x4xf32>',
     "expected either a place in a file or a value"),
    ("dangling symbol",
     'fairy2.pack @p <dense> [@w] {bytes = 64 : i64, offset = 0 : i64}',
     "found no such symbol"),
    ("not text", "\x00\x01\x02", "error"),
    ("half an op", 'fairy2.weight @w : tensor<4x', "error"),
    ("string without end", 'fairy2.weight @"w', "error"),
    ("constant too short",
     'fairy2.weight @w : tensor<1099511627776xf32> = '
     'dense<[1.0, 2.0]> : tensor<1099511627776xf32>',
     "does not match type ([1099511627776])"),
    ("constant too large",
     'fairy2.weight @w : tensor<1099511627777xf32> = '
     'dense<1.0> : tensor<1099511627777xf32>',
     "expected at most 1099511627776 elements"),
    ("extents that overflow",
     'fairy2.weight @w : tensor<4611686018427387904x4xf32> from "a" at 0',
     "expected at most 1099511627776 elements"),
    ("deep regions", "module {" * 1000000 + "}" * 1000000,
     "expected at most 256 nested brackets"),
    ("deep types", "func.func private @f(" + "tuple<" * 1000000 +
     ">" * 1000000 + ")", "expected at most 256 nested brackets"),
    ("deep attributes", "module attributes {a = " + "[" * 1000000 +
     "]" * 1000000 + "} {}", "expected at most 256 nested brackets"),
]

# Brackets that only look deep: in names, comments and arrows.
NOT_DEEP = ('fairy2.weight @"' + "<" * 300 + '\\" {" : tensor<2xf32> from "a" '
            'at 0 // ' + "[" * 300 + "\n" +
            "".join(f"func.func private @f{i}(i32) -> i32\n"
                    for i in range(300)))

# MLIR's reader of bytecode trusts the counts in a file, so it may ask for any
# amount of memory; within this limit LLVM ends with its own message.
MEMORY = 4 << 30
# A sanitizer's shadow memory is larger than any limit.
SANITIZED = "--no-limit" in sys.argv
OUT_OF_MEMORY = ("out of memory", "bad_alloc", "length_error")


def optimize(path, output):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return subprocess.run(
        ["fairy2-opt", path, "-o", output],
        preexec_fn=None if SANITIZED else limit,
        capture_output=True, text=True, errors="replace", timeout=120)


def check(name, path, expected, folder):
    """Fails with a sentence unless the file is refused as it should."""
    output = os.path.join(folder, "out.mlir")
    result = optimize(path, output)
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    if result.returncode != 1:
        sys.exit(f"error: {name}: exit code {result.returncode}: "
                 f"{result.stderr[:300]}")
    if len(errors) != 1 or expected not in errors[0]:
        sys.exit(f"error: {name}: expected one error with '{expected}', found "
                 f"{errors[:3]}")
    if path not in errors[0].split("error: ")[0] \
            and form_fault(errors[0]):
        sys.exit(f"error: {name}: expected the file's name or the form of an "
                 f"error, found {errors[0]}")
    if os.path.exists(output):
        sys.exit(f"error: {name}: left an output file")


def check_bytecode(good, folder):
    bytecode = os.path.join(folder, "good.mlirbc")
    subprocess.run(["fairy2-opt", good, "--emit-bytecode", "-o", bytecode],
                   check=True)
    with open(bytecode, "rb") as file:
        data = file.read()
    path = os.path.join(folder, "bad.mlirbc")
    output = os.path.join(folder, "out.mlir")
    refused = 0
    generator = random.Random(1)
    versions = [data[:cut] for cut in range(4, len(data), len(data) // 24)]
    for position in generator.sample(range(len(data)), 0 if SANITIZED else 48):
        flipped = bytearray(data)
        flipped[position] ^= 1 << generator.randrange(8)
        versions.append(bytes(flipped))
    for version in versions:
        with open(path, "wb") as file:
            file.write(version)
        result = optimize(path, output)
        exhausted = any(text in result.stderr for text in OUT_OF_MEMORY)
        if result.returncode not in (0, 1) and not exhausted:
            sys.exit(f"error: bytecode: exit code {result.returncode}: "
                     f"{result.stderr[:300]}")
        if result.returncode != 0:
            refused += 1
            if not result.stderr.strip() or os.path.exists(output):
                sys.exit("error: bytecode: refused without a word, or left an "
                         "output file")
        else:
            os.remove(output)
    # A flip in a name or a number may give another valid module.
    if refused < len(versions) // 2:
        sys.exit(f"error: bytecode: only {refused} of {len(versions)} refused")
    return refused


def main():
    folder, good = sys.argv[1:3]
    for number, (name, text, expected) in enumerate(CASES):
        path = os.path.join(folder, f"bad{number}.mlir")
        with open(path, "w") as file:
            file.write(text)
        check(name, path, expected, folder)
    path = os.path.join(folder, "good.mlir")
    with open(path, "w") as file:
        file.write(NOT_DEEP)
    result = optimize(path, os.devnull)
    if result.returncode != 0:
        sys.exit(f"error: refused a flat module: {result.stderr[:300]}")
    refused = check_bytecode(good, folder)
    print(f"{len(CASES)} bad texts and {refused} bad bytecode files refused")


main()
