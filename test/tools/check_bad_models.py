# SPDX-License-Identifier: Apache-2.0
#
# usage: check_bad_models.py MODEL_DIR WORK_DIR [--no-limit]
#
# Spoils a good checkpoint in one way after the other. fairy2-compile, or
# fairy2-run on what it made, must say so in one sentence with the given words,
# exit with 1 in time and within the memory of the file and 256 MB, and leave no
# output behind.
import json
import os
import resource
import shutil
import struct
import subprocess
import sys

from error_form import form_fault

SECONDS = 30  # for slow machines under load; the aim is 5
MEMORY = 1 << 30  # address space: libraries of LLVM, the file and 256 MB
SANITIZED = "--no-limit" in sys.argv
TEMPLATE = "chat_template.jinja"


class Model:
    """A spoiled copy of the good checkpoint; big files are links."""

    def __init__(self, good, folder):
        self.good, self.folder = good, folder
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for name in os.listdir(good):
            if name.endswith((".json", ".safetensors")):
                shutil.copyfile(os.path.join(good, name), self.path(name))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        if isinstance(content, str):
            content = content.encode()
        with open(self.path(name), "wb") as file:
            file.write(content)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def edit(self, name, change):
        value = json.loads(self.read(name))
        change(value)
        self.write(name, json.dumps(value))

    def edit_header(self, change, data=lambda data: data):
        content = self.read("model.safetensors")
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + length])
        change(header)
        text = json.dumps(header).encode()
        self.write("model.safetensors", struct.pack("<Q", len(text)) + text +
                   data(content[8 + length:]))


def config(**fields):
    return lambda model: model.edit("config.json",
                                    lambda value: value.update(fields))


def text(name, content):
    return lambda model: model.write(name, content)


def header(change, data=lambda data: data):
    return lambda model: model.edit_header(change, data)


def first(header):
    return min((entry for name, entry in header.items()
                if name != "__metadata__"), key=lambda e: e["data_offsets"])


def tokenizer(*path, value):
    def change(root):
        for key in path[:-1]:
            root = root[key]
        root[path[-1]] = value
    return lambda model: model.edit("tokenizer.json", change)


def nan_weight(model):
    content = bytearray(model.read("model.safetensors"))
    content[-2:] = b"\xc0\x7f"  # NaN in bf16, of the last tensor
    model.write("model.safetensors", content)


def shard(name):
    def spoil(model):
        index = {"weight_map": {"model.norm.weight": name}}
        model.write("model.safetensors.index.json", json.dumps(index))
        os.remove(model.path("model.safetensors"))
    return spoil


def pickle(model):
    model.write("model.safetensors", b"PK\x03\x04" + bytes(100))


def only_pickle(model):
    os.rename(model.path("model.safetensors"),
              model.path("pytorch_model.bin"))


def drop(name):
    return lambda h: h.pop(name)


CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENS = "tokenizer.json"
NORM = "model.norm.weight"

