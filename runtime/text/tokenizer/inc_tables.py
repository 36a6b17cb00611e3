# SPDX-License-Identifier: Apache-2.0
#
# What make_script_tables.py and make_unicode_tables.py share: the layout of the
# .inc files that they write to standard output.


def ranges(points, value=lambda c: None):
    """[first, last, value] of neighbours with one value, in order."""
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1 and out[-1][2] == value(c):
            out[-1][1] = c
        else:
            out.append([c, c, value(c)])
    return out


def of_range(first, last, value):
    tail = "" if value is None else f", {value}"
    return f"{{{first:#x}, {last:#x}{tail}}}"


def write_table(declaration, entries):
    """An array of entries that are C++ already, in lines of 80 columns."""
    print(f"constexpr {declaration}[] = {{")
    line = "   "
    for entry in entries:
        if len(f"{line} {entry},") > 80:
            print(line)
            line = "   "
        line += f" {entry},"
    print(line)
    print("};")
