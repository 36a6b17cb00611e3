# SPDX-License-Identifier: Apache-2.0
#
# The form of every error that a program prints: "PROGRAM: error: PLACE: .." in
# one lower-case sentence on one line. test/unit/ErrorForm.h asks the same of
# the libraries' errors.
import os
import re

TRACES = ("std::", "bad_alloc", "terminate", "what()", "Stack dump",
          "basic_string", ".cpp:", "0x0000", "PLEASE submit")
SYSTEM = tuple(os.strerror(number) for number in range(1, 134))


def is_name(text):
    """Whether the first word may begin with a capital letter."""
    word = re.split(r"[ ,;:]", text)[0]
    return any(not letter.islower() for letter in word[1:])


def form_fault(line):
    """What an error's form lacks, or ""; `line` begins with the program."""
    match = re.fullmatch(r"(fairy2-[a-z]+): error: (.*)", line)
    if not match:
        return "is not 'fairy2-NAME: error: ..'"
    text = match.group(2)
    for trace in TRACES:
        if trace in text:
            return f"holds '{trace}'"
    # Two dots stand for the rest of a long value.
    if not text or text[-1] in ". :" and not text.endswith(".."):
        return "has an end that is none of a sentence's"
    if text.find(": ") < 1:
        return "names no place before a colon"
    for at in re.finditer(": ", text):
        rest = text[at.end():]
        if rest[:1].isupper() and not is_name(rest) \
                and not rest.startswith(SYSTEM):
            return f"goes on in capitals at '{rest}'"
    return ""