# Row of the list, what is spoiled, words of the sentence. T4 is no error: as
# in `tokenizers`, <0x-1> is a piece like any other (TokenizerErrorsTest).
COMPILE = [
    ("C1", text(CONFIG, ""), [CONFIG]),
    ("C2", text(CONFIG, '{"hidden_size": 12'), [CONFIG, "JSON"]),
    ("C3", text(CONFIG, "[" * 100000), [CONFIG, "nested deeper"]),
    ("C4", config(head_dim=7), [CONFIG, "head_dim"]),
    ("C5 hidden", config(hidden_size=2**31), [CONFIG, "hidden_size"]),
    ("C5 layers", config(num_hidden_layers=10**9),
     [CONFIG, "num_hidden_layers"]),
    ("C6", config(num_key_value_heads=3), [CONFIG, "num_key_value_heads"]),
    ("C7 more", config(vocab_size=600), ["model.embed_tokens.weight", "600"]),
    ("C7 fewer", config(vocab_size=511), [TOKENS, "vocab_size", "511"]),
    ("C8 zero", config(rope_theta=0), [CONFIG, "rope_theta"]),
    ("C8 NaN", text(CONFIG, '{"rope_theta": NaN}'), [CONFIG, "JSON"]),
    ("C8 text", config(rope_theta="1e4"), [CONFIG, "rope_theta"]),
    ("C8 scaling", config(rope_scaling={"rope_type": "magic", "factor": 2.0}),
     [CONFIG, "rope_", "magic"]),
    ("C9 act", config(hidden_act="relu2"), [CONFIG, "hidden_act", "relu2"]),
    ("C9 arch", config(architectures=["BitNetForCausalLM"]),
     [CONFIG, "architectures", "BitNetForCausalLM"]),
    ("C10", lambda model: model.write(
        CONFIG, model.read(CONFIG).replace(b"{", b'{"vocab_size": 3,', 1)),
     [CONFIG, "vocab_size"]),
    ("C11 UTF-16", lambda model: model.write(
        CONFIG, model.read(CONFIG).decode().encode("utf-16")),
     [CONFIG, "UTF-16"]),
    ("C11 BOM", lambda model: model.write(
        CONFIG, b"\xef\xbb\xbf" + model.read(CONFIG)),
     [CONFIG, "byte order mark"]),
    ("C11 invalid", lambda model: model.write(
        CONFIG, model.read(CONFIG).replace(b"llama", b"ll\xffma")), [CONFIG]),
    ("S1", text(WEIGHTS, b"\0" * 7), [WEIGHTS, "7 bytes"]),
    ("S1 empty", text(WEIGHTS, b""), [WEIGHTS, "0 bytes"]),
    ("S2", text(WEIGHTS, struct.pack("<Q", 2**63) + b"{}"),
     [WEIGHTS, "9223372036854775808"]),
    ("S3", text(WEIGHTS, struct.pack("<Q", 500) + b"{}"),
     [WEIGHTS, "claims 500 bytes"]),
    ("S4", text(WEIGHTS, struct.pack("<Q", 9) + b'{"\xff": 1}'), [WEIGHTS]),
    ("S5", header(lambda h: first(h).update(shape=[2**42 + 1, 2**22])),
     [WEIGHTS, "shape"]),
    ("S6", header(lambda h: first(h).update(data_offsets=[
        first(h)["data_offsets"][0] + 2, first(h)["data_offsets"][1] + 2])),
     [WEIGHTS, "data_offsets"]),
    ("S7", header(drop(NORM)), [WEIGHTS]),
    ("S8", header(lambda h: None, lambda data: data + b"x"),
     [WEIGHTS, "1 bytes follow"]),
    ("S9 F4", header(lambda h: first(h).update(dtype="F4")),
     [WEIGHTS, "dtype", "F4"]),
    ("S9 space", header(lambda h: first(h).update(dtype="BF16 ")),
     [WEIGHTS, "dtype"]),
    ("S10", header(lambda h: first(h).update(shape=[1, 1])),
     [WEIGHTS, "data_offsets"]),
    ("S11", lambda model: model.write(WEIGHTS, (lambda t: struct.pack(
        "<Q", len(t)) + t)(b'{"a": {}, "a": {}}')), [WEIGHTS, "'a'"]),
    ("S12 missing", header(lambda h: h.__setitem__("other", h.pop(NORM))),
     [NORM]),
    ("S13", nan_weight, ["finite"]),
    ("S14", shard("../../etc/passwd"), ["index.json", "../../etc/passwd"]),
    ("S16", pickle, [WEIGHTS, "pickle", "save_pretrained"]),
    ("S16 bin", only_pickle, ["pytorch_model.bin", "save_pretrained"]),
    ("T2 twice", tokenizer("model", "vocab", "a", value=0), [TOKENS, "vocab"]),
    ("T2 large", tokenizer("model", "vocab", "newpiece", value=512),
     [TOKENS, "vocab_size"]),
    ("T2 negative", tokenizer("model", "vocab", "a", value=-1),
     [TOKENS, "vocab"]),
    ("T3", tokenizer("model", "merges", 0, value=["zzz", "a"]),
     [TOKENS, "merges"]),
    ("T6 empty", tokenizer("added_tokens", 0, "content", value=""),
     [TOKENS, "added_tokens[0].content"]),
    ("T6 long", tokenizer("added_tokens", 0, "content", value="x" * 10**6),
     [TOKENS, "added_tokens[0].content"]),
    ("T7", lambda model: model.write(TOKENS, b" " * (100 << 20)),
     [TOKENS, "bytes"]),
    ("T8", lambda model: model.write(TOKENS, model.read(TOKENS).replace(
        b'"<0x0A>"', b'"<0x0A>\xff"')), [TOKENS]),
    ("T10 include", lambda model: model.write(TEMPLATE, "{% include 'a' %}"),
     [TEMPLATE, "line 1", "include"]),
    ("T10 syntax", lambda model: model.write(TEMPLATE, "{% if %}"),
     [TEMPLATE, "line 1"]),
    ("T9", tokenizer("pre_tokenizer", value={"type": "UnicodeScripts"}),
     [TOKENS, "pre_tokenizer", "UnicodeScripts"]),
]

# What only the use of a template shows.
CHAT = [
    ("T10 range", "{% for i in range(10**9) %}x{% endfor %}"),
    ("T10 text", "{{ 'x' * 10**9 }}"),
    ("T10 macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    ("T10 filter", "{{ 'x' | magic }}"),
]


def run(command, text=""):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return subprocess.run(command, preexec_fn=None if SANITIZED else limit,
                          input=text, capture_output=True, text=True,
                          errors="replace", timeout=SECONDS)


def problems(row, result, words, output=None):
    lines = result.stderr.splitlines()
    if result.returncode != 1:
        yield f"{row}: exit code {result.returncode}: {result.stderr[:300]}"
    elif len(lines) != 1 or ": error: " not in lines[0]:
        yield f"{row}: expected one sentence, found {lines[:4]}"
    elif form_fault(lines[0]):
        yield f"{row}: {form_fault(lines[0])}: {lines[0][:300]}"
    elif any(word not in lines[0] for word in words):
        yield f"{row}: expected {words}, found {lines[0][:300]}"
    if output and os.path.exists(output):
        yield f"{row}: left an output file"
        os.remove(output)


def main():
    good, folder = sys.argv[1:3]
    output = os.path.join(folder, "out.so")
    found = []
    for row, spoil, words in COMPILE:
        model = Model(good, os.path.join(folder, "model"))
        spoil(model)
        found += problems(row, run(["fairy2-compile", model.folder, "-o",
                                    output, "--target=x86-64-v2"]),
                          words, output)
    for row, template in CHAT:
        model = Model(good, os.path.join(folder, "model"))
        model.write(TEMPLATE, template)
        result = run(["fairy2-compile", model.folder, "-o", output,
                      "--target=x86-64-v2"])
        if result.returncode != 0:
            found.append(f"{row}: {result.stderr[:300]}")
            continue
        found += problems(row, run(["fairy2-run", output, "--chat"], "hello"),
                          ["chat template", "line 1"])
        os.remove(output)
    if found:
        sys.exit("error: " + "\n".join(found))
    print(f"{len(COMPILE) + len(CHAT)} bad models refused")


main()
