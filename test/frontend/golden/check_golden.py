# SPDX-License-Identifier: Apache-2.0
#
# usage: check_golden.py GOLDEN_DIR WORK_DIR LEVELS
#
# A dense model against Hugging Face transformers (make_golden.py): the prompt's
# logits within a thousandth of the largest, the same likeliest token everywhere,
# and the same greedy tokens after it, on every level.
import json
import os
import subprocess
import sys

from npy import argmax, largest_difference, rows


def main():
    golden, folder, levels = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    library = os.path.join(folder, "model.so")
    subprocess.run(["fairy2-compile", golden, "-o", library, "--method=none",
                    "--embedding=keep", "--kv-cache=f32",
                    "--target=" + levels], check=True,
                   stdout=subprocess.DEVNULL)
    with open(os.path.join(golden, "golden.json")) as file:
        wanted = json.load(file)
    expected = rows(os.path.join(golden, "logits.npy"))
    scale = max(abs(value) for row in expected for value in row)
    for level in levels.split(","):
        path = os.path.join(folder, level + ".npy")
        result = subprocess.run(
            ["fairy2-run", library, "--prompt-ids",
             ",".join(map(str, wanted["prompt"])), "--ignore-eos",
             "-n", str(len(wanted["greedy"])), "--temperature", "0",
             "--context", str(wanted["context"]), "--json", "--logits-out",
             path],
            env=dict(os.environ, FAIRY2_ISA=level), check=True,
            capture_output=True, text=True)
        found = rows(path)
        if len(found) != len(expected):
            sys.exit(f"error: expected {len(expected)} rows, found "
                     f"{len(found)}")
        difference = largest_difference(found, expected)
        print(f"{level}: largest difference {difference:.2e} of {scale:.2f}")
        if not difference <= 1e-3 * scale:
            sys.exit("error: expected at most a thousandth of the scale")
        if [argmax(row) for row in found] != [argmax(row) for row in expected]:
            sys.exit("error: another token is likeliest")
        ids = json.loads(result.stdout)["ids"]
        if ids != wanted["greedy"]:
            sys.exit(f"error: expected the tokens {wanted['greedy']}, found "
                     f"{ids}")


main()
