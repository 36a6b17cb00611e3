# SPDX-License-Identifier: Apache-2.0
#
# usage: check_assembly.py MODEL_DIR WORK_DIR LAYERS
#
# What no FileCheck line can say of the assembly of every level, which is
# written to WORK_DIR/LEVEL.s: that the innermost loops of the look-up kernels,
# and of the products of many tokens, use the level's instructions and keep their
# sums in registers, and that the code calls nothing but itself and memcpy's kind. LAYERS kinds of layers on
# phases have a kernel of their own; LLVM may have inlined it.
import os
import re
import subprocess
import sys

# Per level: the look-up instruction, the operand that shows its width, and
# instructions that have to stand in the same loop.
LEVELS = {
    "x86-64-v4-vnni": (r"vpermb\s.*%zmm", [r"vpdpbusd\s.*%zmm"]),
    "x86-64-v4": (r"vpshufb\s.*%zmm", [r"vpaddw\s.*%zmm"]),
    "x86-64-v3-vnni": (r"vpshufb\s.*%ymm", [r"vpaddw\s.*%ymm"]),
    "x86-64-v3": (r"vpshufb\s.*%ymm", [r"vpaddw\s.*%ymm"]),
    "x86-64-v2": (r"\spshufb\s.*%xmm", [r"\spaddw\s"]),
    "aarch64-dotprod": (r"\btbl\s+v\d+\.16b", [r"\busra\b|\badd\s+v"]),
    "aarch64-neon": (r"\btbl\s+v\d+\.16b", [r"\busra\b|\badd\s+v"]),
}
# Per level with products: the instruction, and how many of it a step of the
# largest group of tokens takes; of pairs of bytes, a block.
PRODUCTS = {
    "x86-64-v4-vnni": (r"vpdpbusd\s.*%zmm", 24),
    "x86-64-v4": (r"vpmaddubsw\s.*%zmm", 64),
    "x86-64-v3-vnni": (r"vpdpbusd\s.*%ymm", 16),
    "x86-64-v3": (r"vpmaddubsw\s.*%ymm", 64),
    "aarch64-dotprod": (r"\bsdot\s+v", 16),
}
# The level's vector registers hold the sums of a loop; the smaller register
# files are known to miss by a few. (An address may come from the stack.)
STACK = r"\(%r[sb]p\).*mm\d|mm\d.*\(%r[sb]p\)"
SPILLS = {"x86-64-v4-vnni": STACK, "x86-64-v4": STACK}
STORE = r"mov\w+\s+%[xyz]mm\d+, "
PREFETCH = r"prefetch|prfm"
CALL = re.compile(r"^\s+(?:callq?|bl|jmp)\s+([A-Za-z_][\w.@]*)")
LABEL = re.compile(r"^([.\w$]+):")
JUMP = re.compile(r"^\s+(?:j\w+|b|b\.\w+|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\d+,)"
                  r"\s+(\.L\w+)\s*$")
MEMORY_FUNCTIONS = {"memcpy", "memmove", "memset"}


def functions(lines):
    """(name, lines) of every function."""
    name, body = None, []
    for line in lines:
        label = LABEL.match(line)
        if label and not label.group(1).startswith(".L"):
            if name:
                yield name, body
            name, body = label.group(1), []
        elif name:
            body.append(line)
    if name:
        yield name, body


def innermost_loops(body):
    """Line ranges from a label to a jump back to it that hold no other one."""
    labels = {}
    loops = []
    for number, line in enumerate(body):
        label = LABEL.match(line)
        if label:
            labels[label.group(1)] = number
        jump = JUMP.match(line.split("#")[0].split("//")[0].rstrip())
        if jump and jump.group(1) in labels:
            loops.append((labels[jump.group(1)], number))
    return [body[begin:end + 1] for begin, end in loops
            if not any(begin <= b and e <= end and (b, e) != (begin, end)
                       for b, e in loops)]


def count(pattern, lines):
    return sum(1 for line in lines if re.search(pattern, line))


def levels():
    """Every level that looks tables up."""
    table = subprocess.run(["fairy2-compile", "--print-targets"], check=True,
                           capture_output=True, text=True).stdout
    rows = [line.split() for line in table.splitlines()[1:]]
    return [row[0] for row in rows if row[2] != "scalar"]


def check(path, level, layers):
    """The level's failures."""
    if level not in LEVELS:
        return [f"{level}: expected a row of LEVELS in check_assembly.py"]
    lookup, companions = LEVELS[level]
    with open(path) as file:
        lines = file.read().splitlines()
    failures = []
    hot, multiplying = [], []
    product, products = PRODUCTS.get(level, (r"$^", 1))
    defined = {name for name, _ in functions(lines)}
    for name, body in functions(lines):
        for line in body:
            call = CALL.match(line)
            target = call and call.group(1).split("@")[0]
            if target and target not in defined | MEMORY_FUNCTIONS:
                failures.append(f"{name}: calls {target}")
        # The hot loops fetch ahead; those for rare wide blocks do not. Those
        # that decode codes for products do, and store bytes.
        hot += [(name, loop) for loop in innermost_loops(body)
                if count(lookup, loop) >= 4 and count(PREFETCH, loop)
                and not (level in PRODUCTS and count(STORE, loop) >= 8)]
        multiplying += [(name, loop) for loop in innermost_loops(body)
                        if count(product, loop) >= products
                        and not count(lookup, loop)]
    if len(hot) < layers:
        failures.append(f"expected {layers} loops that fetch ahead and hold "
                        f"four of '{lookup}', found {len(hot)}")
    for name, loop in hot:
        for companion in companions:
            if not count(companion, loop):
                failures.append(f"{name}: no '{companion}' in its loop")
        spills = count(SPILLS.get(level, r"$^"), loop)
        if spills:
            failures.append(f"{name}: {spills} stack accesses in its loop")
        print(f"{name}: {count(lookup, loop)} look-ups, {spills} stack "
              f"accesses in {len(loop)} lines")
    if level in PRODUCTS and len(multiplying) < layers:
        failures.append(f"expected {layers} loops with {products} of "
                        f"'{product}', found {len(multiplying)}")
    for name, loop in multiplying:
        spills = count(STACK, loop)
        if spills and level in SPILLS or count(product, loop) != products:
            failures.append(f"{name}: {spills} stack accesses and "
                            f"{count(product, loop)} products in a loop")
        print(f"{name}: {count(product, loop)} products in {len(loop)} lines")
    return [f"{level}: {failure}" for failure in failures]


def main():
    model, folder, layers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    failures = []
    for level in levels():
        path = os.path.join(folder, level + ".s")
        subprocess.run(["fairy2-compile", model, "-o", path, "--emit=asm",
                        "--target=" + level], check=True)
        failures += check(path, level, layers)
    for failure in failures:
        print("error:", failure)
    sys.exit(1 if failures else 0)


main()
