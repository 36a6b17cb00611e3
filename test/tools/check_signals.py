# SPDX-License-Identifier: Apache-2.0
#
# usage: check_signals.py MODEL_DIR CONFIG WORK_DIR CC
#
# Signals in any phase of a program that writes files: it ends by them, what it
# writes is whole or not there, TMPDIR is empty, and no process is left. Once
# more as on file systems that have no files without names.
import os
import shutil
import signal
import subprocess
import sys
import time

MODEL, CONFIG, WORK, CC = sys.argv[1:5]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENTS = 4
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int opened(const char *name, const char *path, int flags, int mode) {
  if ((flags & O_TMPFILE) == O_TMPFILE)
    return errno = EOPNOTSUPP, -1;
  return ((int (*)(const char *, int, int))dlsym(RTLD_NEXT, name))(path, flags,
                                                                    mode);
}
#define DEFINE(name)                                                           \
  int name(const char *path, int flags, ...) {                                 \
    va_list list;                                                              \
    va_start(list, flags);                                                     \
    const int mode = va_arg(list, int);                                        \
    va_end(list);                                                              \
    return opened(#name, path, flags, mode);                                   \
  }
DEFINE(open)
DEFINE(open64)
"""
COMMANDS = [
    (["fairy2-compile", MODEL, "-o", "out/model.so"], ["model.so"]),
    (["fairy2-synth", "--config", CONFIG, "-o", "out/made",
      "--shard-gb", "0.01"], ["made"]),
    (["fairy2-synth", "--config", CONFIG, "-o", "out", "--force"],
     ["config.json", "model.safetensors"]),
]


def processes_of(session):
    """That are still there, by the session they were started in."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(number)
    return found


def take_signals():
    """A runner of tests may have been started with some of them ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def start(command, shim):
    for name in ("out", "tmp"):
        shutil.rmtree(name, ignore_errors=True)
        os.makedirs(name)
    environment = dict(os.environ, TMPDIR=os.path.abspath("tmp"))
    if shim:
        environment["LD_PRELOAD"] = os.path.abspath("shim.so")
    return subprocess.Popen(command, env=environment, start_new_session=True,
                            preexec_fn=take_signals,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def check(command, results, shim):
    begin = time.monotonic()
    process = start(command, shim)
    error = process.communicate()[1]
    if process.returncode:
        sys.exit(f"error: {command}: {error}")
    seconds = time.monotonic() - begin
    for moment in range(MOMENTS):
        number = SIGNALS[moment % len(SIGNALS)]
        process = start(command, shim)
        time.sleep(seconds * (moment + 0.5) / MOMENTS)
        process.send_signal(number)
        process.communicate()
        what = f"{command[0]}, {number.name} after {moment}/{MOMENTS}"
        if process.returncode not in (0, -number):
            sys.exit(f"error: {what}: exit code {process.returncode}")
        if processes_of(process.pid):
            sys.exit(f"error: {what}: left a process")
        if os.listdir("tmp"):
            sys.exit(f"error: {what}: left {os.listdir('tmp')} in TMPDIR")
        if sorted(os.listdir("out")) not in ([], sorted(results)):
            sys.exit(f"error: {what}: left {os.listdir('out')}")


def check_test_program():
    """fairy2-reduce starts a program of the user's, which starts others."""
    with open("module.mlir", "w") as file:
        file.write("func.func @a() { return }\n")
    with open("test.sh", "w") as file:
        file.write("#!/bin/sh\nsleep 300\nexit 1\n")
    os.chmod("test.sh", 0o755)
    command = ["fairy2-reduce", "module.mlir", "-o", "out/reduced.mlir",
               "--reduction-tree=traversal-mode=0 test=./test.sh"]
    for number in SIGNALS:
        process = start(command, shim=False)
        # This one, the one that reduces, the shell, its sleep.
        limit = time.monotonic() + 60
        while len(processes_of(process.pid)) < 4:
            if time.monotonic() > limit or process.poll() is not None:
                sys.exit("error: fairy2-reduce: its test program never ran")
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=60)
        what = f"fairy2-reduce, {number.name}"
        if process.returncode != -number:
            sys.exit(f"error: {what}: exit code {process.returncode}")
        if processes_of(process.pid):
            sys.exit(f"error: {what}: left a process")
        for name in ("tmp", "out"):
            if os.listdir(name):
                sys.exit(f"error: {what}: left {os.listdir(name)} in {name}")


def main():
    os.makedirs(WORK, exist_ok=True)
    os.chdir(WORK)
    with open("shim.c", "w") as file:
        file.write(SHIM)
    subprocess.run([CC, "-shared", "-fPIC", "-O1", "shim.c", "-o", "shim.so"],
                   check=True)
    for shim in (False, True):
        for command, results in COMMANDS:
            check(command, results, shim)
    check_test_program()
    print("nothing is left")


main()
