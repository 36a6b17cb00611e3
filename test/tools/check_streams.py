# SPDX-License-Identifier: Apache-2.0
#
# usage: check_streams.py MODEL_DIR CONFIG WORK_DIR
#
# Every program under whatever state a caller left its standard streams in, and
# with outputs that are its inputs. What is printed and lost is an error, closed
# streams change nothing else, and nobody's file is written over.
import os
import shutil
import subprocess
import sys

from error_form import form_fault

MODEL, CONFIG, WORK = sys.argv[1:4]
HAS_TRAINER = bool(shutil.which("fairy2-train"))
faults = []


def path(name):
    return os.path.join(WORK, name)


def run(command, redirects=""):
    return subprocess.run(["sh", "-c", f"exec {command} {redirects}"], cwd=WORK,
                          capture_output=True, text=True, errors="replace",
                          timeout=300)


def expect(what, condition, result):
    if not condition:
        faults.append(f"{what}: exit code {result.returncode}, "
                      f"{result.stdout[:200]!r}, {result.stderr[:300]!r}")


def write(name, content):
    with open(path(name), "w") as file:
        file.write(content)


def prepare():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    shutil.copytree(MODEL, path("model"))
    shutil.copyfile(CONFIG, path("config.json"))
    write("text.txt", "a text of some words, again and again. " * 4)
    write("module.mlir", "module {}\n")
    write("interesting.sh", "#!/bin/sh\nexit 1\n")
    os.chmod(path("interesting.sh"), 0o755)
    made = run("fairy2-compile model -o model.so --target=x86-64-v2")
    expect("fairy2-compile", made.returncode == 0, made)
    write("recipe.yaml", "model: model\noutput: run\ndata.train: text.txt\n"
          "data.sequence_length: 16\ntrain.tokens: 64\n"
          "train.batch_sequences: 1\n")


PRINTS = [
    "fairy2-compile model -o out.so --target=x86-64-v2",
    "fairy2-compile model -o - --emit=model",
    "fairy2-compile model -o out.so --print-opt-command",
    "fairy2-compile --print-targets",
    "fairy2-compile --help",
    "fairy2-compile --version",
    "fairy2-run model.so -p a -n 3",
    "fairy2-run model.so -p a -n 3 --json",
    "fairy2-run --help",
    "fairy2-eval model.so --text text.txt",
    "fairy2-eval model.so --text text.txt --json",
    "fairy2-eval --help",
    "fairy2-bench model.so --prompt 2 --gen 2 --repeat 1",
    "fairy2-bench model.so --prompt 2 --gen 2 --repeat 1 --json",
    "fairy2-bench --help",
    "fairy2-synth --config config.json -o made --force",
    "fairy2-synth --help",
    "fairy2-opt module.mlir",
    "fairy2-opt module.mlir -o -",
    "fairy2-lsp --help",
    "fairy2-reduce module.mlir -o - --reduction-tree="
    "'traversal-mode=0 test=./interesting.sh'",
]
TRAINER_PRINTS = [
    "fairy2-quantize --help",
    "fairy2-train recipe.yaml --dry-run",
    "fairy2-train --help",
    "fairy2-train tokenize --help",
]


def check_streams():
    for command in PRINTS + (TRAINER_PRINTS if HAS_TRAINER else []):
        good = run(command)
        expect(command, good.returncode == 0 and good.stdout, good)
        for redirects in (">/dev/full", ">&-"):
            lost = run(command, redirects)
            what = f"{command} {redirects}"
            expect(what, lost.returncode == 1, lost)
            # LLVM's words
            if not command.startswith(("fairy2-reduce", "fairy2-lsp")):
                lines = [line for line in lost.stderr.splitlines()
                         if "error: " in line]
                expect(what, len(lines) == 1 and not form_fault(lines[0])
                       and "standard output: cannot write" in lines[0], lost)
        # Times and speeds differ, lengths hardly.
        for redirects in ("<&-", "2>&-", "<&- 2>&-"):
            other = run(command, redirects)
            expect(f"{command} {redirects}", other.returncode == 0 and
                   other.stdout.count("\n") == good.stdout.count("\n"), other)


