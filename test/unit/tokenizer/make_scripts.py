#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# usage: make_scripts.py
#
# Writes data/scripts.golden.json: characters at both sides of every border of
# every script, by the script that `tokenizers` finds them in.
import json
import pathlib
import re
import sys

from tokenizers import Regex, pre_tokenizers

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "runtime" / "text" / "tokenizer"
sys.path.insert(0, str(SOURCE))
from make_script_tables import NAMES  # noqa: E402


def main():
    table = (SOURCE / "ScriptTables.inc").read_text()
    points = set()
    for first, last in re.findall(r"\{0x(\w+), 0x(\w+), \d+\}", table):
        first, last = int(first, 16), int(last, 16)
        points.update((first - 1, first, (first + last) // 2, last, last + 1))
    points = [chr(c) for c in sorted(points)
              if 0 <= c < 0x110000 and not 0xD800 <= c < 0xE000]
    result, rest = {}, set(points)
    for names in NAMES.replace("\n", " ").split(","):
        split = pre_tokenizers.Split(Regex(r"\p{%s}+" % names.split()[0]),
                                     "removed")
        found = set(points)
        for at in range(0, len(points), 500):
            for piece, _ in split.pre_tokenize_str(
                    "".join(points[at:at + 500])):
                found.difference_update(piece)
        result[names.strip()] = sorted(map(ord, found))
        assert found <= rest, names
        rest -= found
    result["Unknown Zzzz"] = sorted(map(ord, rest))
    rows = [json.dumps(name) + ":" + json.dumps(found, separators=(",", ":"))
            for name, found in result.items()]
    (HERE / "data" / "scripts.golden.json").write_text(
        "{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
