# SPDX-License-Identifier: Apache-2.0
#
# usage: check_install.py CC SOURCE_DIR WORK_DIR
#
# Builds the example in C against WORK_DIR/installed as pkg-config describes it,
# compiles the demo model with the installed compiler, and runs it.
import glob
import os
import subprocess
import sys


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          **more).stdout


def main():
    compiler, source, work = sys.argv[1:]
    installed = os.path.join(work, "installed")
    found = glob.glob(os.path.join(installed, "**", "fairy2.pc"),
                      recursive=True)
    if len(found) != 1:
        sys.exit(f"error: expected one fairy2.pc, found {found}")
    # Where the library lies is not known to the loader.
    environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(found[0]),
                       LD_LIBRARY_PATH=os.path.dirname(
                           os.path.dirname(found[0])))
    flags = run("pkg-config", "--cflags", "--libs", "fairy2",
                env=environment).split()
    # Only what is installed may serve, wherever the example lies.
    example = os.path.join(work, "generate.c")
    with open(os.path.join(source, "runtime/examples/generate.c")) as file:
        text = file.read()
    with open(example, "w") as file:
        file.write(text)
    program, model = (os.path.join(work, name)
                      for name in ("generate", "model.so"))
    run(compiler, "-std=c11", "-Wall", "-Wextra", "-pedantic-errors",
        "-Werror", example, *flags, "-o", program)

    version = run("pkg-config", "--modversion", "fairy2",
                  env=environment).strip()
    told = run(os.path.join(installed, "bin", "fairy2-run"), "--version")
    if version not in told:
        sys.exit(f"error: fairy2.pc is of version {version}, and fairy2-run "
                 f"says '{told}'")
    print(f"version {version} of fairy2.pc and of the programs")
    for folder in ("bin", "include"):
        names = sorted(os.path.basename(path) for path in glob.glob(
            os.path.join(installed, folder, "**"), recursive=True)
            if os.path.isfile(path))
        print(f"{folder}:", *names)

    run(os.path.join(installed, "bin", "fairy2-compile"),
        os.path.join(source, "trainer/recipes/demo"), "-o", model)
    prompt = "Once upon a time"
    print(run(program, model, prompt, env=environment))
    missing = subprocess.run([program, "nowhere.so", prompt], text=True,
                             capture_output=True, env=environment)
    if missing.returncode != 1:
        sys.exit(f"error: expected status 1, found {missing.returncode}")
    print(missing.stderr)


main()
