#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Compares our tokenizer with the PyPI package `tokenizers`, encode, decode and
# streaming, on every assigned code point (alone and inside words), the corpora
# in ../shared/data, and random text, for the real tokenizers there and for
# small made-up ones with each normalizer, pre-tokenizer and decoder.
#
#   compare_with_tokenizers.py TokenizerFilter [--shared DIR] [--only SUBSTRING]
#       [--quick]
#
# Exits with 77, which ctest reports as skipped, when `tokenizers` is missing.
import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

try:
    import tokenizers
except ImportError:
    print("skipped: the Python package tokenizers cannot be imported")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent


class Ours:
    """Collects requests, then runs the filter once."""

    def __init__(self, program, path):
        self.command = [program, str(path)]
        self.requests = []
        self.checks = []

    def ask(self, letter, flags, payload, expected, what):
        self.requests.append(struct.pack("<cBI", letter, flags, len(payload)))
        self.requests.append(payload)
        self.checks.append((letter, expected, what))

    def run(self):
        """Returns a list of differences."""
        done = subprocess.run(self.command, input=b"".join(self.requests),
                              stdout=subprocess.PIPE, check=False)
        answers, at, differences = done.stdout, 0, []
        for letter, expected, what in self.checks:
            if at + 4 > len(answers):
                differences.append(("no answer", what))
                break
            (length,) = struct.unpack_from("<I", answers, at)
            answer = answers[at + 4:at + 4 + length]
            at += 4 + length
            if answer != expected:
                got = (struct.unpack(f"<{length // 4}i", answer)
                       if letter == b"e" else answer)
                want = (struct.unpack(f"<{len(expected) // 4}i", expected)
                        if letter == b"e" else expected)
                differences.append((what, got, want))
        count = len(self.checks)
        self.requests, self.checks = [], []
        return count, differences


def pack(ids):
    return struct.pack(f"<{len(ids)}i", *ids)


def assigned():
    return [c for c in range(0x110000)
            if unicodedata.category(chr(c)) not in ("Cs", "Co")]


def random_texts(rng, count):
    points = assigned()
    special = ["'s", "'LL", "'\u017f", " ", "  ", "\n", "\r\n", "\t", "\u3000",
               "\u00a0", "1234", "\u0661", "\u2581", "<s>", "</s>", "<unk>",
               "<|im_start|>", "<|endoftext|>", "[X]", "<0x41>", "e\u0301",
               "\u1100\u1161\u11a8", "\u0334\u0301\u0345", "the ", "hello"]
    for i in range(count):
        parts = []
        for _ in range(rng.randrange(1, 40)):
            k = rng.randrange(8)
            if k < 3:
                parts.append(rng.choice(special))
            elif k < 5:
                parts.append(chr(rng.randrange(0x20, 0x7F)))
            elif k == 5:
                parts.append(chr(rng.randrange(0x80, 0x3100)))
            elif k == 6:
                parts.append(chr(rng.choice(points)))
            else:
                parts.append(bytes(rng.randrange(256) for _ in range(6))
                             .decode("utf-8", "replace"))
        yield "".join(parts)


def code_point_texts(quick):
    step = 64 if quick else 1
    for c in assigned()[::step]:
        yield chr(c)
        yield "a" + chr(c) + "b 1" + chr(c) + "2 ." + chr(c) + ", " + chr(c)
    for c in (list(range(0x3100)) + list(range(0xA640, 0xAC00)) +
              list(range(0xF900, 0x10000)))[::step]:
        if unicodedata.category(chr(c)) != "Cs":
            yield "it'" + chr(c) + " '" + chr(c) + "e"


def corpora(shared, quick):
    size = 60_000 if quick else 10_000_000
    folder = shared / "corpora"
    files = sorted(folder.glob("*/*.txt")) + sorted(folder.glob("*/*.jsonl"))
    for path in files:
        text = path.read_bytes()[:size].decode("utf-8", "replace")
        if path.suffix == ".jsonl":
            for line in text.split("\n")[:-1]:
                yield json.loads(line).get("text", line)
        else:
            for at in range(0, len(text), 50_000):
                yield text[at:at + 50_000]


