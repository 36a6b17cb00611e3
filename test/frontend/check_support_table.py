# SPDX-License-Identifier: Apache-2.0
#
# usage: check_support_table.py SOURCE_DIR WORK_DIR
#
# Each row of README.md's table of models is an architecture, its models and a
# test. The rows are the architectures that fairy2-compile knows, and the test of
# a row compares a checkpoint of that architecture with golden logits.
import json
import os
import re
import subprocess
import sys


def fail(text):
    sys.exit("error: " + text)


def knownArchitectures(folder):
    """As fairy2-compile lists them when it meets another."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        file.write('{"architectures": ["NoSuchModel"]}')
    said = subprocess.run(["fairy2-compile", folder, "-o", folder + "/m.so"],
                          capture_output=True, text=True).stderr
    listed = re.search("expected (.*), found \"NoSuchModel\"", said)
    if not listed:
        fail(f"no list of architectures in '{said}'")
    return listed.group(1).split(", ")


def rowsOf(readme):
    """{architecture: test} of the table."""
    with open(readme) as file:
        rows = re.findall(r"^\| (\w+ForCausalLM) \| [^|]+ \| (\w+\.test) \|$",
                          file.read(), re.MULTILINE)
    if len(rows) != len(dict(rows)):
        fail("an architecture has two rows")
    return dict(rows)


def main():
    source, folder = sys.argv[1:]
    golden = os.path.join(source, "test", "frontend", "golden")
    rows = rowsOf(os.path.join(source, "README.md"))
    known = knownArchitectures(folder)
    if sorted(rows) != sorted(known):
        fail(f"README.md lists {sorted(rows)}, the importer knows "
             f"{sorted(known)}")

    cases = {}
    for name in os.listdir(golden):
        if name.endswith(".test"):
            with open(os.path.join(golden, name)) as file:
                cases[name] = re.findall(
                    r"^RUN: .*check_golden\.py %S/Inputs/(\S+) ", file.read(),
                    re.MULTILINE)
    for architecture, test in rows.items():
        if not cases.get(test):
            fail(f"{architecture}: {test} has no golden case")
        for case in cases[test]:
            with open(os.path.join(golden, "Inputs", case,
                                   "config.json")) as file:
                found = json.load(file)["architectures"]
            if found != [architecture]:
                fail(f"{architecture}: {test} checks {case}, a {found}")
    used = sorted(case for some in cases.values() for case in some)
    if used != sorted(os.listdir(os.path.join(golden, "Inputs"))):
        fail(f"the tests use the cases {used}, and others lie in Inputs")
    print(f"{len(rows)} architectures")


main()
