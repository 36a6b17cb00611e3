#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Compares our reading of tokenizer.model with the PyPI package `sentencepiece`:
# the real files in ../shared/data, and models trained here with each setting.
#
#   compare_with_sentencepiece.py TokenizerFilter
#
# Exits with 77, which ctest reports as skipped, when a package is missing.
import io
import pathlib
import random
import sys
import tempfile

try:
    import sentencepiece
    import tokenizers  # noqa: F401 (for the modules below)
except ImportError as error:
    print(f"skipped: {error.name} cannot be imported")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import compare_with_tokenizers as common  # noqa: E402
import make_fixtures  # noqa: E402

SHARED = HERE.parents[2] / ".." / "shared" / "data"
OWN = {"user_defined_symbols": ["phase", "[X]", "\u2581\u2581", "a\u2581b"]}
SETTINGS = {
    f"{kind}_{name}": dict(model_type=kind, **settings)
    for kind in ("unigram", "bpe") for name, settings in {
        "plain": {}, "bytes": {"byte_fallback": True}, "own": OWN,
        "no_prefix": {"add_dummy_prefix": False},
        "spaces": {"remove_extra_whitespaces": False},
        "neither": {"add_dummy_prefix": False,
                    "remove_extra_whitespaces": False},
    }.items()}


def train(settings):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(make_fixtures.TEXT.splitlines()),
        model_writer=out, normalization_rule_name="identity", minloglevel=2,
        vocab_size=600 if "byte_fallback" in settings else 300,
        hard_vocab_limit=False, **settings)
    return out.getvalue()


def compare(program, path, name):
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = common.Ours(program, path)
    rng = random.Random(3)

    def texts():
        yield from ["", " ", "\n", "a", " a ", "a  b", "\u2581", "\u2581 a\u2581 "]
        yield from common.random_texts(rng, 3000)
        yield from common.code_point_texts(True)
        if SHARED.exists():
            yield from common.corpora(SHARED, True)

    for text in texts():
        if "\0" not in text:
            ours.ask(b"e", 0, text.encode(),
                     common.pack(reference.encode(text)), text)
    count, differences = ours.run()
    for difference in differences[:5]:
        print(f"  {name}: {str(difference)[:600]}")
    print(f"{name}: {count} comparisons, {len(differences)} differences",
          flush=True)
    return len(differences)


def main():
    program = sys.argv[1]
    failures = 0
    for path in sorted(SHARED.glob("**/tokenizer.model")):
        failures += compare(program, path, path.parent.name)
    for name, settings in SETTINGS.items():
        with tempfile.NamedTemporaryFile(suffix=".model") as file:
            file.write(train(settings))
            file.flush()
            failures += compare(program, pathlib.Path(file.name), name)
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
