# SPDX-License-Identifier: Apache-2.0
#
# usage: compare_with_jinja2.py JINJA_FILTER [TEMPLATE_FOLDER ..]
#
# Every case of make_golden.py and make_values.py, and the real templates of the given folders
# (*.jinja, and tokenizer_config.json below them), rendered by Python's jinja2
# and by the engine: equal byte for byte, and errors where it raises.
import glob
import json
import os
import subprocess
import sys

try:
    import make_golden
    import make_values
except ImportError:
    print("skipped: this Python has no package jinja2")
    sys.exit(77)


def real_templates(folders):
    for folder in folders:
        for path in sorted(glob.glob(folder + "/**/*", recursive=True)):
            if path.endswith(".jinja"):
                with open(path, encoding="utf-8", newline="") as file:
                    yield path, file.read()
            elif path.endswith("tokenizer_config.json"):
                with open(path, encoding="utf-8") as file:
                    template = json.load(file).get("chat_template")
                if template:
                    yield path, template


def real_cases(folders):
    for path, template in real_templates(folders):
        for conversation, messages in make_golden.CONVERSATIONS.items():
            for tools in ({}, {"tools": make_golden.TOOLS}):
                for prompt in (False, True):
                    yield {"name": os.path.relpath(path), "template": template,
                           "conversation": conversation, "messages": messages,
                           "variables": tools,
                           "add_generation_prompt": prompt}


def main():
    cases = list(make_golden.cases()) + list(real_cases(sys.argv[2:]))
    cases += [entry for entry, _ in make_values.cases()]
    requests = "".join(json.dumps({
        "template": case["template"], "messages": case["messages"],
        "variables": case["variables"], "now": make_golden.NOW,
        "special_tokens": make_golden.SPECIAL_TOKENS,
        "add_generation_prompt": case["add_generation_prompt"]}) + "\n"
        for case in cases)
    replies = subprocess.run([sys.argv[1]], input=requests, text=True,
                             encoding="utf-8", capture_output=True,
                             check=True).stdout.split("\n")
    different = errors = 0
    for case, line in zip(cases, replies, strict=False):
        reply = json.loads(line)
        expected = make_golden.render(case)
        errors += expected is None
        if reply.get("text") == expected:
            continue
        different += 1
        print("DIFFERENT", case["name"] or repr(case["template"]),
              case["conversation"], list(case["variables"]))
        print("  jinja2:", repr(expected))
        print("  fairy2:", repr(reply.get("text", reply)))
    print(f"{len(cases)} cases, {errors} of them errors, "
          f"{different} different")
    sys.exit(different != 0)


main()