def compare(program, path, texts, rng, label, quick):
    reference = tokenizers.Tokenizer.from_file(str(path))
    reference.no_truncation()
    reference.no_padding()
    ours = Ours(program, path)
    size = max(reference.get_vocab(True).values()) + 1
    total, failures = 0, 0

    def flush():
        nonlocal total, failures
        count, differences = ours.run()
        total += count
        failures += len(differences)
        for difference in differences[:5]:
            print(f"  {label}: {str(difference)[:600]}")

    def decode(ids, what):
        for skip in (False, True):
            want = reference.decode(ids, skip_special_tokens=skip).encode()
            ours.ask(b"d", int(skip), pack(ids), want, ("decode", what, skip))
            ours.ask(b"s", int(skip), pack(ids), want, ("stream", what, skip))

    batch = []

    def encode_batch():
        plain = reference.encode_batch(batch, add_special_tokens=True)
        reference.encode_special_tokens = True
        typed = reference.encode_batch(batch, add_special_tokens=False)
        reference.encode_special_tokens = False
        for text, a, b in zip(batch, plain, typed):
            ours.ask(b"e", 3, text.encode(), pack(a.ids), ("encode", text))
            # What a user typed: ours never yields a special token, and is the
            # same where theirs does not either.
            specials = {i for i, t in
                        reference.get_added_tokens_decoder().items()
                        if t.special and t.content != "<unk>"}
            if not specials & set(b.ids):
                ours.ask(b"e", 0, text.encode(), pack(b.ids), ("typed", text))
            if len(text) < 400:
                decode(a.ids, text)
        batch.clear()

    def parts(text):
        """Normalizer and pre-tokenizer by themselves."""
        normalized = text
        if reference.normalizer:
            normalized = reference.normalizer.normalize_str(text)
            ours.ask(b"n", 0, text.encode(), normalized.encode(),
                     ("normalize", text))
        if reference.pre_tokenizer and normalized:
            pieces = [piece.encode() for piece, _ in
                      reference.pre_tokenizer.pre_tokenize_str(normalized)]
            ours.ask(b"p", 0, normalized.encode(),
                     b"".join(struct.pack("<I", len(p)) + p for p in pieces),
                     ("pre-tokenize", normalized))

    for text in texts:
        if len(text) < 400:
            parts(text)
        batch.append(text)
        if len(batch) == 4096:
            encode_batch()
            flush()
    encode_batch()
    for _ in range(500 if quick else 2000):
        ids = [rng.randrange(size + 3) for _ in range(rng.randrange(1, 30))]
        ids = [i for i in ids if i < size]
        decode(ids, ids)
    flush()
    print(f"{label}: {total} comparisons, {failures} differences", flush=True)
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--shared", type=pathlib.Path,
                        default=HERE.parents[2] / ".." / "shared" / "data")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    failures = 0

    def texts(rng):
        yield from ["", " ", "\n", "a"]
        yield from random_texts(rng, 1000 if args.quick else 20000)
        yield from code_point_texts(args.quick)
        if args.shared.exists():
            yield from corpora(args.shared, args.quick)

    files = sorted(args.shared.glob("tokenizers/*/tokenizer.json"))
    files += sorted(args.shared.glob("stories260K-hf/tokenizer.json"))
    if not files:
        print("skipped in part: no ../shared/data")
    for path in files:
        if args.only in str(path):
            rng = random.Random(1)
            failures += compare(args.program, path, texts(rng), rng,
                                path.parent.name, args.quick)

    # Small tokenizers made here, one for each kind of part.
    sys.path.insert(0, str(HERE))
    import make_fixtures
    for name, data in make_fixtures.variants():
        if args.only not in name:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(data, file)
            file.flush()
            rng = random.Random(2)

            def short_texts():
                yield from ["", " ", "\n", "a"]
                yield from random_texts(rng, 300 if args.quick else 5000)
                yield from code_point_texts(args.quick)

            failures += compare(args.program, pathlib.Path(file.name),
                                short_texts(), rng, name, args.quick)
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
