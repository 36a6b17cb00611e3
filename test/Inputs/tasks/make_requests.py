# SPDX-License-Identifier: Apache-2.0
#
# usage: make_requests.py > requests.golden.json
#
# What lm-evaluation-harness (0.4.13, with its package datasets) makes of the
# documents here: each choice's (context, continuation), which is right, and how
# many characters and bytes acc_norm and acc_bytes count.
import json
import os

import datasets
from lm_eval.tasks import TaskManager, get_task_dict

NAMES = ["arc_easy", "hellaswag", "lambada_openai", "piqa", "winogrande"]
FOLDER = os.path.dirname(os.path.abspath(__file__))


def requests_of(task, doc):
    context = task.fewshot_context(doc, 0)
    found = task.construct_requests(
        doc, context, metadata=("", 0, 1), apply_chat_template=False,
        chat_template=None)
    found = found if isinstance(found, list) else [found]
    # acc_mutual_info would ask for more, without a context.
    return [list(request.args) for request in found]


def gold_of(task, doc):
    if task.OUTPUT_TYPE == "loglikelihood":
        return None
    if task.multiple_input:
        return int(task.doc_to_text(doc))
    gold = task.doc_to_target(doc)
    return int(gold)


def answers_of(task, doc, requests):
    if task.OUTPUT_TYPE == "loglikelihood" or task.multiple_input:
        return [continuation[1:] for _, continuation in requests]
    return task.doc_to_choice(doc)


def main():
    manager = TaskManager()
    golden = {}
    for name in NAMES:
        path = os.path.join(FOLDER, name + ".jsonl")
        with open(path, encoding="utf-8") as file:
            documents = [json.loads(line) for line in file]
        if name == "hellaswag":  # a column has one type
            documents = [{**doc, "label": str(doc["label"])}
                         for doc in documents]
        real_load = datasets.load_dataset

        def load(*args, **kwargs):
            data = datasets.Dataset.from_list(documents)
            return datasets.DatasetDict(
                {split: data for split in ("train", "validation", "test")})

        datasets.load_dataset = load
        task = get_task_dict([name], manager)[name]
        datasets.load_dataset = real_load
        golden[name] = []
        for doc in task.eval_docs:
            requests = requests_of(task, doc)
            golden[name].append({
                "requests": requests, "gold": gold_of(task, doc),
                "lengths": [[len(answer), len(answer.encode())]
                            for answer in answers_of(task, doc, requests)]})
    print(json.dumps(golden, ensure_ascii=False, indent=1))


main()
