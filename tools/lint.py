#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tools/lint.sh checks:

- C++ has the form that clang-format 22 gives it;
- lines have at most 80 columns (.td files: outside of their examples);
- a .cpp begins with the SPDX line and a comment of what the file is;
- files have at most 500 lines, tests 600, tables any number;
- includes with quotes give the path from the repository's root;
- headers compile by themselves: a .cpp includes its own header first, and every
  header is the first include of some source, or of a header that is, or is
  listed in LONE_HEADERS of test/CMakeLists.txt;
- rooms include in one direction: the table "Rooms" of CONTRIBUTING.md.

Usage: lint.py FOLDER
"""
import concurrent.futures
import os
import re
import subprocess
import sys

COLUMNS = 80
LINES, TEST_LINES = 500, 600
# Data in the form of code, which no reader goes through line by line.
TABLES = {"runtime/text/jinja/CaseTables.inc",
          "runtime/text/tokenizer/ScriptTables.inc",
          "runtime/text/tokenizer/UnicodeTables.inc"}
# Declarations that stand in for a package's own, and are found by -isystem.
FOREIGN = "trainer/distributed/gloo-declarations/"
# Its list LONE_HEADERS is compiled, each header by itself.
LONE_HEADERS = "test/CMakeLists.txt"
SOURCES = (".cpp", ".cu", ".c")
CODE = SOURCES + (".h", ".inc")
LIBRARIES = {"mlir": "MLIR", "mlir-c": "MLIR", "llvm": "MLIR", "llvm-c": "MLIR",
             "torch": "LibTorch", "ATen": "LibTorch", "c10": "LibTorch"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')

faults = []


def fault(path, line, sentence):
    faults.append((path, line, sentence))


def tracked_files():
    """Also those that are about to be added."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if name and os.path.isfile(name)})


def check_format(paths):
    def faults_in(some):
        done = subprocess.run(
            ["clang-format-22", "--dry-run", "--ferror-limit=1", *some],
            capture_output=True, text=True)
        # FILE:LINE:COLUMN: warning: code should be clang-formatted
        found = re.findall(r"^(.+?):(\d+):\d+: ", done.stderr, re.MULTILINE)
        if done.returncode != 0 and not found:
            raise SystemExit(done.stderr)
        return found

    workers = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        parts = [paths[i::4 * workers] for i in range(4 * workers)]
        for found in pool.map(faults_in, filter(None, parts)):
            for path, line in found:
                fault(path, int(line), "clang-format-22 gives it another form")


class Source:
    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            self.lines = file.read().split("\n")
        if not self.lines[-1]:
            self.lines.pop()
        # (line, path, in quotes), in order
        self.includes = []
        if path.endswith(CODE):
            for number, line in enumerate(self.lines, 1):
                if found := INCLUDE.match(line):
                    self.includes.append((number, found[1] or found[2],
                                          found[1] is not None))


def check_columns(source):
    in_example = False
    for number, line in enumerate(source.lines, 1):
        if source.path.endswith(".td") and "```" in line:
            in_example = not in_example
        # A regular expression in a raw string cannot be broken.
        if len(line) > COLUMNS and not in_example and 'R"(' not in line:
            fault(source.path, number,
                  f"has {len(line)} columns, expected at most {COLUMNS}")


def check_beginning(source):
    wanted = "SPDX-License-Identifier: Apache-2.0"
    if not source.lines or wanted not in source.lines[0]:
        fault(source.path, 1, f"expected '{wanted}' in the first line")
    elif source.path.endswith(".cpp"):
        comment = [line for line in source.lines[1:3] if line[2:].strip()]
        if not comment or not comment[0].startswith("//"):
            fault(source.path, 2,
                  "expected a comment of what the file is, after '//'")


def check_length(source):
    most = TEST_LINES if source.path.startswith("test/") else LINES
    if source.path not in TABLES and len(source.lines) > most:
        fault(source.path, most + 1,
              f"the file has {len(source.lines)} lines, expected at most "
              f"{most}: which two files is it?")


def check_paths(source, sources):
    for number, target, quoted in source.includes:
        # Generated files have no source of their own.
        known = target in sources or target.endswith(".inc")
        if quoted and not known and target.split("/")[0] not in LIBRARIES:
            fault(source.path, number,
                  f"expected a path from the repository's root, found "
                  f'"{target}"')