# An output, and the input that it must not be.
OUTPUTS = [
    ("fairy2-compile model -o {}", "model/config.json"),
    ("fairy2-compile model -o {}", "model/model.safetensors"),
    ("fairy2-compile model --emit=model -o {}", "model/tokenizer.json"),
    ("fairy2-run model.so -p a -n 1 --logits-out {}", "model.so"),
    ("fairy2-run model.so --file text.txt -n 1 --logits-out {}", "text.txt"),
    ("fairy2-run model.so -p - -n 1 --logits-out {} <text.txt", "text.txt"),
    ("fairy2-bench model.so --html {}", "model.so"),
    ("fairy2-opt module.mlir -o {}", "module.mlir"),
    ("fairy2-opt module.mlir --remarks-output-file={}", "module.mlir"),
    ("fairy2-reduce module.mlir -o {}", "module.mlir"),
]


def check_outputs():
    os.makedirs(path("links"))
    for command, name in OUTPUTS:
        with open(path(name), "rb") as file:
            before = file.read()
        soft, hard = "links/soft", "links/hard"
        os.symlink(path(name), path(soft))
        os.link(path(name), path(hard))
        for spelling in (name, "links/../" + name, soft, hard):
            result = run(command.format(spelling))
            what = command.format(spelling)
            lines = result.stderr.splitlines()
            expect(what, result.returncode == 1 and len(lines) == 1 and
                   not form_fault(lines[0]) and
                   "expected another file than the input" in lines[0], result)
            with open(path(name), "rb") as file:
                expect(what + " wrote over it", file.read() == before, result)
        os.remove(path(soft))
        os.remove(path(hard))


def check_limit():
    """Of a file's size, in a shell's ulimit."""
    for command in ("fairy2-compile model -o large.so --target=x86-64-v2",
                    "fairy2-run model.so -p abc -n 1 --logits-out l.npy",
                    "fairy2-synth --config config.json -o large"):
        result = subprocess.run(["sh", "-c", "ulimit -f 2; exec " + command],
                                cwd=WORK, capture_output=True, text=True)
        lines = result.stderr.splitlines()
        expect(command, result.returncode == 1 and len(lines) == 1 and
               not form_fault(lines[0]) and "File too large" in lines[0],
               result)


def check_without_proc():
    """A container may have none."""
    inside = ("unshare -m sh -c 'mount -t tmpfs none /proc && {}'")
    if run(inside.format("true")).returncode:
        print("no mount of our own here: not tried without /proc")
        return
    for command in ("fairy2-compile model -o noproc.so --target=x86-64-v2",
                    "fairy2-run noproc.so -p a -n 2 --logits-out l.npy",
                    "fairy2-eval noproc.so --text text.txt --chunk 16",
                    "fairy2-bench noproc.so --prompt 2 --gen 2 --repeat 1 "
                    "--html page.html"):
        result = run(inside.format(command))
        expect(command + " without /proc", result.returncode == 0, result)


def check_failures_keep_outputs():
    """What fails leaves an older output as it was."""
    write("kept", "mine")
    write("bad.mlir", "magic.wand")
    write("empty.so", "")
    os.makedirs(path("no-model"), exist_ok=True)
    for command in ("fairy2-opt bad.mlir -o kept",
                    "fairy2-compile no-model -o kept",
                    "fairy2-run empty.so -p a --logits-out kept",
                    "fairy2-bench empty.so --html kept"):
        result = run(command)
        expect(command, result.returncode == 1, result)
        with open(path("kept")) as file:
            expect(command, file.read() == "mine", result)


prepare()
check_streams()
check_outputs()
check_failures_keep_outputs()
check_without_proc()
check_limit()
if faults:
    sys.exit("error: " + "\n".join(faults))
print("all streams and outputs are minded")
