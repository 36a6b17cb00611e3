# SPDX-License-Identifier: Apache-2.0
#
# usage: check_command_lines.py MODEL_DIR CONFIG WORK_DIR
#
# What a command line alone shows to be wrong is told before any work, with exit
# code 2: each numeric option with numbers that are too small, too large and no
# numbers, each list with an item twice or empty. An output that cannot be is
# told before the work, too. A progress bar stays on its line, and bytes that
# are no text end a reading at once.
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time

MODEL, CONFIG, WORK = sys.argv[1:4]
HAS_TRAINER = bool(shutil.which("fairy2-train"))
LIMIT = 120  # seconds that any program may take
faults = []


def run(command, shell=False):
    return subprocess.run(["sh", "-c", command] if shell else command, cwd=WORK,
                          capture_output=True, text=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL)


def expect(what, condition, result):
    if not condition:
        faults.append(f"{what}: exit code {result.returncode}, "
                      f"{result.stdout[:200]!r}, {result.stderr[:300]!r}")


COMPILE = ["fairy2-compile", "model", "-o", "out.so"]
RUN = ["fairy2-run", "model.so", "-p", "a", "-n", "1"]
EVAL = ["fairy2-eval", "model.so", "--text", "text.txt"]
BENCH = ["fairy2-bench", "model.so", "--gen", "1", "--prompt", "0"]
SERVE = ["fairy2-serve", "model.so"]
SYNTH = ["fairy2-synth", "--config", "config.json", "-o", "made"]
SYNTH_SMALL = ["fairy2-synth", "--config", "model/config.json", "-o", "made",
               "--force"]
TRAIN = ["fairy2-train", "recipe.yaml"]
TOKENIZE = ["fairy2-train", "tokenize", "text.txt", "--model", "model",
            "-o", "shards"]
QUANTIZE = ["fairy2-quantize", "model", "--calibration", "text.txt",
            "-o", "coded"]
HUGE = "99999999999999999999"
WORDS = ["", "1x", "1.5", HUGE]
# A program, an option, and what is out of its range beside WORDS.
NUMBERS = [
    (COMPILE, "--stages", ["0", "9", "-1"]),
    (COMPILE, "--batch", ["0", "4097", "-1"]),
    (COMPILE, "--threads", ["-1", "1025"]),
    (RUN, "--tokens", ["0", "-1"]),
    (RUN, "--top-k", ["-1", "2147483648"]),
    (RUN, "--seed", ["-1", "18446744073709551616"]),
    (RUN, "--threads", ["-1", "65536"]),
    (RUN, "--context", ["-1", "2147483648"]),
    (RUN, "--prompt-ids", ["-1", "2147483648", "1,,2", "1,"]),
    (EVAL, "--chunk", ["0", "-1", "2147483648"]),
    (EVAL, "--max-chunks", ["-1"]),
    (EVAL, "--threads", ["-1", "65536"]),
    (BENCH, "--prompt", ["-1", "2147483648"]),
    (BENCH, "--gen", ["-1", "2147483648"]),
    (BENCH, "--depth", ["-1", "2147483648"]),
    (BENCH, "--batch", ["0", "-1", "1025", "1,,2", "1,0"]),
    (BENCH, "--threads", ["-1", "65536", "1,,1", "1,-1"]),
    (BENCH, "--repeat", ["0", "-1", "2147483648"]),
    (SERVE, "--port", ["-1", "65536"]),
    (SERVE, "--slots", ["0", "-1", "1025"]),
    (SERVE, "--context", ["-1", "2147483648"]),
    (SERVE, "--threads", ["-1", "65536"]),
    (SERVE, "--kv-memory", ["-1", "4294967297"]),
    (SERVE, "--drain-timeout", ["-1", "86401"]),
    (SYNTH, "--seed", ["-1", "18446744073709551616"]),
]
REALS = [
    (RUN, "--temperature", ["-1", "nan", "inf", "1e999"]),
    (RUN, "--top-p", ["0", "-1", "1.1", "nan"]),
    (RUN, "--min-p", ["-0.1", "1.1", "nan"]),
    (RUN, "--repetition-penalty", ["0", "-1", "nan", "inf"]),
    (SYNTH, "--shard-gb", ["0", "-1", "1e7", "nan", "inf", HUGE]),
]
if HAS_TRAINER:
    NUMBERS += [
        (TRAIN, "--stop-after", ["0", "-1", str(2**50 + 1)]),
        (TRAIN, "--nproc", ["0", "-1", "1025"]),
        (TOKENIZE, "--shard-tokens", ["0", "-1", str(2**50 + 1)]),
        (QUANTIZE, "--stages", ["0", "9", "-1"]),
        (QUANTIZE, "--stages-for", ["up", "up=0", "up=9", "=2", "(=2"]),
        (QUANTIZE, "--tokens", ["0", "-1", str(2**40 + 1)]),
        (QUANTIZE, "--gradient-tokens", ["0", "-1", str(2**40 + 1)]),
        (QUANTIZE, "--tune", ["-1", str(2**40 + 1)]),
        (QUANTIZE, "--seed", ["-1", "18446744073709551616"]),
        (QUANTIZE, "--threads", ["0", "-1", "1025"]),
    ]
    REALS += [(QUANTIZE, "--bits", ["0.9", "8.1", "nan", "inf"])]
