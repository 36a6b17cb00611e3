# SPDX-License-Identifier: Apache-2.0
#
# usage: check_readme.py WRITE_FAKE_MODEL CHECKPOINT SOURCE_DIR CLIENTS_PYTHON
#        WORK_DIR
#
# Runs what runtime/serve/README.md shows against servers of this test's own:
# curl always, openai's client and the lm-eval harness where tools/setup.sh
# --clients has put them. The harness's sums must be those of fairy2-eval.
import json
import os
import re
import shutil
import subprocess
import sys

from server import LIMIT, Server, expect, finish

WRITER, CHECKPOINT, SOURCE, PYTHON, WORK = sys.argv[1:]
CLIENTS = os.path.dirname(PYTHON)  # where tools/setup.sh --clients puts them
QUESTIONS = [
    ("What did Lily see in the park?", ["a big tree", "a car", "the sea"], 0),
    ("Who was sad?", ["the dog", "The little girl was very sad"], 1),
    ("Where is the ball?", ["in the box", "under it ", "é"], 2)]
TASK = """task: arc_easy
dataset_path: json
dataset_kwargs: {data_files: questions.jsonl}
test_split: train
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices.text}}"
doc_to_target: "{{choices.label.index(answerKey)}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
"""


def block_of(heading, url):
    """The indented lines beneath a heading, for a server of ours."""
    with open(os.path.join(SOURCE, "runtime/serve/README.md")) as file:
        text = file.read()
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^(?:    (.*)|(?=\n    ))$", section, re.MULTILINE)
    return "\n".join(lines).replace("http://127.0.0.1:8080", url)


def run(name, command, **more):
    done = subprocess.run(command, capture_output=True, text=True, cwd=WORK,
                          timeout=10 * LIMIT, **more)
    expect(name, done.returncode == 0, (done.stdout, done.stderr[-2000:]))
    return done.stdout


def check_curl(server):
    told = run("curl", ["sh", "-ec", block_of("With curl", server.url)])
    expect("curl", '"object":"list"' in told and '"chat.completion"' in told and
           told.rstrip().endswith("data: [DONE]"), told)


def check_harness(demo):
    questions = os.path.join(WORK, "questions.jsonl")
    with open(questions, "w") as file:
        for question, choices, gold in QUESTIONS:
            file.write(json.dumps({
                "question": question, "answerKey": "ABC"[gold], "choices": {
                    "text": choices, "label": list("ABC"[:len(choices)])}}))
            file.write("\n")
    tasks = os.path.join(WORK, "tasks")
    shutil.rmtree(tasks, ignore_errors=True)
    os.makedirs(tasks)
    with open(os.path.join(tasks, "arc_easy.yaml"), "w") as file:
        file.write(TASK.replace("arc_easy", "questions").replace(
            "questions.jsonl", questions))
    shutil.rmtree(os.path.join(WORK, "out"), ignore_errors=True)
    with Server(demo, "--alias", "model", "--bos-for-ids") as server:
        run("lm-eval", ["sh", "-ec", block_of(
            "With the lm-eval harness", server.url).replace(
                "--tasks arc_easy", "--tasks questions --include_path tasks "
                "--output_path out --log_samples")],
            env=dict(os.environ, PATH=CLIENTS + ":" + os.environ["PATH"],
                     HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1",
                     HOME=WORK, HF_HOME=os.path.join(WORK, "cache")))
    theirs = {}
    for folder, _, names in os.walk(os.path.join(WORK, "out")):
        for name in names:
            if name.startswith("samples_"):
                with open(os.path.join(folder, name)) as file:
                    for sample in map(json.loads, file):
                        theirs[sample["doc_id"]] = [
                            float(one[0]) for one in sample["filtered_resps"]]
    samples = os.path.join(WORK, "ours.jsonl")
    run("fairy2-eval", ["fairy2-eval", demo, "--task",
                        f"arc_easy={questions}", "--samples", samples])
    with open(samples) as file:
        ours = [json.loads(line) for line in file]
    found = [[choice["sum"] for choice in one["choices"]] for one in ours]
    expect("as many", len(found) == len(theirs) == len(QUESTIONS), theirs)
    for i, sums in enumerate(found):
        expect(f"question {i}", all(
            abs(a - b) <= 1e-9 * abs(b) for a, b in zip(theirs[i], sums)) and
            len(theirs[i]) == len(sums), (theirs[i], sums))
    print("lm-eval's sums are fairy2-eval's")


def main():
    os.makedirs(WORK, exist_ok=True)
    fake, demo = (os.path.join(WORK, name) for name in ("fake.so", "demo.so"))
    subprocess.run([WRITER, fake], check=True)
    with Server(fake) as server:
        check_curl(server)
        if os.path.exists(PYTHON):
            program = block_of("With openai's client", server.url)
            run("openai", [PYTHON, "-c", program])
    if os.path.exists(PYTHON):
        run("fairy2-compile", ["fairy2-compile", os.path.abspath(CHECKPOINT),
                               "-o", demo])
        check_harness(demo)
    finish()


main()
