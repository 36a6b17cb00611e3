# SPDX-License-Identifier: Apache-2.0
#
# usage: check_tasks.py MODEL_SO TASKS_FOLDER WORK_DIR
#
# fairy2-eval --task against requests.golden.json (make_requests.py) and sums
# from the logits that fairy2-run dumps.
import json
import math
import os
import statistics
import struct
import subprocess
import sys

from npy import rows

NAMES = ["arc_easy", "hellaswag", "lambada_openai", "piqa", "winogrande"]
BOS = 1  # of the demo model
MODEL, FOLDER, WORK = sys.argv[1:4]


def fail(text):
    sys.exit(f"error: {text}")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def evaluate(*options, samples="samples.jsonl"):
    path = os.path.join(WORK, samples)
    out = run("fairy2-eval", MODEL, "--json", "--samples", path, *options)
    with open(path, encoding="utf-8") as file:
        return json.loads(out), [json.loads(line) for line in file]


def encode(text, bos):
    """Ids by fairy2-run, whose prompts begin with BOS or not."""
    out = run("fairy2-run", MODEL, "-n", "1", "--json", "-p", text,
              *([] if bos else ["--no-bos"]))
    return json.loads(out)["prompt_ids"]


def tokens(context, continuation, bos):
    """As lm_eval.api.model's _encode_pair: ids, and how many are scored."""
    if not context:
        ids = encode(continuation, bos=False)
        return [BOS] + ids, len(ids)
    whole = encode(context + continuation, bos)
    before = encode(context.rstrip(), bos)
    return whole, len(whole) - len(before)


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def score(ids, scored):
    logits = os.path.join(WORK, "logits.npy")
    run("fairy2-run", MODEL, "-n", "1", "--prompt-ids",
        ",".join(map(str, ids)), "--logits-out", logits)
    total, greedy = 0.0, True
    for row, target in list(zip(rows(logits), ids[1:]))[-scored:]:
        top = max(row)
        norm = math.log(math.fsum(math.exp(x - top) for x in row)) + top
        total += float32(row[target] - norm)
        greedy = greedy and list(row).index(top) == target
    return total, greedy


def first_largest(values):
    return max(range(len(values)), key=lambda i: (values[i], -i))


def check_figures(name, figures, samples):
    def same(metric, expected):
        if abs(figures[metric] - expected) > 1e-12 * abs(expected):
            fail(f"{name}: {metric}: expected {expected}, found {figures}")

    def mean(metric, values):
        values = list(map(float, values))
        same(metric, statistics.fmean(values))
        same(metric + "_stderr",
             statistics.stdev(values) / math.sqrt(len(values)))

    mean("acc", [sample["acc"] for sample in samples])
    if name == "lambada_openai":
        for sample in samples:
            if sample["acc"] != sample["choices"][0]["greedy"]:
                fail(f"acc of {sample}")
        same("perplexity", math.exp(-statistics.fmean(
            sample["choices"][0]["sum"] for sample in samples)))
        return
    for sample in samples:
        sums = [choice["sum"] for choice in sample["choices"]]
        if sample["acc"] != (first_largest(sums) == sample["gold"]):
            fail(f"acc of {sample}")
        if name != "winogrande":
            each = [choice["sum"] / choice["characters"]
                    for choice in sample["choices"]]
            if sample["acc_norm"] != (first_largest(each) == sample["gold"]):
                fail(f"acc_norm of {sample}")
    if name != "winogrande":
        mean("acc_norm", [sample["acc_norm"] for sample in samples])


def check_requests(golden, samples):
    """The texts of all choices, the right ones, and their lengths."""
    if len(samples) != len(golden):
        fail(f"expected {len(golden)} documents, found {len(samples)}")
    for wanted, sample in zip(golden, samples):
        found = [[choice["context"], choice["continuation"]]
                 for choice in sample["choices"]]
        if found != wanted["requests"]:
            fail(f"expected {wanted['requests']}, found {found}")
        if sample.get("gold") != wanted["gold"]:
            fail(f"expected {wanted['gold']}, found {sample}")
        for choice, length in zip(sample["choices"], wanted["lengths"]):
            if [choice["characters"], choice["bytes"]] != length:
                fail(f"expected {length} characters and bytes, found {choice}")


def main():
    with open(os.path.join(FOLDER, "requests.golden.json"),
              encoding="utf-8") as file:
        golden = json.load(file)
    files = ",".join(f"{name}={FOLDER}/{name}.jsonl" for name in NAMES)
    found, samples = evaluate("--task", files)
    for name in NAMES:
        of_task = [sample for sample in samples if sample["task"] == name]
        check_requests(golden[name], of_task)
        check_figures(name, found["tasks"][name], of_task)
        if found["tasks"][name]["documents"] != len(of_task):
            fail(f"{name}: {found}")
        for sample in of_task[:4]:
            for choice in sample["choices"][:2]:
                total, greedy = score(*tokens(
                    choice["context"], choice["continuation"], bos=True))
                if abs(choice["sum"] - total) > 1e-6 * abs(total) or \
                        choice["greedy"] != greedy:
                    fail(f"expected {total}, {greedy}, found {choice}")
    if evaluate("--task", files, "--threads", "1")[1] != samples:
        fail("other samples on 1 thread")

    # Without BOS, and with it where the tokenizer would not put one.
    lambada = f"lambada_openai={FOLDER}/lambada_openai.jsonl"
    _, never = evaluate("--task", lambada, "--bos=never", "--limit", "2")
    choice = never[1]["choices"][0]
    total, _ = score(*tokens(choice["context"], choice["continuation"],
                             bos=False))
    if len(never) != 2 or abs(choice["sum"] - total) > 1e-6 * abs(total):
        fail(f"expected {total} without BOS, found {never}")
    _, always = evaluate("--task", lambada, "--bos=always", "--limit", "2")
    if always != [s for s in samples if s["task"] == "lambada_openai"][:2]:
        fail(f"--bos=always gives others: {always}")

    # The original files of ARC, and labels in a file of their own.
    _, original = evaluate("--task",
                           f"arc_challenge={FOLDER}/arc_original.jsonl")
    if [sample["gold"] for sample in original] != [1, 0] or \
            original[0]["choices"] != samples[0]["choices"][:2]:
        fail(f"{original}")
    _, unlabelled = evaluate("--task", f"piqa={FOLDER}/piqa_unlabelled.jsonl")
    if [sample["gold"] for sample in unlabelled] != [1, 0]:
        fail(f"{unlabelled}")
    print("all as expected")


main()