TWICE = [
    (COMPILE, "--target", ["x86-64-v2,x86-64-v2",
                           "x86-64-v2,x86-64-v3,x86-64-v2"]),
    (BENCH, "--threads", ["1,1", "1,01"]),
    (BENCH, "--batch", ["2,1,2"]),
]


def without(command, option):
    """Options count once, so that each is given by the table alone."""
    short = {"--tokens": "-n", "--prompt-ids": "-p"}.get(option, option)
    at = command.index(short) if short in command else len(command)
    return command[:at] + command[at + 2:]


def check_numbers():
    cases = [(command, option, bad + WORDS) for command, option, bad in NUMBERS]
    cases += [(command, option, bad + ["", "1x"])
              for command, option, bad in REALS]
    for command, option, values in cases + TWICE:
        for value in values:
            result = run(without(command, option) + [f"{option}={value}"])
            what = f"{command[0]} {option}={value}"
            first = result.stderr.splitlines()[0] if result.stderr else ""
            expect(what, result.returncode == 2 and not result.stdout, result)
            # The sentence names the option, maybe as the library's field.
            name = option.lstrip("-").replace("-", "[-_]")
            expect(what, re.search(name, first), result)
    for command, option, values in TWICE:
        result = run(command + [f"{option}={values[0]}"])
        expect(f"{command[0]} {option}", f"{option}: expected each value once, "
               "found '" in result.stderr, result)


def check_help():
    """Shows what is typed: one word for a list, no tables of a parser."""
    for program, lists in (("fairy2-compile", ["--target NAME,NAME,.. "]),
                           ("fairy2-run", ["--prompt-ids ID,ID,.. "]),
                           ("fairy2-bench", ["--batch N,N,.. ",
                                             "--threads N,N,.. "]),
                           ("fairy2-eval", []), ("fairy2-synth", [])):
        result = run([program, "--help"])
        expect(program + " --help",
               result.returncode == 0 and
               not re.search(r"INT \.\.\.|NAMES \.\.\.|->|INT:", result.stdout) and
               all(shown in result.stdout for shown in lists), result)
    # A list takes no word that follows it.
    for command in (["fairy2-bench", "--threads", "1", "--batch", "1",
                     "model.so", "--gen", "1", "--prompt", "0"],
                    ["fairy2-compile", "--target", "x86-64-v2", "model", "-o",
                     "out.so"],
                    ["fairy2-run", "--prompt-ids", "1,1", "model.so", "-n",
                     "1"]):
        result = run(command)
        expect(" ".join(command), result.returncode == 0, result)


def check_outputs():
    """Where nothing can be written, with inputs that are found wrong later."""
    outputs = ["no/file", "folder", "text.txt/file", "a" * 300]
    # root may write everywhere but here.
    if not os.access("/proc", os.W_OK) or os.path.exists("/proc/self"):
        outputs.append("/proc/file")
    if os.geteuid() != 0:
        os.chmod(os.path.join(WORK, "closed"), 0o500)
        outputs.append("closed/file")
    for output in outputs:
        for command in (["fairy2-compile", "broken", "-o", output],
                        ["fairy2-compile", "broken", "--emit=llvm", "-o",
                         output],
                        ["fairy2-run", "broken.so", "-p", "a", "--logits-out",
                         output],
                        ["fairy2-bench", "broken.so", "--html", output],
                        ["fairy2-opt", "broken.mlir", "-o", output]):
            result = run(command)
            what = " ".join(command)
            # A parser's words would come first, had it read the input.
            expect(what, result.returncode == 1 and
                   result.stderr.startswith(f"{command[0]}: error: ") and
                   "broken" not in result.stderr and
                   len(result.stderr.splitlines()) == 1, result)
    if os.listdir(os.path.join(WORK, "folder")):
        faults.append("something was left in folder")


