# SPDX-License-Identifier: Apache-2.0
#
# usage: check_protocols.py MODEL_SO WORK_DIR
#
# fairy2-eval's figures against the formulas of tools/README.md, from the logits
# that fairy2-run dumps.
import json
import math
import os
import subprocess
import sys

from npy import rows

LINES = ["Once upon a time, there was a little girl named Lily.", "",
         "She had a big dog. The dog liked to run and play in the park.",
         "One day, it rained, and " + "they sang and " * 12 + "slept.",
         "The end."]
BOS = EOS = 1  # of the demo model
CHUNK = 40


def main():
    model, folder = sys.argv[1:3]
    text = os.path.join(folder, "text.txt")
    with open(text, "w") as file:
        file.write("\n".join(LINES))
    logits = os.path.join(folder, "logits.npy")

    def run(*options):
        output = subprocess.run(
            ["fairy2-run", model, "-n", "1", "--json", *options], check=True,
            capture_output=True, text=True).stdout
        return json.loads(output)

    def encode(string):  # without BOS
        return run("--no-bos", "-p", string)["prompt_ids"]

    def losses(ids):
        """-log p of each token but the first, after those before it."""
        run("--prompt-ids", ",".join(map(str, ids)), "--logits-out", logits)
        result = []
        for row, target in zip(rows(logits), ids[1:]):
            top = max(row)
            total = math.fsum(math.exp(x - top) for x in row)
            result.append(math.log(total) + top - row[target])
        return result

    def chunks():
        ids = encode("\n".join(LINES))
        parts = [losses([BOS] + ids[i:i + CHUNK])
                 for i in range(0, len(ids), CHUNK)]
        return sum(map(math.fsum, parts)), len(ids)

    def gptq():
        ids = [BOS] + encode("\n".join(LINES))
        parts = [losses(ids[i * CHUNK:(i + 1) * CHUNK])
                 for i in range(len(ids) // CHUNK)]
        return sum(map(math.fsum, parts)), len(parts) * (CHUNK - 1)

    def reference():
        blocks, block = [], [BOS]
        for ids in [encode(line) + [EOS] for line in LINES if line]:
            if len(ids) > CHUNK:
                continue
            if len(block) + len(ids) > CHUNK:
                blocks.append(block)
                block = [BOS]
            block += ids
        blocks.append(block)
        total = math.fsum(loss for block in blocks
                          for before, loss in zip(block, losses(block))
                          if before != EOS)
        return total, sum(len(block) - 1 for block in blocks)

    for protocol in (chunks, gptq, reference):
        name = protocol.__name__
        output = subprocess.run(
            ["fairy2-eval", model, "--text", text, "--json", "--chunk",
             str(CHUNK), "--protocol=" + name], check=True,
            capture_output=True, text=True).stdout
        found = json.loads(output)
        total, tokens = protocol()
        expected = total / tokens
        if found["tokens"] != tokens or \
                abs(found["nll_per_token"] - expected) > 1e-6 * expected:
            sys.exit(f"error: {name}: expected {expected} of {tokens} tokens, "
                     f"found {output}")
        print(f"{name}: {expected:.4f} nats, {tokens} tokens")


main()
