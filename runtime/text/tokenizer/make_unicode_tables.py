#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Writes UnicodeTables.inc: what the PyPI package `tokenizers` 0.23.3 believes
# about each code point, found by asking it. It mixes several Unicode versions,
# so no single database would do. Needs a Python that knows Unicode 14 (3.11).
# Usage: make_unicode_tables.py > UnicodeTables.inc
import unicodedata

from inc_tables import of_range, ranges, write_table
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CLASSES = {
    "Letter": r"\p{L}", "Mark": r"\p{M}", "DecimalNumber": r"\p{Nd}",
    "LetterNumber": r"\p{Nl}", "OtherNumber": r"\p{No}",
    "Connector": r"\p{Pc}", "Punctuation": r"[\p{P}&&[^\p{Pc}]]",
}
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk "
              "So Zs Zl Zp Cf").split()


def matching(pattern, among=CODE_POINTS):
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    return {c for c in among if not split.pre_tokenize_str(chr(c))}


def separate(pre_tokenizer):
    """Characters that do not stay together with a letter before them."""
    return {c for c in CODE_POINTS
            if len(pre_tokenizer.pre_tokenize_str("a" + chr(c))) > 1}


def write(comment, declaration, entries):
    print(f"\n// {comment}")
    write_table(declaration, [of_range(*entry) for entry in entries])


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    print("// SPDX-License-Identifier: Apache-2.0")
    print("//")
    print("// Written by make_unicode_tables.py, which says what this is.")

    kind = {}
    for name, pattern in CLASSES.items():
        kind.update(dict.fromkeys(matching(pattern), f"CharClass::{name}"))
    write("Classes of Unicode 16, as \\p{..} has them; the rest is Other.",
          "ClassRange classRanges", ranges(kind, kind.get))

    newer = [c for c in matching(r"\P{Cn}")
             if unicodedata.category(chr(c)) == "Cn"]
    category = {}
    for name in CATEGORIES:
        category.update(dict.fromkeys(matching(rf"\p{{{name}}}", newer),
                                      f'"{name}"'))
    assert len(category) == len(newer)
    write("Code points newer than Unicode 14 and their categories in 16.",
          "CategoryRange newCategories", ranges(category, category.get))

    def difference(normal, probed):
        return ranges(set(normal) ^ set(probed))

    ascii_symbols = set(map(ord, "$+<=>^`|~"))
    punctuation = {c for c in kind if kind[c] in (
        "CharClass::Connector", "CharClass::Punctuation")} | ascii_symbols
    write("Where the Punctuation pre-tokenizer differs from P and ASCII.",
          "Range punctuationDifferences",
          difference(punctuation,
                     separate(pre_tokenizers.Punctuation("isolated"))))

    numbers = {c for c in kind if kind[c].endswith("Number")}
    write("Where the Digits pre-tokenizer differs from N.",
          "Range numericDifferences",
          difference(numbers, separate(pre_tokenizers.Digits(False))))

    strip = normalizers.StripAccents()
    stripped = {c for c in CODE_POINTS if not strip.normalize_str(chr(c))}
    marks = {c for c in kind if kind[c] == "CharClass::Mark"}
    write("Where the StripAccents normalizer differs from M.",
          "Range accentDifferences", difference(marks, stripped))

    nfkd = normalizers.NFKD()
    unknown = (marks - stripped) | set(newer) | {
        c for c in CODE_POINTS
        if unicodedata.normalize("NFKD", chr(c)) != chr(c)
        and nfkd.normalize_str(chr(c)) == chr(c)}
    write("What is too new for the normal forms and stays as it is.",
          "Range unknownToNormalForms", ranges(unknown))


if __name__ == "__main__":
    main()
