# SPDX-License-Identifier: Apache-2.0
#
# usage: check_close.py TOLERANCE MODEL.so OTHER.so ..
#
# The logits of a prompt differ by at most TOLERANCE of the largest.
import subprocess
import sys

from npy import largest_difference, rows

PROMPT = ",".join(str((7 * i) % 256) for i in range(37))


def logits_of(path):
    file = path + ".logits.npy"
    subprocess.run(["fairy2-run", path, "--prompt-ids", PROMPT, "-n", "1",
                    "--json", "--ignore-eos", "--logits-out", file],
                   check=True, stdout=subprocess.DEVNULL)
    return rows(file)


def main():
    tolerance = float(sys.argv[1])
    expected = logits_of(sys.argv[2])
    scale = max(abs(x) for row in expected for x in row)
    for path in sys.argv[3:]:
        difference = largest_difference(expected, logits_of(path)) / scale
        if not difference <= tolerance:
            sys.exit(f"error: {path}: logits differ by {difference} of the "
                     f"largest, more than {tolerance}")
        print(f"{path}: {difference}")


main()
