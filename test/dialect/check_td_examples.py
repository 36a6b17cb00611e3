# SPDX-License-Identifier: Apache-2.0
#
# Every ```mlir example in the descriptions of dialect/*.td must parse and
# verify, and every op must have one. In passes/Passes.td every pass must have
# a description with an example (those show before and after, not a module).
import glob
import os
import re
import subprocess
import sys

DEFINITION = re.compile(r"^def (\w+)", re.MULTILINE)
FENCE = re.compile(r"```mlir\n(.*?)```", re.DOTALL)


def definitions(path):
    """(name, text) of every def of a .td file."""
    with open(path) as file:
        text = file.read()
    starts = list(DEFINITION.finditer(text))
    for start, end in zip(starts, starts[1:] + [None]):
        yield start.group(1), text[start.start():end.start() if end else None]


def check_dialect(folder, failures):
    examples = 0
    for path in sorted(glob.glob(os.path.join(folder, "*.td"))):
        for name, text in definitions(path):
            fences = FENCE.findall(text)
            if name.endswith("Op") and not fences:
                failures.append(f"{path}: {name}: expected an example")
            for fence in fences:
                examples += 1
                result = subprocess.run(["fairy2-opt", "-"], input=fence,
                                        capture_output=True, text=True)
                if result.returncode != 0:
                    failures.append(f"{path}: {name}: {result.stderr}")
    return examples


def check_passes(path, failures):
    passes = 0
    for name, text in definitions(path):
        passes += 1
        if "let summary" not in text or "let description" not in text:
            failures.append(f"{path}: {name}: expected summary and description")
        if not FENCE.findall(text):
            failures.append(f"{path}: {name}: expected an example")
    return passes


def main():
    source = sys.argv[1]
    failures = []
    examples = check_dialect(os.path.join(source, "dialect"), failures)
    passes = check_passes(os.path.join(source, "passes", "Passes.td"), failures)
    for failure in failures:
        print(failure)
    print(f"{examples} examples of ops, {passes} passes, "
          f"{len(failures)} failures")
    sys.exit(1 if failures or not examples or not passes else 0)


main()