def seen_on_terminal(command, columns):
    """What the program writes to a terminal of that width, and its code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = subprocess.Popen(command, cwd=WORK, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    seen, end = b"", time.monotonic() + LIMIT
    while time.monotonic() < end:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:  # the last of those that write has gone
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    return seen.decode(), process.wait(timeout=LIMIT)


def check_progress():
    programs = [(SYNTH_SMALL, "writing"), (EVAL, "evaluating"),
                (COMPILE, "packing"), (BENCH + ["--repeat", "1"], "measuring")]
    for command, word in programs:
        # 0: a terminal that does not know its width.
        narrow = (40, 24, 14, 6, 3, 0) if command == EVAL else (14,)
        for columns in (200, *narrow):
            seen, code = seen_on_terminal(command, columns)
            what = f"{command[0]} on {columns} columns: {seen!r}"
            drawn = [text for text in re.split(r"[\r\n]+", seen) if text]
            # The last column may make a terminal begin a new line.
            most = (columns or 80) - 1
            if code or not drawn or max(map(len, drawn)) > most:
                faults.append(what)
            if columns in (0, 40, 200) and not re.fullmatch(
                    word + r" \[#+\] 100 %", drawn[-1]):
                faults.append(what)
            if columns == 200 and len(drawn[-1]) != len(word) + 39:
                faults.append(what)
    seen, code = seen_on_terminal(
        ["sh", "-c", "ulimit -f 6000; exec " + " ".join(SYNTH) + " --force"],
        80)
    if code != 1 or not re.search(r"%\r\nfairy2-synth: error: [^\n]*\r\n$", seen):
        faults.append(f"an error after a bar: {seen!r}")


def check_endless():
    """Within a memory that the limit of 1 GiB would not fit into."""
    for command in ("fairy2-run model.so --file /dev/zero",
                    "fairy2-run model.so -p - </dev/zero",
                    "fairy2-eval model.so --text /dev/zero",
                    "fairy2-opt /dev/zero",
                    "fairy2-opt - </dev/zero"):
        result = run("ulimit -v 800000; exec " + command, shell=True)
        expect(command, result.returncode == 1 and
               "line 1: byte 0 is zero, expected plain UTF-8" in result.stderr,
               result)
    result = run("yes | fairy2-run model.so --file /dev/stdin", shell=True)
    expect("yes", result.returncode == 1 and result.stderr ==
           "fairy2-run: error: /dev/stdin: expected at most 1024 MiB, found "
           "more\n", result)
    endless = r"while printf 'words\n'; do printf '\377'; done"
    result = run(f"{endless} | fairy2-run model.so --file /dev/stdin",
                 shell=True)
    expect(endless, "/dev/stdin: line 2: byte 6 (0xFF) is not UTF-8" in
           result.stderr, result)


def prepare():
    shutil.rmtree(WORK, ignore_errors=True)
    for name in ("folder", "broken", "closed"):
        os.makedirs(os.path.join(WORK, name))
    shutil.copytree(MODEL, os.path.join(WORK, "model"))
    shutil.copyfile(CONFIG, os.path.join(WORK, "config.json"))
    for name, text in (("text.txt", "some words, again and again. " * 200),
                       ("broken/config.json", "{"), ("broken.so", "no library"),
                       ("broken.mlir", "magic.wand"),
                       ("recipe.yaml", "model: model\n")):
        with open(os.path.join(WORK, name), "w") as file:
            file.write(text)
    result = run(["fairy2-compile", "model", "-o", "model.so",
                  "--target=x86-64-v2"])
    expect("fairy2-compile", result.returncode == 0, result)


prepare()
check_numbers()
check_help()
check_outputs()
check_progress()
check_endless()
if faults:
    sys.exit("error: " + "\n".join(faults))
print("all command lines are minded")
