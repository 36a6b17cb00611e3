# SPDX-License-Identifier: Apache-2.0
#
# usage: check_docs.py SOURCE_DIR
#
# What the Markdown files and the comments say of this repository is there:
# files and folders that they name, links with their anchors, flags of programs,
# keys of recipes. A file may be named from the root or from a folder above the
# text, with or without its extension.
import glob
import os
import re
import shutil
import subprocess
import sys

ENDINGS = ("", ".h", ".cpp", ".td", ".inc")
# Where names of the repository stand outside Markdown.
SOURCES = (".cpp", ".h", ".td", ".inc", ".cu", ".py", ".sh", ".txt", ".cmake",
           ".test", ".mlir", ".yaml", ".in")
PROGRAM = re.compile(
    r"\bfairy2-(?:(?:bench|compile|eval|opt|quantize|run|serve|synth)\b|train(?: tokenize)?\b)"
    r"|\btools/[\w-]+\.sh\b")


def filesOf(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders
                      if not name.startswith((".git", "build", ".cache"))]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def foldersAbove(path):
    """Of `path`, a file's, up to the root."""
    folder = os.path.dirname(path)
    while folder:
        yield folder
        folder = os.path.dirname(folder)
    yield ""


def exists(root, file, name):
    return any(glob.glob(os.path.join(root, folder, name.rstrip("/") + ending))
               for folder in foldersAbove(file) for ending in ENDINGS)


def anchorsOf(text):
    """As GitHub makes them of headings."""
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def withoutBlocks(text):
    """Without lines that show a program's input or output."""
    return "\n".join("" if line.startswith("    ") else line
                     for line in text.split("\n"))


def badLinks(root, file, text):
    for target in re.findall(r"\]\(([^()\s]+)\)", withoutBlocks(text)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(file), path)
                                if path else file)
        if not os.path.exists(os.path.join(root, path)):
            yield f"link to {target}: no such file"
        elif anchor and anchor not in anchorsOf(
                read(os.path.join(root, path))):
            yield f"link to {target}: no such heading"


def isInCode(folder, name):
    """In a source beneath `folder`, other than where it includes a file."""
    word = re.compile(rf"^(?!#include).*\b{name}\b", re.MULTILINE)
    return any(word.search(read(path)) for ending in (".h", ".cpp", ".td")
               for path in glob.glob(os.path.join(folder, "**", "*" + ending),
                                     recursive=True))


def badNames(root, file, text):
    """Words in back quotes that have the form of a path or a source's name,
    and the first column of tables of files."""
    for name in re.findall(
            r"`([\w.*-]+(?:/[\w.*-]*)+|[\w*-]+\.(?:cpp|h|td|inc|cu|sh|py|cmake|"
            r"test|yaml|in))`", withoutBlocks(text)):
        if not name.startswith(("build", "..")) and not exists(
                root, file, name):
            yield f"{name}: no such file"
    # `Name` alone is a file beneath the text, a unit test, or a name in code.
    for name in re.findall(r"`([A-Z][A-Za-z]+)`", withoutBlocks(text)):
        folder = os.path.join(root, os.path.dirname(file))
        if not any(glob.glob(os.path.join(place, "**", name + ".*"),
                             recursive=True)
                   for place in (folder, os.path.join(root, "test/unit"))
                   ) and not isInCode(folder, name):
            yield f"{name}: no such file or name here"
    isTable = False
    for line in text.split("\n"):
        cells = line.split("|")
        if len(cells) < 3:
            isTable = False
        elif cells[1].strip() == "file":
            isTable = True
        elif isTable:
            for name in re.findall(r"[\w./*-]*\w[\w./*-]*", cells[1]):
                if not exists(root, file, name):
                    yield f"table of files: {name}: no such file"


def badPaths(root, file, text, rooms):
    """Paths from the root in comments, scripts and blocks of commands."""
    for name in re.findall(
            r"(?<![\w./~}-])((?:" + "|".join(rooms) + r")/[\w./*-]*\w)", text):
        # Written by the build beside its source.
        if not name.endswith((".h.inc", ".cpp.inc")) and not exists(
                root, file, name):
            yield f"{name}: no such file"
    if re.search(r"README\.md here", text) and not os.path.exists(
            os.path.join(root, os.path.dirname(file), "README.md")):
        yield "README.md in this folder: no such file"


def flagsOf(root, program, cache={}):
    """None where the program is not built."""
    if program not in cache:
        if program.endswith(".sh"):
            path = os.path.join(root, program)
            texts = [read(path)] if os.path.exists(path) else []
            # A script that hands its arguments on takes any.
            texts = [text for text in texts if '"$@"' not in text]
        else:
            words = program.split()
            texts = [subprocess.run(words + ["--help"], capture_output=True,
                                    text=True).stdout
                     ] if shutil.which(words[0]) else []
        cache[program] = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*",
                                        texts[0])) if texts else None
    return cache[program]


def badFlags(root, text):
    """Flags in back quotes or blocks that follow a program or script of ours;
    of a pipe's programs, the one that they follow."""
    text = text.replace("\\\n", " ")
    commands = [line for line in text.split("\n") if line.startswith("    ")]
    commands += [quoted.replace("\n", " ")
                 for quoted in re.findall(r"`([^`]+)`", withoutBlocks(text))]
    for command in commands:
        for part in re.split(r"[;|&]| [#>] | -- ", command):
            found = list(PROGRAM.finditer(part))
            known = flagsOf(root, found[-1].group()) if found else None
            if known is None:
                continue
            for flag in re.findall(r"(?<=[ \[])--?[a-zA-Z][\w-]*",
                                   part[found[-1].end():]):
                if flag not in known:
                    yield f"{found[-1].group()} has no {flag}"


def badKeys(root, text):
    """Keys of recipes that no source of the trainer's runs names."""
    known = "".join(map(read, sorted(glob.glob(
        os.path.join(root, "trainer", "run", "*.cpp")))))
    for key in re.findall(
            r"(?<![\w./-])(?:train|data|teacher|export)\.[a-z]\w+", text):
        if f'"{key}"' not in known:
            yield f"{key}: no such key of a recipe"


def main():
    root = sys.argv[1]
    files = sorted(filesOf(root))
    rooms = sorted({file.split("/")[0] for file in files
                    if "/" in file and not file.startswith(".")})
    problems, texts = [], 0
    for file in files:
        if "/Inputs/" in file or "/seeds/" in file:
            continue
        isMarkdown = file.endswith(".md")
        if not isMarkdown and not file.endswith(SOURCES):
            continue
        text = read(os.path.join(root, file))
        found = list(badPaths(root, file, text, rooms))
        if isMarkdown:
            texts += 1
            found += badLinks(root, file, text)
            found += badNames(root, file, text)
            found += badFlags(root, text)
            found += badKeys(root, text)
        problems += [f"{file}: {problem}" for problem in dict.fromkeys(found)]
    if not texts:
        problems.append(f"{root}: no Markdown files")
    if problems:
        sys.exit("\n".join(["error: the docs name what is not there"] +
                           problems))
    print(f"{texts} texts")


main()
