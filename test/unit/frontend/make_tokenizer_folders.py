#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# usage: make_tokenizer_folders.py
#
# Writes data/tokenizer_folders.json: folders whose tokens lie in several files
# and the ids that transformers 5.24 finds in some texts, null where 4.57 finds
# others. Needs transformers, sentencepiece and protobuf.
import json
import os
import pathlib
import tempfile

import transformers
from sentencepiece import sentencepiece_model_pb2 as pb2

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tokenizer" / "data"
TEXTS = ["<|im_start|>user\nHi<|im_end|>", "the<|im_end|> the", "<s>the</s>the",
         "a<pad>b <extra> c", "", " the", "<|endoftext|>it's 12 Größe",
         "e\u0301 <think> the"]


def token(content, **flags):
    return dict(content=content, lstrip=False, rstrip=False, normalized=False,
                single_word=False, special=True) | flags


def sentencepiece():
    """A small BPE model with byte tokens, scores in the order of the ids."""
    proto = pb2.ModelProto()

    def add(piece, kind, score=0.0):
        proto.pieces.add(piece=piece, type=kind, score=score)
    for piece, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        add(piece, kind)
    for byte in range(256):
        add(f"<0x{byte:02X}>", 6)
    for rank, piece in enumerate(["\u2581t", "he", "\u2581the", "\u2581H", "us",
                                  "er", "\u2581", "t", "h", "e", "H", "i", "u",
                                  "s", "r"]):
        add(piece, 1, -float(rank))
    proto.trainer_spec.model_type = 2
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    return proto.SerializeToString()


def slow_files(fixture):
    model = json.loads((FIXTURES / f"{fixture}.json").read_text())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return {"vocab.json": json.dumps(model["vocab"], ensure_ascii=False),
            "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n"}


def base(name):
    if name == "sentencepiece":
        return {"tokenizer.model": sentencepiece()}
    if name.startswith("slow "):
        return slow_files(name[5:])
    return {"tokenizer.json": (FIXTURES / f"{name}.json").read_text()}


def end_of_ids(fixture):
    file = json.loads((FIXTURES / f"{fixture}.json").read_text())
    return 1 + max([token["id"] for token in file["added_tokens"]] +
                   list(file["model"]["vocab"].values()))


def chat(first, **flags):
    return {str(first): token("<|im_start|>", **flags),
            str(first + 1): token("<|im_end|>", **flags)}


def cases():
    """Base, the files beside it."""
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    llama = {"tokenizer_class": "LlamaTokenizer", "legacy": True,
             "add_bos_token": True}
    end = end_of_ids("llama2")
    yield "llama2", {"tokenizer_config.json": fast}
    yield "llama2", {"tokenizer_config.json":
                     fast | {"added_tokens_decoder": chat(end)}}
    yield "llama2", {"tokenizer_config.json": fast | {
        "added_tokens_decoder": chat(end, special=False, rstrip=True)}}
    yield "llama2", {"tokenizer_config.json": fast | {
        "added_tokens_decoder": {"1": token("<s>", rstrip=True)} | chat(end),
        "pad_token": "<pad>", "additional_special_tokens": ["<extra>"]}}
    yield "llama2", {"tokenizer_config.json": fast | {
        "pad_token": "<pad>", "extra_special_tokens": ["<|im_start|>"]}}
    yield "llama2", {
        "tokenizer_config.json": fast,
        "special_tokens_map.json": {"pad_token": token("<pad>", lstrip=True)}}
    yield "gpt2", {"tokenizer_config.json": fast, "added_tokens.json":
                   {"<think>": end_of_ids("gpt2")}}
    first = 259 + 15  # after the pieces of sentencepiece()
    for legacy in (True, False):
        yield "sentencepiece", {
            "tokenizer_config.json": llama | {"legacy": legacy}}
        yield "sentencepiece", {"tokenizer_config.json": llama | {
            "legacy": legacy, "added_tokens_decoder": chat(first)}}
        yield "sentencepiece", {"tokenizer_config.json": llama | {
            "legacy": legacy, "add_prefix_space": False}}
    yield "sentencepiece", {"tokenizer_config.json": llama, "added_tokens.json":
                            {"<|im_start|>": first, "<|im_end|>": first + 1}}
    yield "sentencepiece", {
        "tokenizer_config.json": llama,
        "special_tokens_map.json": {
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]},
        "added_tokens.json": {"<|im_end|>": first + 1, "<|im_start|>": first}}
    yield "sentencepiece", {"tokenizer_config.json": llama | {
        "add_bos_token": False, "add_eos_token": True, "pad_token": "<pad>"}}
    yield "slow gpt2", {"tokenizer_config.json":
                        {"tokenizer_class": "GPT2Tokenizer"}}
    yield "slow gpt2", {"tokenizer_config.json": {
        "tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True}}
    yield "slow gpt2", {"tokenizer_config.json": {
        "tokenizer_class": "CodeGenTokenizer",
        "added_tokens_decoder": {"340": token("<|endoftext|>"),
                                 "341": token("<think>", special=False)}}}
    yield "slow qwen2", {"tokenizer_config.json": {
        "tokenizer_class": "Qwen2Tokenizer", "bos_token": None,
        "added_tokens_decoder": {"340": token("<|endoftext|>"),
                                 **chat(341)}}}


def disagree(name, files, text):
    """Where 4.57 adds a leading space before a space, as SentencePiece does,
    and 5.24 does not."""
    return (name == "sentencepiece" and
            files["tokenizer_config.json"]["legacy"] and
            (text.startswith(" ") or "|> " in text))


def main():
    rows = []
    for name, files in cases():
        with tempfile.TemporaryDirectory() as folder:
            for file, content in base(name).items():
                mode = "wb" if isinstance(content, bytes) else "w"
                with open(os.path.join(folder, file), mode) as out:
                    out.write(content)
            for file, content in files.items():
                with open(os.path.join(folder, file), "w") as out:
                    json.dump(content, out)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            rows.append(json.dumps({
                "base": name, "files": files,
                "ids": [None if disagree(name, files, text) else
                        tokenizer(text).input_ids for text in TEXTS]},
                ensure_ascii=False))
    result = ('{"texts": %s,\n"sentencepiece": "%s",\n"folders": [\n%s\n]}\n' % (
        json.dumps(TEXTS), sentencepiece().hex(), ",\n".join(rows)))
    (HERE / "data" / "tokenizer_folders.json").write_text(result)


if __name__ == "__main__":
    main()
