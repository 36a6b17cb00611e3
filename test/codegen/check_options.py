# SPDX-License-Identifier: Apache-2.0
#
# usage: check_options.py MODEL_DIR
#
# Every option of a pipeline changes what its passes are told; every option of a
# pass of ours is changed by one of its pipeline's; every option of a pipeline
# is a flag of fairy2-compile, whose --print-opt-command repeats it.
import re
import subprocess
import sys

PIPELINES = ["fairy2-to-quantized", "fairy2-to-packed", "fairy2-to-loops",
             "fairy2-to-llvm"]
# What fairy2-compile says in other words: --method, and --target.
OTHER_WORDS = {"signs": "--method=bitnet", "cpu": "--target=x86-64-v2"}
# The pipeline's own: the stage that it checks, and the distances of the level.
FIXED = {("fairy2-verify-stage", "stage")}
# A pass that none of the pipelines has.
BETWEEN = "strip-debuginfo"
PASS = re.compile(r"^ +(?:func.func\()?(fairy2-[\w-]+)(?:\{(.*)\})?\)?,?$",
                  re.MULTILINE)
ENTRY = re.compile(r"^ +--(\S+) +-")
VALUE = re.compile(r"^ +=(\S+)")


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          **more)


def options_of(text, name):
    """{option: (kind, values)} of a pass or pipeline in fairy2-opt's help."""
    options, current, indent = {}, None, None
    for line in text.splitlines():
        entry = ENTRY.match(line)
        depth = len(line) - len(line.lstrip())
        if indent is None:
            if entry and entry.group(1) == name:
                indent = depth
        elif entry and depth <= indent:
            break
        elif entry:
            current, _, kind = entry.group(1).partition("=")
            options[current] = (kind, [])
        elif VALUE.match(line):
            options[current][1].append(VALUE.match(line).group(1))
    return options


def passes_with(pipeline, settings):
    """{pass: {option: value}} of what a pipeline runs, for each of settings.

    One process is told them all: its start is what takes time."""
    runs = [f"{pipeline}{{{' '.join(options)}}}" for options in settings]
    # An empty module may be refused; the passes are told before.
    text = subprocess.run(
        ["fairy2-opt", "--dump-pass-pipeline",
         f"--pass-pipeline=builtin.module({f',{BETWEEN},'.join(runs)})"],
        input="module {}", capture_output=True, text=True).stderr
    found = [{name: dict(word.partition("=")[::2] for word in options.split())
              for name, options in PASS.findall(part)}
             for part in re.split(rf"^ +{BETWEEN}\b", text, flags=re.MULTILINE)]
    if len(found) != len(settings) or not all(found):
        sys.exit(f"error: {pipeline}: cannot read {text}")
    return found


def settings(options):
    """option=value for values of every option."""
    some = {"<long>": ["3"], "<string>": ["x86-64-v2"], "": ["true", "false"]}
    for option, (kind, values) in options.items():
        for value in values or some[kind]:
            yield option, value


def check_pipeline(pipeline, options, text, failures):
    """What its options tell its passes; `text` is fairy2-opt's help."""
    words = [(option, f"{option}={value}")
             for option, value in settings(options)]
    # A pass that runs only if it is asked for is compared beside itself.
    alone = passes_with(pipeline, [()] + [(word,) for _, word in words])
    bases = {(): alone[0]}
    for (_, word), found in zip(words, alone[1:]):
        if not any(set(found) <= set(base) for base in bases.values()):
            bases[(word,)] = found
    both = iter(passes_with(pipeline, [(*base, word) for base in bases
                                       for _, word in words]))
    effective, changed = set(), set()
    for plain in bases.values():
        for option, _ in words:
            found = next(both)
            if found != plain:
                effective.add(option)
            changed |= {(name, key) for name in set(found) & set(plain)
                        for key in found[name]
                        if found[name][key] != plain[name].get(key)}
    failures += [f"{pipeline}: {option} changes no pass"
                 for option in set(options) - effective]
    passes = {name for base in bases.values() for name in base}
    failures += [f"{pipeline}: nothing changes {key} of {name}"
                 for name in sorted(passes) for key in options_of(text, name)
                 if (name, key) not in changed | FIXED]


def check_tool(model, pipelines, failures):
    """Every value of every option, one of each at a time."""
    kinds = {option: kind for options in pipelines.values()
             for option, kind in options.items() if option not in OTHER_WORDS}
    flags = {option: [f"--{option}={value.replace('_', '-')}"
                      for _, value in settings({option: kinds[option]})]
             for option in kinds}
    rounds = [[words[i] for words in flags.values() if i < len(words)]
              for i in range(max(map(len, flags.values())))]
    for words in rounds + [list(OTHER_WORDS.values())]:
        command = run("fairy2-compile", model, "-o", "-", "--emit=llvm",
                      "--print-opt-command", *words).stdout
        for pipeline, options in pipelines.items():
            told = re.search(rf"\b{pipeline}{{(.*?)}}(?:,fairy2-|\))", command)
            failures += [
                f"{pipeline}: {words} says nothing of {option}: {command}"
                for option in options
                if {OTHER_WORDS.get(option), *flags.get(option, [])} & {*words}
                and not (told and re.search(rf"(?<!\S){option}=", told[1]))]


def main():
    text = run("fairy2-opt", "--help").stdout
    failures = []
    pipelines = {name: options_of(text, name) for name in PIPELINES}
    for name, options in pipelines.items():
        if options:
            check_pipeline(name, options, text, failures)
    check_tool(sys.argv[1], pipelines, failures)
    for failure in failures:
        print("error:", failure)
    count = sum(map(len, pipelines.values()))
    print(f"{count} options, {len(failures)} failures")
    sys.exit(1 if failures or count < 12 else 0)


main()
