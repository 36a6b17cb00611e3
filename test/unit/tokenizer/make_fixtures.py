#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Makes small tokenizers of every kind with the PyPI package `tokenizers`,
# trained on the text below. Run by hand, it writes those in data/ and what
# `tokenizers` makes of some texts, so that our tests need no Python;
# compare_with_tokenizers.py imports variants().
import json
import pathlib
import random
import struct

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                        normalizers, pre_tokenizers, processors, trainers)

DATA = pathlib.Path(__file__).resolve().parent / "data"
SEEDS = DATA.parent.parent.parent / "fuzz" / "seeds" / "tokenizer"

TEXT = """A compiler reads what people write and tells a machine what to do.
It reads every file once, it keeps what matters, and it forgets the rest.
The phases of a number are one, minus one, i and minus i; there are no others.
In 2026 we counted 4096 rows, 11008 columns and 32 layers: 1, 2, 3 ... 100!
"Who's there?" she'd ask. "It's me," he'd say, "I've come; we'll see, they're
late, I'm not." Don't you think that the unit tests' names should be longer?
def add(a, b):
\treturn a + b  # the sum, not the difference
for (int i = 0; i < n; ++i) { total += values[i] * 2.5; }
Größe, naïve, café, señor, Ångström, œuvre, Straße, ÇA, İstanbul, ŞIŞLI.
Привет, мир! Καλημέρα κόσμε. שלום עולם. مرحبا بالعالم. नमस्ते दुनिया.
你好，世界。こんにちは世界。안녕하세요 세계. สวัสดีชาวโลก. 🙂🙃👩‍👩‍👧 → ∑ ∞ ≠ ½ ² ₃ Ⅷ
the the the and and and of of to to in in is is that it was for on are as with
"""

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = CL100K % r"\p{N}{1,3}"
QWEN2 = CL100K % r"\p{N}"
O200K = ("|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+",
    r"\s+(?!\S)", r"\s+"]))
