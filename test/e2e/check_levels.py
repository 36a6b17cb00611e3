# SPDX-License-Identifier: Apache-2.0
#
# usage: check_levels.py MODEL_DIR WORK_DIR LEVELS [compile options ..]
#
# Every CPU level (comma-separated), form of prefill, thread count and batch size
# gives the same bits as the oracle, the level `scalar`.
import json
import os
import subprocess
import sys

from manifest import manifest_of

PROMPT = ",".join(str((7 * i) % 256) for i in range(37))


def main():
    model, folder, levels = sys.argv[1:4]
    options = sys.argv[4:]
    os.makedirs(folder, exist_ok=True)
    levels = levels.split(",") + ["scalar"]

    def compile_model(name, *more):
        path = os.path.join(folder, name)
        subprocess.run(["fairy2-compile", model, "-o", path,
                        "--target=" + ",".join(levels), *options, *more],
                       check=True, stdout=subprocess.DEVNULL)
        return path

    def run(path, level, threads, prefill=None):
        logits = os.path.join(folder, "logits.npy")
        result = subprocess.run(
            ["fairy2-run", path, "--prompt-ids", PROMPT, "-n", "8", "--json",
             "--ignore-eos", "--temperature", "0", "--logits-out", logits,
             "--threads", str(threads)],
            env=dict(os.environ, FAIRY2_ISA=level,
                     **({"FAIRY2_PREFILL": prefill} if prefill else {})),
            check=True,
            capture_output=True, text=True)
        with open(logits, "rb") as file:
            return file.read(), json.loads(result.stdout)["ids"]

    path = compile_model("model.so")
    oracle = run(path, "scalar", 1)
    if len(oracle[1]) != 8 or len(oracle[0]) < 37 * 4 * 256:
        sys.exit("error: expected 8 tokens and 37 rows of logits")
    threads = [1, 2] if len(os.sched_getaffinity(0)) > 1 else [1]
    small = compile_model("small.so", "--batch=5")
    with_products = [variant["name"] for variant in manifest_of(path)["variants"]
                     if "products_from" in variant]
    for level in levels:
        forms = ["lookup", "products"] if level in with_products else ["lookup"]
        for file, count in [(path, n) for n in threads] + [(small, 1)]:
            for form in forms:
                logits, ids = run(file, level, count, form)
                if logits != oracle[0] or ids != oracle[1]:
                    sys.exit(f"error: {level}, {form}, {count} threads, "
                             f"{os.path.basename(file)}: other logits or "
                             f"tokens than the oracle")
    print(f"equal on {', '.join(levels)}, products on "
          f"{', '.join(with_products) or 'none'}")


main()
