# SPDX-License-Identifier: Apache-2.0
#
# usage: check_stages.py MODEL_DIR WORK_DIR [compile options ..]
#
# The command that --print-opt-command prints takes the model-stage file to any
# stage and reproduces --emit's file.
import os
import shlex
import subprocess
import sys

STAGES = ["quantized", "packed", "loops", "llvm"]


def main():
    model, folder, options = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(folder, exist_ok=True)

    def compile_to(stage, *more):
        return subprocess.run(
            ["fairy2-compile", model, "-o", os.path.join(folder, stage +
             ".mlir"), "--emit=" + stage, *options, *more],
            check=True, capture_output=True, text=True).stdout

    compile_to("model")
    for stage in STAGES:
        compile_to(stage)
        command = shlex.split(compile_to(stage, "--print-opt-command"))
        result = subprocess.run(command, cwd=folder, check=True,
                                capture_output=True, text=True).stdout
        with open(os.path.join(folder, stage + ".mlir")) as file:
            emitted = file.read()
        if stage == "llvm":  # In a library, levels live side by side.
            emitted = emitted.replace("@fairy2_forward_x86_64_v3", "@forward")
        if emitted.strip() != result.strip():
            with open(os.path.join(folder, stage + ".opt.mlir"), "w") as file:
                file.write(result)
            sys.exit(f"error: {stage}.mlir differs from what "
                     f"{shlex.join(command)} prints")
        print(f"{stage}: {len(emitted)} equal characters")


main()