def check_headers(sources):
    """A header that is included before all else compiles by itself."""
    first = {}
    for path, source in sources.items():
        if source.includes:
            first[path] = source.includes[0][1]
    alone = {first[path] for path in first if path.endswith(SOURCES)}
    with open(LONE_HEADERS, encoding="utf-8") as file:
        listed = re.search(r"set\(LONE_HEADERS([^)]*)\)", file.read())
    alone.update(listed[1].split() if listed else [])
    waiting = list(alone)
    while waiting:
        target = first.get(waiting.pop())
        if target and target not in alone:
            alone.add(target)
            waiting.append(target)
    for path, source in sources.items():
        if path.endswith(".h") and not path.startswith(FOREIGN):
            if path not in alone:
                fault(path, 1, "no source includes it first, so nothing shows "
                      "that it compiles by itself")
        own = os.path.splitext(path)[0] + ".h"
        if path.endswith(".cpp") and own in sources and first.get(path) != own:
            line = source.includes[0][0] if source.includes else 1
            fault(path, line, f'expected its own header "{own}" first')


class Rooms:
    """The table of CONTRIBUTING.md: room -> what it may include."""

    def __init__(self, path):
        self.includes, self.libraries, self.together = {}, {}, {}
        self.path, self.line = path, 1
        in_table = False
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.startswith("| room | includes |"):
                    in_table, self.line = True, number
                elif in_table and not line.startswith("|"):
                    break
                elif in_table and "`" in line:
                    self.add(number, line)
        if not self.includes:
            fault(path, 1, "expected the table 'room | includes | libraries'")

    def add(self, number, line):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        rooms = re.findall(r"`([^`]+)`", cells[0])
        for room in rooms:
            if not os.path.exists(room) and not os.path.exists(room + ".h"):
                fault(self.path, number, f"there is no room {room}")
            self.together[room] = set(rooms)
            self.includes[room] = None if cells[1] == "all" else \
                set(re.findall(r"`([^`]+)`", cells[1])) | set(rooms)
            self.libraries[room] = set(cells[2].replace(",", " ").split())

    def of(self, path):
        """The longest name in the table that `path` begins with."""
        best = ""
        for room in self.includes:
            if path.startswith((room + "/", room + ".")) or path == room:
                best = max(best, room, key=len)
        return best

    def check_order(self):
        """No room may include itself by way of others."""
        order, state = [], {}

        def visit(room):
            if state.get(room) == "open":
                fault(self.path, self.line, f"{room} may include itself by way "
                      f"of {order[-1]}")
            if room in state or not self.includes.get(room):
                return
            state[room] = "open"
            order.append(room)
            for other in sorted(self.includes[room] - self.together[room]):
                if other not in self.includes:
                    fault(self.path, self.line,
                          f"{room} may include {other}, which has no row")
                visit(other)
            order.pop()
            state[room] = "done"

        for room in self.includes:
            visit(room)

    def check(self, sources):
        reached = {}

        def libraries_of(path):
            """Library -> the include that leads to it."""
            if path not in reached:
                reached[path] = {}
                for line, target, _ in sources[path].includes:
                    if library := LIBRARIES.get(target.split("/")[0]):
                        reached[path].setdefault(library, (line, target))
                    elif target in sources:
                        for library in libraries_of(target):
                            reached[path].setdefault(library, (line, target))
            return reached[path]

        for path, source in sources.items():
            if not path.endswith(CODE) or path.startswith(FOREIGN):
                continue
            room = self.of(path)
            if not room:
                fault(path, 1, "its room is not in the table of "
                      "CONTRIBUTING.md")
                continue
            allowed = self.includes[room]
            for line, target, _ in source.includes:
                other = self.of(target) if target in sources else room
                if allowed is not None and other not in allowed:
                    fault(path, line, f"{room} may not include {other}: found "
                          f'"{target}"')
            for library, (line, target) in libraries_of(path).items():
                if allowed is not None and \
                        library not in self.libraries[room]:
                    fault(path, line, f"{room} may not include {library}: "
                          f'found "{target}"')


def main():
    os.chdir(sys.argv[1])
    sources = {}
    for path in tracked_files():
        name = os.path.basename(path)
        if path.endswith(CODE + (".td", ".cmake")) or name == "CMakeLists.txt":
            sources[path] = Source(path)
    for path, source in sources.items():
        if path in TABLES:
            continue
        check_columns(source)
        check_beginning(source)
        if path.endswith(CODE):
            check_length(source)
            check_paths(source, sources)
    check_format([path for path in sources
                  if path.endswith(CODE) and path not in TABLES])
    check_headers(sources)
    rooms = Rooms("CONTRIBUTING.md")
    rooms.check_order()
    rooms.check(sources)
    for path, line, sentence in sorted(faults):
        print(f"{path}:{line}: {sentence}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
