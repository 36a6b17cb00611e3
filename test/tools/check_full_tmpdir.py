# SPDX-License-Identifier: Apache-2.0
#
# fairy2-compile with a TMPDIR of every small size, from one that holds no object
# file to one that holds them all: one sentence that names the file and why, and
# nothing left behind. A mount of our own stands for a full disk.
import subprocess
import sys

model, folder = sys.argv[1:]


def compile(kib):
    script = (f"mount -t tmpfs -o size={kib}k none {folder} &&"
              f" TMPDIR={folder} fairy2-compile {model} -o {folder}.so"
              f" --target=x86-64-v2; echo status $?; ls -A {folder} | wc -l")
    return subprocess.run(["unshare", "-m", "sh", "-c", script],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True).stdout


if "status 0" not in compile(16 << 10):
    print("skipped: no mount of our own here")
    sys.exit()
for kib in [8, 64, 120, 136, 152, 168, 184, 200, 216, 232]:
    text = compile(kib)
    status = int(text.split("status ")[1].split()[0])
    assert text.split()[-1] == "0", text
    if status == 0:
        continue
    first = text.splitlines()[0]
    assert status == 1, text
    assert first.startswith(f"fairy2-compile: error: {folder}/fairy2"), text
    assert "no space left on device" in first.lower(), text
    assert len(text.splitlines()) == 3, text
print("all sizes are told in a sentence")
