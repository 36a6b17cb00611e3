#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Writes CaseTables.inc: how Python's str changes case where that is more than
# one code point for another, and which characters a final sigma looks at, found
# by asking it. Needs a Python that knows Unicode 14 (3.11).
# Usage: make_case_tables.py > CaseTables.inc
import os
import sys
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../tokenizer"))
from inc_tables import of_range, ranges, write_table  # noqa: E402

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def mapping(change):
    """[(code point, what it becomes)] where that is several."""
    return [(c, change(chr(c))) for c in CODE_POINTS if len(change(chr(c))) > 1]


def of_mapping(c, to):
    codes = ", ".join(f"{ord(part):#x}" for part in to)
    return f"{{{c:#x}, {{{codes}}}}}"


def is_final(before):
    """Whether lower() makes a final sigma after it."""
    return (before + "\u03a3").lower().endswith("\u03c2")


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    print("// SPDX-License-Identifier: Apache-2.0")
    print("//")
    print("// Written by make_case_tables.py, which says what this is.")
    for name, change in (("upper", str.upper), ("title", str.title)):
        print(f"\n// What str.{name} makes of one.")
        write_table(f"CaseMapping {name}Mappings",
                    [of_mapping(*entry) for entry in mapping(change)])
    assert [c for c, _ in mapping(str.lower)] == [0x130]
    ignorable = [c for c in CODE_POINTS
                 if is_final("a" + chr(c)) and not is_final(" " + chr(c))]
    cased = [c for c in CODE_POINTS if (chr(c) + "a").title().endswith("a")]
    for comment, name, points in (
            ("What the rule of the final sigma skips.", "ignored", ignorable),
            ("What has a case.", "cased", cased)):
        print(f"\n// {comment}")
        write_table(f"Range {name}", [of_range(*e) for e in ranges(points)])



if __name__ == "__main__":
    main()
