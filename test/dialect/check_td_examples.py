# SPDX-License-Identifier: Apache-2.0
#
# Every ```mlir example in the descriptions of dialect/*.td must parse and
# verify, and every op must have one. In passes/Passes.td every pass must have
# a description with an example (those show before and after, not a module).
# Ops and passes must have their tests: an op a round trip in test/dialect and,
# where it verifies anything, an error in a file -errors; a pass its own file in
# test/passes.
import glob
import os
import re
import subprocess
import sys

DEFINITION = re.compile(r"^def (\w+)", re.MULTILINE)
OP = re.compile(r'^def \w+ : Fairy2_\w*Op<"(\w+)"')
PASS = re.compile(r': Pass<"fairy2-([\w-]+)"')
FENCE = re.compile(r"```mlir\n(.*?)```", re.DOTALL)


def definitions(path):
    """(name, text) of every def of a .td file."""
    with open(path) as file:
        text = file.read()
    starts = list(DEFINITION.finditer(text))
    for start, end in zip(starts, starts[1:] + [None]):
        yield start.group(1), text[start.start():end.start() if end else None]


def read_all(pattern):
    """The text of all files that a pattern names."""
    text = ""
    for path in glob.glob(pattern):
        with open(path) as file:
            text += file.read()
    return text


def check_dialect(folder, tests, failures):
    examples = 0
    errors = read_all(os.path.join(tests, "*-errors.mlir"))
    trips = read_all(os.path.join(tests, "*-ops.mlir"))
    for path in sorted(glob.glob(os.path.join(folder, "*.td"))):
        for name, text in definitions(path):
            fences = FENCE.findall(text)
            if name.endswith("Op") and not fences:
                failures.append(f"{path}: {name}: expected an example")
            op = OP.match(text)
            if op and "fairy2." + op.group(1) not in trips:
                failures.append(f"{tests}: {name}: expected a round trip")
            verifies = "hasVerifier" in text or "SymbolUserOp" in text
            if op and verifies and "fairy2." + op.group(1) not in errors:
                failures.append(f"{tests}: {name}: expected an error")
            for fence in fences:
                examples += 1
                result = subprocess.run(["fairy2-opt", "-"], input=fence,
                                        capture_output=True, text=True)
                if result.returncode != 0:
                    failures.append(f"{path}: {name}: {result.stderr}")
    return examples


def check_passes(path, tests, failures):
    passes = 0
    for name, text in definitions(path):
        passes += 1
        if "let summary" not in text or "let description" not in text:
            failures.append(f"{path}: {name}: expected summary and description")
        if not FENCE.findall(text):
            failures.append(f"{path}: {name}: expected an example")
        test = PASS.search(text).group(1) + ".mlir"
        if not os.path.exists(os.path.join(tests, test)):
            failures.append(f"{tests}: {name}: expected {test}")
    return passes


def main():
    source = sys.argv[1]
    failures = []
    tests = os.path.join(source, "test")
    examples = check_dialect(os.path.join(source, "dialect"),
                             os.path.join(tests, "dialect"), failures)
    passes = check_passes(os.path.join(source, "passes", "Passes.td"),
                          os.path.join(tests, "passes"), failures)
    for failure in failures:
        print(failure)
    print(f"{examples} examples of ops, {passes} passes, "
          f"{len(failures)} failures")
    sys.exit(1 if failures or not examples or not passes else 0)


main()
