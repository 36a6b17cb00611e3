# SPDX-License-Identifier: Apache-2.0
#
# usage: check_little_memory.py MODEL.so
#
# A private copy of weights where there is no memory for it is refused in one
# sentence: by a limit on addresses, and by one of a control group of our own,
# in which the file's own pages still do.
import os
import re
import subprocess
import sys
from pathlib import Path

model = sys.argv[1]
weights = os.path.getsize(model) // 2  # More than this is asked for.


def run(pages, prepare):
    return subprocess.run(
        ["fairy2-run", model, "--prompt-ids", "1", "-n", "1", "--threads", "1",
         "--huge-pages", pages], capture_output=True, text=True,
        preexec_fn=prepare)


def check_refusal(outcome, pattern):
    sentence = re.fullmatch(rf"fairy2-run: error: {re.escape(model)}: {pattern}"
                            r"\n", outcome.stderr)
    assert outcome.returncode == 1 and sentence, outcome
    assert outcome.stdout == "", outcome
    for number in sentence.groups():
        assert int(number) > weights, outcome


def limit_addresses():
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (weights, weights))


for pages in ["auto", "copy", "off"]:
    check_refusal(run(pages, limit_addresses),
                  r"weights: cannot reserve (\d+) bytes of addresses: "
                  "Cannot allocate memory")
print("addresses: refused in a sentence")


def make_group():
    """A group that may use half of the weights' size, or None."""
    name = f"fairy2-test-{os.getpid()}"
    for parent, limit in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                          ("/sys/fs/cgroup", "memory.max")]:
        group = Path(parent) / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(weights))
            return group
        except OSError:
            group.rmdir()
    return None


group = make_group()
if group is None:
    print("control group: skipped, none may be made here")
    sys.exit()
try:
    def enter():
        (group / "cgroup.procs").write_text(str(os.getpid()))

    check_refusal(run("copy", enter),
                  r"huge pages: expected (\d+) bytes of free memory for a copy "
                  r"of the weights, found \d+")
    outcome = run("auto", enter)
    assert outcome.returncode == 0, outcome
finally:
    group.rmdir()
print("control group: refused in a sentence")
