# SPDX-License-Identifier: Apache-2.0
#
# usage: check_aarch64.py MODEL_DIR WORK_DIR HOST_COMMAND [compile options ..]
#
# The code of every aarch64 level, run by forward_host under an emulator, gives
# the bits of this machine's best level: a batch of tokens and a single one.
import os
import re
import struct
import subprocess
import sys

IDS = ",".join(str((11 * i + 3) % 256) for i in range(23))


def values_of_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    (header,) = struct.unpack_from("<H", data, 8)
    return data[10 + header:]


def main():
    model, folder, host = sys.argv[1:4]
    options = sys.argv[4:]
    os.makedirs(folder, exist_ok=True)

    def path_of(name):
        return os.path.join(folder, name)

    table = subprocess.run(["fairy2-compile", "--print-targets"], check=True,
                           capture_output=True, text=True).stdout
    levels = re.findall(r"^aarch64-\w+", table, re.MULTILINE)
    if len(levels) < 2:
        sys.exit(f"error: expected levels of aarch64, found {levels}")

    def compile_model(name, *targets):
        subprocess.run(["fairy2-compile", model, "-o", path_of(name), *targets,
                        *options], check=True, stdout=subprocess.DEVNULL)

    compile_model("x86.so")
    subprocess.run(["fairy2-run", path_of("x86.so"), "--prompt-ids", IDS, "-n",
                    "1", "--temperature", "0", "--json", "--logits-out",
                    path_of("x86.npy")], check=True, stdout=subprocess.DEVNULL)
    expected = values_of_npy(path_of("x86.npy"))
    for level in levels:
        compile_model("arm.so", f"--target={level}")
        subprocess.run([*host.split(), path_of("arm.so"), IDS,
                        path_of("arm.f32")], check=True)
        with open(path_of("arm.f32"), "rb") as file:
            found = file.read()
        # The prompt's rows; on this machine that of a generated token may follow.
        if len(found) < 23 * 256 * 4 or found != expected[:len(found)]:
            sys.exit(f"error: {level}: other logits than on this machine")
        print(f"{level}: {len(found) // 4} equal logits")


main()
