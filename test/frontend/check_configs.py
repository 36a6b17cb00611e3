# SPDX-License-Identifier: Apache-2.0
#
# usage: check_configs.py CONFIGS_DIR WORK_DIR
#
# Every config.json of a folder of real ones, with all its fields but few and
# narrow layers, is written as a random checkpoint and becomes a module, or is
# refused by both programs with the same sentence, which names a field.
import json
import os
import re
import subprocess
import sys

SIZES = dict(num_hidden_layers=1, hidden_size=64, intermediate_size=96,
             vocab_size=300, bos_token_id=None, eos_token_id=None)


def cut(config):
    """The same model, small; heads keep their width."""
    if "num_attention_heads" not in config:
        return config
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    groups = heads // (config.get("num_key_value_heads") or heads)
    small = dict(config, **SIZES, head_dim=head_dim, num_attention_heads=4,
                 num_key_value_heads=max(1, 4 // groups))
    for field in ("layer_types", "no_rope_layers"):
        if config.get(field):
            small[field] = config[field][:1]
    return small


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def check(path, folder):
    """'read', or the sentence of the refusal."""
    os.makedirs(folder, exist_ok=True)
    source = os.path.join(folder, "config.json")
    with open(path) as file, open(source, "w") as small:
        json.dump(cut(json.load(file)), small)
    model = os.path.join(folder, "model")
    made = run("fairy2-synth", "--config", source, "-o", model)
    if made.returncode == 0:
        result = run("fairy2-compile", model, "-o", folder + "/m.mlir",
                     "--emit=model")
        if result.returncode:
            sys.exit(f"error: {path}: {result.stderr}")
        return "read"
    refused = run("fairy2-compile", folder, "-o", folder + "/m.mlir",
                  "--emit=model")
    sentences = [re.sub(r"^fairy2-\w+: error: ", "", said.stderr.strip())
                 for said in (made, refused)]
    if sentences[0] != sentences[1] or "field '" not in sentences[0]:
        sys.exit(f"error: {path}: expected one sentence, found {sentences}")
    return sentences[0].split(": ", 1)[1]


def main():
    configs, folder = sys.argv[1:]
    counts = [0, 0]
    for name in sorted(os.listdir(configs)):
        if name.endswith(".json"):
            found = check(os.path.join(configs, name),
                          os.path.join(folder, name))
            counts[found != "read"] += 1
            print(f"{name}: {found}")
    print(f"{counts[0]} read, {counts[1]} refused")


main()