DEEPSEEK = ("|".join([
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+""",
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+", r" ?[\p{P}\p{S}]+[\r\n]*",
    r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]))


def lines():
    return TEXT.splitlines(keepends=True)


def byte_level(pattern=GPT2, size=340, **model):
    """Byte-level BPE as GPT-2, Llama-3 and Qwen have it."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(lines(), trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def byte_fallback(size=480):
    """BPE on characters with byte tokens, as Llama-2 has it."""
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Sequence([
        normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    trained.train_from_iterator(lines(), trainers.BpeTrainer(
        vocab_size=size - 259, limit_alphabet=70, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>"]))
    data = json.loads(trained.to_str())
    vocab = dict.fromkeys(["<unk>", "<s>", "</s>"] + byte_tokens)
    vocab.update(dict.fromkeys(sorted(data["model"]["vocab"],
                                      key=data["model"]["vocab"].get)))
    data["model"].update(
        vocab={piece: i for i, piece in enumerate(vocab)},
        byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(),
        decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def unigram(size=260, byte_tokens=False):
    """A Unigram model with Metaspace, as T5 and Gemma's relatives have it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(lines(), trainers.UnigramTrainer(
        vocab_size=size, unk_token="<unk>", show_progress=False,
        special_tokens=["<unk>", "</s>"]))
    data = json.loads(tokenizer.to_str())
    if byte_tokens:
        data["model"]["byte_fallback"] = True
        data["model"]["vocab"] += [[f"<0x{b:02X}>", 0.0] for b in range(256)]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def with_added(tokenizer):
    """Adds a token for every flag and pair of flags."""
    tokenizer.add_special_tokens([
        "<|start|>", "<|end|>", AddedToken("<|left|>", lstrip=True),
        AddedToken("<|right|>", rstrip=True),
        AddedToken("<mask>", lstrip=True, rstrip=True, single_word=True),
        AddedToken("<|É|>", normalized=True)])
    tokenizer.add_tokens([
        AddedToken("compiler", single_word=True),
        AddedToken("compilers", normalized=False),
        AddedToken("Straße"), AddedToken("  ", normalized=False),
        AddedToken("e\u0301", normalized=True),
        AddedToken("[X]", lstrip=True, normalized=True)])
    return tokenizer


def fixtures():
    """Name and tokenizer of each fixture that is committed."""
    gpt2 = with_added(byte_level())
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    yield "gpt2", gpt2
    llama3 = byte_level(LLAMA3, ignore_merges=True)
    llama3.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A",
            special_tokens=[("<|begin_of_text|>", 340)])])
    yield "llama3", llama3
    qwen2 = byte_level(QWEN2)
    qwen2.normalizer = normalizers.NFC()
    qwen2.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    qwen2.add_tokens([AddedToken("<think>", normalized=False)])
    yield "qwen2", qwen2
    smollm = byte_level()
    smollm.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    smollm.add_special_tokens(["<|endoftext|>"])
    yield "smollm", smollm
    yield "llama2", byte_fallback()
    yield "unigram", unigram()


NORMALIZERS = {
    "NFC": normalizers.NFC(), "NFD": normalizers.NFD(),
    "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD(),
    "Lowercase": normalizers.Lowercase(), "Nmt": normalizers.Nmt(),
    "StripAccents": normalizers.StripAccents(),
    "Strip": normalizers.Strip(), "StripLeft": normalizers.Strip(True, False),
    "StripRight": normalizers.Strip(False, True),
    "Prepend": normalizers.Prepend("\u2581x"),
    "ReplaceString": normalizers.Replace("a", "bab"),
    "ReplaceRegex": normalizers.Replace(Regex(r"\s+"), " "),
    "ReplaceEmptyMatches": normalizers.Replace(Regex(r"\d*"), "-"),
    "ReplaceWords": normalizers.Replace(Regex(r"(\w)\W+(?=\w)"), "_"),
    "ByteLevel": normalizers.ByteLevel(),
    "Sequence": normalizers.Sequence([
        normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Strip()]),
}

BEHAVIORS = ["removed", "isolated", "merged_with_previous",
             "merged_with_next", "contiguous"]

PRE_TOKENIZERS = {
    "ByteLevel": pre_tokenizers.ByteLevel(False),
    "ByteLevelPrefix": pre_tokenizers.ByteLevel(True),
    "ByteLevelNoRegex": pre_tokenizers.ByteLevel(False, use_regex=False),
    "Whitespace": pre_tokenizers.Whitespace(),
    "WhitespaceSplit": pre_tokenizers.WhitespaceSplit(),
    "BertPreTokenizer": pre_tokenizers.BertPreTokenizer(),
    "Digits": pre_tokenizers.Digits(False),
    "DigitsIndividual": pre_tokenizers.Digits(True),
    "CharDelimiterSplit": pre_tokenizers.CharDelimiterSplit("e"),
    "MetaspaceAlways": pre_tokenizers.Metaspace(),
    "MetaspaceFirst": pre_tokenizers.Metaspace(prepend_scheme="first"),
    "MetaspaceNever": pre_tokenizers.Metaspace("_", "never", False),
    "SequenceOfMetaspace": pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace(prepend_scheme="first")]),
    "SequenceOfAll": pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("merged_with_previous"),
        pre_tokenizers.Digits(True), pre_tokenizers.Whitespace(),
        pre_tokenizers.ByteLevel(True)]),
    **{f"Punctuation_{b}": pre_tokenizers.Punctuation(b) for b in BEHAVIORS},
    **{f"SplitString_{b}": pre_tokenizers.Split("a", b) for b in BEHAVIORS},
    **{f"SplitRegex_{b}": pre_tokenizers.Split(Regex(r"\s|\p{L}"), b)
       for b in BEHAVIORS},
    **{f"SplitInvert_{b}": pre_tokenizers.Split(Regex(r"\w+|\d"), b, True)
       for b in BEHAVIORS},
    "SplitEmptyMatches": pre_tokenizers.Split(Regex(r"(?=\p{Lu})"),
                                              "isolated"),
    "SplitLines": pre_tokenizers.Split(Regex(r"^.*$"), "isolated"),
    "SplitGpt2": pre_tokenizers.Split(Regex(GPT2), "isolated"),
    "SplitLlama3": pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
    "SplitQwen2": pre_tokenizers.Split(Regex(QWEN2), "removed", True),
    # The same three as the regular expression engine sees them.
    "EngineGpt2": pre_tokenizers.Split(Regex("(?:" + GPT2 + ")"), "isolated"),
    "EngineLlama3": pre_tokenizers.Split(Regex("(?:" + LLAMA3 + ")"),
                                         "isolated"),
    "EngineO200k": pre_tokenizers.Split(Regex(O200K), "isolated"),
    "EngineDeepSeek": pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"),
    **{f"Class_{name}": pre_tokenizers.Split(Regex(pattern), "isolated")
       for name, pattern in {
           "s": r"\s", "S": r"\S", "w": r"\w", "W": r"\W", "d": r"\d",
           "D": r"\D", "h": r"\h", "H": r"\H", "L": r"\p{L}", "notL": r"\P{L}",
           "hatN": r"\p{^N}", "Lu": r"\p{Lu}", "M": r"\p{M}", "P": r"\p{P}",
           "S2": r"\p{S}", "inside": r"[\w\d\s\p{So}\h]", "not": r"[^\w\p{P}]",
           "case": r"(?i:'s|K|ve)", "dot": r"a.", "v": r"[\v\f]|\v",
       }.items()},
}

DECODERS = {
    "None": None, "ByteLevel": decoders.ByteLevel(), "Fuse": decoders.Fuse(),
    "ByteFallback": decoders.ByteFallback(),
    "Metaspace": decoders.Metaspace(),
    "MetaspaceNever": decoders.Metaspace(prepend_scheme="never"),
    "ReplaceString": decoders.Replace("ab", "c"),
    "ReplaceRegex": decoders.Replace(Regex("[aeiou]+"), "*"),
    "StripStart": decoders.Strip("a", 1, 0),
    "StripStop": decoders.Strip("a", 0, 1),
    "FuseReplaceStrip": decoders.Sequence([
        decoders.Fuse(), decoders.Replace("abc", "ab"),
        decoders.Strip("a", 2, 0)]),
    "FuseRegex": decoders.Sequence([
        decoders.Fuse(), decoders.Replace(Regex(r"(a|b)+"), "x")]),
    "ByteLevelStrip": decoders.Sequence([
        decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
    "Llama2": decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(),
        decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
}


def odd_tokens():
    """A vocabulary that gives decoders something to do."""
    pieces = ["<unk>", "a", "b", "c", "ab", "ca", "aa", " ", "\u2581",
              "\u2581a", "a\u2581", "Ġa", "Ã", "©", "ÃŁ", "é", "ðŁĻĤ", "ðŁ",
              "<0x41>", "<0xC3>", "<0xa9>", "<0xFF>", "<0xGG>", "<0x4>",
              "##x", "e", "Straße", "\U0001f642", "Ċ"]
    data = json.loads(Tokenizer(models.BPE(unk_token="<unk>")).to_str())
    data["model"]["vocab"] = {p: i for i, p in enumerate(pieces)}
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.add_tokens(["é+", "Ġx y"])
    return tokenizer


def variants():
    """Name and JSON of every tokenizer worth comparing."""
    for name, tokenizer in fixtures():
        yield "fixture_" + name, json.loads(tokenizer.to_str())
    for name, part in NORMALIZERS.items():
        tokenizer = with_added(byte_fallback())
        tokenizer.normalizer = part
        tokenizer.add_tokens(["Größe", "Naïve"])
        yield "normalizer_" + name, json.loads(tokenizer.to_str())
    for name, part in PRE_TOKENIZERS.items():
        tokenizer = with_added(byte_level())
        tokenizer.pre_tokenizer = part
        yield "pre_tokenizer_" + name, json.loads(tokenizer.to_str())
    for name, part in DECODERS.items():
        tokenizer = odd_tokens()
        if part is not None:
            tokenizer.decoder = part
        yield "decoder_" + name, json.loads(tokenizer.to_str())
    bert = byte_fallback()
    bert.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    yield "processor_Bert", json.loads(bert.to_str())
    roberta = byte_fallback()
    roberta.post_processor = processors.RobertaProcessing(("</s>", 2),
                                                          ("<s>", 1))
    yield "processor_Roberta", json.loads(roberta.to_str())
    yield "unigram_bytes", json.loads(
        with_added(unigram(byte_tokens=True)).to_str())
    for fuse in (False, True):
        for fallback in (False, True):
            data = json.loads(byte_fallback().to_str())
            data["model"].update(fuse_unk=fuse, byte_fallback=fallback)
            # A missing byte token makes its character unknown.
            data["model"]["vocab"]["<0x"] = data["model"]["vocab"].pop("<0x80>")
            yield f"unknown_{fuse}_{fallback}", data
    spaced = json.loads(byte_level().to_str())
    spaced["model"]["merges"] = [" ".join(m) for m in spaced["model"]["merges"]]
    yield "merges_with_spaces", spaced


def seeds():
    """Small files for the fuzzer: as many kinds of parts as fit in each."""
    normalizer = list(NORMALIZERS.values())
    pre_tokenizer = list(PRE_TOKENIZERS.values())
    decoder = list(DECODERS.values())
    text = "ab <s>Aé\n ba 1 \u2581".encode()
    for i in range(24):
        model = models.Unigram([("<unk>", 0.0), ("a", -1.0), ("ab", -2.5)], 0,
                               False) if i % 6 == 0 else models.BPE(
            vocab={"a": 0, "b": 1, "ab": 2, "\u2581": 3, "<0x0A>": 4,
                   "\u0120": 5, "<unk>": 6}, merges=[("a", "b")],
            unk_token="<unk>", byte_fallback=i % 2 == 0, fuse_unk=i % 3 == 0,
            ignore_merges=i % 4 == 0)
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizer[i % len(normalizer)]
        tokenizer.pre_tokenizer = pre_tokenizer[i * 3 % len(pre_tokenizer)]
        if decoder[i % len(decoder)] is not None:
            tokenizer.decoder = decoder[i % len(decoder)]
        tokenizer.add_special_tokens(
            [AddedToken("<s>", lstrip=i % 2 == 0, rstrip=i % 3 == 0)])
        tokenizer.add_tokens([AddedToken("ba", single_word=i % 2 == 0)])
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)])
        file = json.dumps(json.loads(tokenizer.to_str()),
                          separators=(",", ":"))
        yield f"{i:02}.json", file.encode() + b"\0" + text
    # SentencePiece files: pieces with a type, then the kind of model.
    pieces = [(b"<unk>", 2), (b"<s>", 3), (b"a", 1), (b"b", 1), (b"ab", 1),
              (b"\xe2\x96\x81", 1), (b"ba", 4), (b"<0x0A>", 6)]
    for kind in (1, 2):
        message = b"".join(
            bytes([10, len(p) + 9, 10, len(p)]) + p +
            b"\x15" + struct.pack("<f", -i) + bytes([24, t])
            for i, (p, t) in enumerate(pieces))
        message += bytes([18, 5, 24, kind, 0x98, 2, 1, 26, 2, 32, 1])
        yield f"{kind}.model", message + b"\0ab ba\n <s>"


def golden_texts():
    rng = random.Random(5)
    yield from ["", " ", "  ", "\n", "a", " a", "a ", "\u2581", "\0"]
    yield from TEXT.splitlines()
    yield from ["I'M here, 'S'Ll it'\u017f ''s 'reread", "1234567 12 3\u0661",
                "x\r\n\r\n  y \n\t z\u3000\u00a0", "e\u0301 \u1100\u1161\u11a8",
                "<s></s><unk><0x41>", "a<|start|>b<|end|> c  <|left|>  <|right|>  d",
                "a<mask>b <mask> c", "compilers compiler compilerx Straße [X] [X]",
                "<|begin_of_text|><|eot_id|>", "<|im_start|>user\n<think>",
                "<|endoftext|>", "\U0001f642\U0001f9d1\u200d\U0001f4bb",
                "the" * 30, "ab " * 40, "9" * 50, "\u0334\u0301\u0345 a\u0301\u0334"]
    for _ in range(10):
        yield "".join(chr(rng.choice([rng.randrange(0x20, 0x7F),
                                      rng.randrange(0xA0, 0x3100),
                                      rng.randrange(0x10000, 0x1F000)]))
                      for _ in range(12))


def main():
    DATA.mkdir(exist_ok=True)
    for name, tokenizer in fixtures():
        text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False,
                          separators=(",", ":"))
        (DATA / f"{name}.json").write_text(text + "\n")
        vectors = []
        for sample in golden_texts():
            ids = tokenizer.encode(sample).ids
            vectors.append({"text": sample, "ids": ids,
                            "decoded": tokenizer.decode(ids)})
        rows = ",\n".join(json.dumps(v, ensure_ascii=False,
                                     separators=(",", ":")) for v in vectors)
        (DATA / f"{name}.golden.json").write_text("[\n" + rows + "\n]\n")
    for name, content in seeds():
        (SEEDS / name).write_bytes(content)


if __name__ == "__main__":
    main()
