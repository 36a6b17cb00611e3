# SPDX-License-Identifier: Apache-2.0
#
# usage: check_stories.py DATA_DIR WORK_DIR
#
# A real pretrained model, stories260K: logits and greedy text against those of
# Hugging Face transformers (reference.json), and the negative log-likelihood of
# held-out stories against the figures of design and paper for each number of
# stages.
import json
import os
import subprocess
import sys

from npy import argmax, rows

# Stages of means per tensor to NLL per token over the first 60 pieces of 511 tokens, with float
# activations; 0 is the dense model. int8 activations may cost one percent.
FIGURES = {0: 1.4477, 2: 5.2465, 4: 2.4566, 8: 1.8113}
TOLERANCE = 0.002
INT8_TOLERANCE = 0.01
# The same for stages as they are chosen where nobody asks for others, binary
# with a factor per row, and int8 activations.
DEFAULT_FIGURES = {3: 2.102, 4: 1.561, 6: 1.455}


def compile_model(model, path, *options):
    subprocess.run(["fairy2-compile", model, "-o", path, *options], check=True,
                   stdout=subprocess.DEVNULL)


def check_reference(model, library, folder):
    with open(os.path.join(model, "reference.json")) as file:
        reference = json.load(file)
    path = os.path.join(folder, "logits.npy")
    subprocess.run(["fairy2-run", library, "--prompt-ids",
                    ",".join(map(str, reference["prompt_ids"])), "-n", "1",
                    "--json", "--logits-out", path], check=True,
                   stdout=subprocess.DEVNULL)
    logits = rows(path)
    expected = reference["logits_last"]
    difference = max(abs(a - b) for a, b in zip(logits[-1], expected))
    print(f"dense logits: largest difference {difference:.1e}")
    if len(logits[-1]) != len(expected) or not difference <= 1e-3:
        sys.exit("error: expected at most 1e-3")
    if [argmax(row) for row in logits] != reference["argmax_all"]:
        sys.exit("error: another token is likeliest after the prompt")

    greedy = reference["greedy_ids"]
    prompt, expected = greedy[:-256], greedy[-256:]
    result = subprocess.run(["fairy2-run", library, "--prompt-ids",
                             ",".join(map(str, prompt)), "-n", "256",
                             "--temperature", "0", "--ignore-eos", "--json"],
                            check=True, capture_output=True, text=True)
    if json.loads(result.stdout)["ids"] != expected:
        sys.exit("error: the greedy tokens differ")
    print("256 greedy tokens: equal")


def likelihood(library, text):
    result = subprocess.run(["fairy2-eval", library, "--text", text, "--chunk",
                             "511", "--max-chunks", "60", "--json"],
                            check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["nll_per_token"]


def main():
    data, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    model = os.path.join(data, "stories260K-hf")
    text = os.path.join(data, "corpora", "tinystories", "tinystories_val.txt")
    library = os.path.join(folder, "model.so")
    for stages, figure in FIGURES.items():
        kinds = {"float": TOLERANCE}
        if stages:
            kinds["int8"] = INT8_TOLERANCE * figure
        for activations, tolerance in kinds.items():
            # The reference logits are float throughout, its cache as well.
            method = ([f"--stages={stages}", "--scales=tensor",
                       "--stage-scales=mean"] if stages
                      else ["--method=none", "--kv-cache=f32"])
            compile_model(model, library, *method,
                          "--activations=" + activations)
            if stages == 0:
                check_reference(model, library, folder)
            found = likelihood(library, text)
            print(f"{stages} stages, {activations} activations: NLL "
                  f"{found:.4f}, expected {figure} +- {tolerance:.4f}")
            if not abs(found - figure) <= tolerance:
                sys.exit("error: another likelihood than expected")
    for stages, figure in DEFAULT_FIGURES.items():
        compile_model(model, library, f"--stages={stages}")
        found = likelihood(library, text)
        print(f"{stages} stages by default: NLL {found:.4f}, expected {figure}")
        if not abs(found - figure) <= TOLERANCE:
            sys.exit("error: another likelihood than expected")


main()
