# SPDX-License-Identifier: Apache-2.0
"""Breaks each rule of tools/lint.sh once, in a small repository that keeps all
of them, and looks for the sentence that names file and line.

Usage: check_lint.py LINT.SH
"""
import os
import subprocess
import sys
import tempfile

# In a folder of this repository, but not of it.
TEST = "test" + "/Use.cpp"
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
TABLE = """# Contributing

| room | includes | libraries |
|---|---|---|
| `base` | | |
| `upper` | `base` | MLIR |
| `test` | all | |
"""
SOUND = {
    "CONTRIBUTING.md": TABLE,
    "base/Sum.h": SPDX + '#pragma once\n\nint sum(int a, int b);\n',
    "base/Sum.cpp": SPDX + "//\n// Sums.\n" + '#include "base/Sum.h"\n\n'
                    "int sum(int a, int b) { return a + b; }\n",
    "base/Inline.h": SPDX + '#pragma once\n\n#include "base/Lone.h"\n',
    "base/Lone.h": SPDX + "#pragma once\n",
    "upper/Ops.td": SPDX + "```\n" + "x" * 90 + "\n```\n",
    "upper/Use.h": SPDX + '#pragma once\n\n#include "base/Sum.h"\n'
                   '#include "mlir/IR/Builders.h"\n',
    "upper/Use.cpp": SPDX + "//\n// Uses sums.\n"
                     '#include "upper/Use.h"\n',
    "test/CMakeLists.txt": "# " + SPDX[3:] + "set(LONE_HEADERS\n"
                           "  base/Inline.h)\n",
    TEST: SPDX + "//\n// Tests uses.\n"
                    '#include "upper/Use.h"\n',
}

# What is changed, and what must be said.
BROKEN = [
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"].replace("a + b", "a+b")},
     "base/Sum.cpp:6: clang-format-22 gives it another form"),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"] + "// " + "x" * 78 + "\n"},
     "base/Sum.cpp:7: has 81 columns, expected at most 80"),
    ({"upper/Ops.td": SOUND["upper/Ops.td"] + "x" * 81 + "\n"},
     "upper/Ops.td:5: has 81 columns, expected at most 80"),
    ({"test/CMakeLists.txt": SOUND["test/CMakeLists.txt"] + "#" * 81},
     "test/CMakeLists.txt:4: has 81 columns, expected at most 80"),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"].removeprefix(SPDX)},
     "base/Sum.cpp:1: expected 'SPDX-License-Identifier: Apache-2.0' in the "
     "first line"),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"].replace("//\n// Sums.\n", "")},
     "base/Sum.cpp:2: expected a comment of what the file is, after '//'"),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"] + "// x\n" * 495},
     "base/Sum.cpp:501: the file has 501 lines, expected at most 500: which "
     "two files is it?"),
    ({TEST: SOUND[TEST] + "// x\n" * 597},
     TEST + ":601: the file has 601 lines, expected at most 600: which "
     "two files is it?"),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"].replace("base/Sum.h", "Sum.h"),
      TEST: SOUND[TEST].replace("upper/Use", "base/Sum")},
     'base/Sum.cpp:4: expected a path from the repository\'s root, found '
     '"Sum.h"\n'
     'base/Sum.cpp:4: expected its own header "base/Sum.h" first'),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"].replace(
        '#include "base', '#include <vector>\n\n#include "base')},
     'base/Sum.cpp:4: expected its own header "base/Sum.h" first'),
    ({"base/New.h": SPDX + "#pragma once\n"},
     "base/New.h:1: no source includes it first, so nothing shows that it "
     "compiles by itself"),
    ({"base/Sum.cpp": SOUND["base/Sum.cpp"].replace(
        '#include "base/Sum.h"\n',
        '#include "base/Sum.h"\n\n#include "upper/Use.h"\n')},
     'base/Sum.cpp:6: base may not include MLIR: found "upper/Use.h"\n'
     'base/Sum.cpp:6: base may not include upper: found "upper/Use.h"'),
    ({"base/Sum.h": SOUND["base/Sum.h"].replace(
        "once\n", "once\n\n#include <llvm/ADT/StringRef.h>\n")},
     'base/Sum.cpp:4: base may not include MLIR: found "base/Sum.h"\n'
     'base/Sum.h:4: base may not include MLIR: found "llvm/ADT/StringRef.h"'),
    ({"CONTRIBUTING.md": TABLE.replace("| `base` | |", "| `base` | `upper` |")},
     "CONTRIBUTING.md:3: base may include itself by way of upper"),
    ({"CONTRIBUTING.md": TABLE + "| `gone` | | |\n"},
     "CONTRIBUTING.md:8: there is no room gone"),
    ({"CONTRIBUTING.md": TABLE.replace("| `upper` | `base` | MLIR |\n", "")},
     "upper/Use.cpp:1: its room is not in the table of CONTRIBUTING.md\n"
     "upper/Use.h:1: its room is not in the table of CONTRIBUTING.md"),
    ({"CONTRIBUTING.md": "# Contributing\n"}, "CONTRIBUTING.md:1: expected the "
     "table 'room | includes | libraries'"),
]


def lint(script, changes):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in {**SOUND, **changes}.items():
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run(["git", "init", "-q", folder], check=True)
        done = subprocess.run([script, folder], capture_output=True, text=True)
        return done.returncode, done.stdout.strip() + done.stderr.strip()


def main():
    failures = 0
    for changes, expected in [({}, ""), *BROKEN]:
        status, found = lint(sys.argv[1], changes)
        # Without a table every file lacks its room.
        agrees = found.startswith(expected) \
            if changes.get("CONTRIBUTING.md") == "# Contributing\n" \
            else found == expected
        if status != (1 if expected else 0) or not agrees:
            failures += 1
            print(f"expected: {expected}\nfound ({status}): {found}\n")
    print(f"{len(BROKEN) + 1 - failures} of {len(BROKEN) + 1} as expected")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
