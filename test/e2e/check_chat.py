# SPDX-License-Identifier: Apache-2.0
#
# usage: check_chat.py MODEL_DIR WORK_DIR
#
# Gives the model a chat template and talks with it. Every answer must be the
# continuation of the ids that libfairy2 makes of the history.
import ctypes
import json
import os
import shutil
import subprocess
import sys

TEMPLATE = """{% for message in messages %}
{{ bos_token }}{{ message['content'] }}
{% endfor %}
"""
MESSAGES = ["Once upon a time there was a cat.</s><s>", "<s>The cat", "Then"]


def compile_model(source, folder):
    directory = os.path.join(folder, "model")
    shutil.copytree(source, directory)
    with open(os.path.join(directory, "chat_template.jinja"), "w") as file:
        file.write(TEMPLATE)
    path = os.path.join(folder, "model.so")
    subprocess.run(["fairy2-compile", directory, "-o", path], check=True,
                   stdout=subprocess.DEVNULL)
    return path


class Library:
    def __init__(self, path):
        tools = os.path.dirname(shutil.which("fairy2-run"))
        self.fairy2 = ctypes.CDLL(
            os.path.join(tools, "..", "lib", "libfairy2.so"))
        self.model = ctypes.c_void_p()
        assert self.fairy2.fairy2_open(path.encode(),
                                       ctypes.byref(self.model)) == 0

    def tokenize(self, history):
        text = json.dumps(history).encode()
        ids, length = (ctypes.c_int32 * 4096)(), ctypes.c_size_t()
        assert self.fairy2.fairy2_tokenize_chat(
            self.model, text, ctypes.c_size_t(len(text)), 1, ids,
            ctypes.c_size_t(4096), ctypes.byref(length)) == 0
        return list(ids[:length.value])


def main():
    source, folder = sys.argv[1:3]
    path = compile_model(source, folder)
    library = Library(path)
    history, expected = [], ""
    for message in MESSAGES:
        history.append({"role": "user", "content": message})
        ids = library.tokenize(history)
        # BOS starts each message; nobody else writes one.
        if ids.count(1) != len(history) or 2 in ids:
            sys.exit(f"error: typed text became control tokens: {ids}")
        run = subprocess.run(
            ["fairy2-run", path, "--prompt-ids", ",".join(map(str, ids)), "-n",
             "24", "--json"], check=True, capture_output=True, text=True)
        text = json.loads(run.stdout)["text"]
        if not text:
            sys.exit("error: expected an answer, found none")
        history.append({"role": "assistant", "content": text})
        expected += text + "\n"
    chat = subprocess.run(["fairy2-run", path, "--chat", "-n", "24"],
                          input="\n".join(MESSAGES), check=True,
                          capture_output=True, text=True)
    if chat.stdout != expected:
        sys.exit(f"error: expected\n{expected}found\n{chat.stdout}")
    print(f"{len(MESSAGES)} answers are equal")


main()
