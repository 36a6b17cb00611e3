# SPDX-License-Identifier: Apache-2.0
#
# usage: check_scores.py WRITE_FAKE_MODEL CHECKPOINT WORK_DIR
#
# What logprobs and echo tell: the arrays of /v1/completions as lm-eval reads
# them, the lists of chats. The numbers are checked against the log-softmax of
# fairy2-run's logits, in Python.
import concurrent.futures
import json
import math
import os
import subprocess
import sys

from npy import read_npy
from server import LIMIT, Server, expect, finish

WRITER, CHECKPOINT, WORK = sys.argv[1:]
FAKE, DEMO = (os.path.join(WORK, name) for name in ("fake.so", "demo.so"))
TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
PROMPTS = ["Once upon a time, there was", "The dog", "A", "é 漢 🙂 ok",
           "One day, Lily went to the park with her mom. She saw a big tree"]


def log_softmax(row):
    largest = max(row)
    total = math.fsum(math.exp(x - largest) for x in row)
    return [x - largest - math.log(total) for x in row]


def rows_of(ids):
    """log-softmax after each of the ids, by fairy2-run."""
    path = os.path.join(WORK, "logits.npy")
    subprocess.run(["fairy2-run", DEMO, "--prompt-ids",
                    ",".join(map(str, ids)), "-n", "1", "--logits-out", path],
                   check=True, capture_output=True, timeout=LIMIT)
    (count, width), values = read_npy(path)
    return [log_softmax(values[i * width:(i + 1) * width])
            for i in range(count)]


def close(a, b):
    return abs(a - b) <= 1e-5 * max(1, abs(b))


def check_arrays(server):
    for prompt in PROMPTS:
        ids = server.post("/tokenize", {"prompt": prompt})[1]["tokens"]
        names = [server.post("/detokenize", {"tokens": [0, one]})[1]["prompt"]
                 for one in ids]
        rows = rows_of(ids)
        for k in (0, 1, 5, 20):
            body = {"prompt": prompt, "max_tokens": 0, "echo": True,
                    "logprobs": k}
            status, reply = server.post(TEXT, body)
            choice = reply["choices"][0]
            told = choice["logprobs"]
            what = f"{prompt!r}, {k}"
            expect(what, choice["text"] == prompt and
                   choice["finish_reason"] == "length", choice)
            expect(what, {len(told[name]) for name in told} == {len(ids)}, told)
            expect(what, told["token_logprobs"][0] is None and
                   told["top_logprobs"][0] is None, told)
            for i in range(1, len(ids)):
                wanted = rows[i - 1]
                value = told["token_logprobs"][i]
                expect(f"{what}, {i}", close(value, wanted[ids[i]]),
                       (value, wanted[ids[i]]))
                top = told["top_logprobs"][i]
                expect(f"{what}, {i}: own entry",
                       top[told["tokens"][i]] == value, (top, told))
                expect(f"{what}, {i}: count", k <= len(top) <= k + 1 or
                       len(top) <= k, top)
                best = sorted(wanted, reverse=True)[:k]
                found = sorted(top.values(), reverse=True)[:k]
                expect(f"{what}, {i}: best", all(map(close, found, best)),
                       (found, best))
                if not told["tokens"][i].startswith("bytes:"):
                    place = told["text_offset"][i]
                    expect(f"{what}, {i}: offset", prompt[place:].startswith(
                        told["tokens"][i].lstrip(" ")) or
                        prompt[place:].startswith(told["tokens"][i]),
                        (told["tokens"], told["text_offset"]))
            events = server.events(TEXT, dict(body, stream=True))
            first = json.loads(events[0])["choices"][0]
            expect(f"{what}: stream", first["text"] == prompt and
                   first["logprobs"] == told, events)
        by_ids = server.post(TEXT, {"prompt": ids, "max_tokens": 0,
                                    "echo": True, "logprobs": 20})[1]
        expect(f"{prompt!r} by ids", by_ids["choices"][0]["logprobs"]
               ["token_logprobs"] == told["token_logprobs"], by_ids)
        expect("names", len(names) == len(told["tokens"]))


def check_generated(server):
    """Tokens that are generated have the scores that an echo gives them."""
    for prompt in PROMPTS:
        body = {"prompt": prompt, "max_tokens": 6, "temperature": 0.9,
                "seed": 5, "logprobs": 3, "presence_penalty": 1,
                "ignore_eos": True}
        plain = server.post(TEXT, body)[1]["choices"][0]
        echoed = server.post(TEXT, dict(body, echo=True))[1]
        usage, echoed = echoed["usage"], echoed["choices"][0]
        ids = server.post("/tokenize", {"prompt": prompt})[1]["tokens"]
        expect("echo first", echoed["text"] == prompt + plain["text"], echoed)
        count = len(ids)
        expect("usage", usage["prompt_tokens"] == count and
               usage["completion_tokens"] == 6, usage)
        for name, values in plain["logprobs"].items():
            tail = echoed["logprobs"][name][count:]
            if name == "text_offset":
                tail = [place - len(prompt) for place in tail]
            expect(f"{name} of {prompt!r}", tail == values, (tail, values))
        events = [json.loads(event) for event in
                  server.events(TEXT, dict(body, stream=True))[:-1]]
        for name, values in plain["logprobs"].items():
            joined = [value for event in events
                      for value in (event["choices"][0]["logprobs"] or
                                    {name: []})[name]]
            expect(f"{name} of a stream", joined == values, (joined, values))


def check_lists(server):
    """Lists of prompts as lm-eval sends them, together and alone."""
    lists = [server.post("/tokenize", {"prompt": prompt})[1]["tokens"]
             for prompt in PROMPTS]
    body = {"model": "demo", "temperature": 0, "max_tokens": 1, "logprobs": 1,
            "seed": 1234, "echo": True}
    alone = [server.post(TEXT, dict(body, prompt=[ids]))[1]["choices"][0]
             for ids in lists]
    together = server.post(TEXT, dict(body, prompt=lists))[1]["choices"]
    expect("together", [dict(one, index=0) for one in together] == alone,
           together)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        crowd = list(pool.map(lambda i: server.post(TEXT, dict(
            body, prompt=[lists[i % len(lists)]]))[1]["choices"][0], range(40)))
    expect("in a crowd", all(one == alone[i % len(lists)]
                             for i, one in enumerate(crowd)), crowd)
    for one, ids in zip(alone, lists):
        expect("lm-eval's arrays", len(one["logprobs"]["token_logprobs"]) ==
               len(ids) + 1, one)
    return lists, alone


def check_cache(server):
    long = {"prompt": PROMPTS[-1] * 4, "max_tokens": 4, "temperature": 0,
            "echo": True, "logprobs": 2}
    first = server.post(TEXT, long)[1]
    second = server.post(TEXT, long)[1]
    count = second["usage"]["prompt_tokens"]
    expect("kept", first["usage"]["prompt_tokens_details"]["cached_tokens"] <
           count - 1 and second["usage"]["prompt_tokens_details"]
           ["cached_tokens"] == count - 1, (first["usage"], second["usage"]))
    expect("the same", first["choices"] == second["choices"])
    return first["choices"]


def check_keys(alone):
    """What one key left is not used for another."""
    keys = os.path.join(WORK, "keys")
    with open(keys, "w") as file:
        file.write("one\ntwo\n")
    os.chmod(keys, 0o600)
    body = {"prompt": PROMPTS[-1] * 4, "max_tokens": 4, "temperature": 0,
            "echo": True, "logprobs": 2}
    for use, kept in (("per-key", [0, 1, 0, 1]), ("shared", [0, 1, 1, 1]),
                      ("off", [0, 0, 0, 0])):
        with Server(DEMO, "--api-key-file", keys, "--cache", use) as server:
            found = []
            for key in ("one", "one", "two", "one"):
                reply = server.post(TEXT, body, headers={
                    "Authorization": f"Bearer {key}"})[1]
                usage = reply["usage"]
                found.append(usage["prompt_tokens_details"]["cached_tokens"])
                expect(f"{use} {key}", reply["choices"] == alone, reply)
            most = usage["prompt_tokens"] - 1
            expect(use, found == [most * one for one in kept], found)


def check_unseen_bos(lists, alone):
    with Server(DEMO, "--bos-for-ids") as server:
        for ids, wanted in zip(lists, alone):
            status, reply = server.post(TEXT, {
                "prompt": ids[1:], "temperature": 0, "max_tokens": 1,
                "logprobs": 1, "echo": True})
            found = reply["choices"][0]
            for name in ("tokens", "token_logprobs", "top_logprobs"):
                expect(f"unseen BOS: {name}", found["logprobs"][name] ==
                       wanted["logprobs"][name][1:], (found, wanted))
            expect("usage", reply["usage"]["prompt_tokens"] == len(ids) - 1,
                   reply)
            status, reply = server.post(TEXT, {
                "prompt": ids, "temperature": 0, "max_tokens": 1,
                "logprobs": 1, "echo": True})
            expect("there already", reply["choices"][0] == wanted, reply)


def check_chat(server):
    body = {"messages": [{"role": "user", "content": "hello"}],
            "temperature": 0, "logprobs": True, "top_logprobs": 2}
    for more in ({}, {"max_tokens": 5}, {"stop": ["g"]}, {"stop": "el"}):
        status, reply = server.post(CHAT, dict(body, **more))
        choice = reply["choices"][0]
        content = choice["message"]["content"]
        told = choice["logprobs"]["content"]
        expect("joined", b"".join(bytes(one["bytes"]) for one in told) ==
               content.encode(), (told, content))
        for one in told:
            expect("entry", one["logprob"] <= 0 and
                   len(one["top_logprobs"]) == 2 and one["token"] ==
                   bytes(one["bytes"]).decode(), one)
            expect("greedy", one["top_logprobs"][0]["logprob"] ==
                   one["logprob"], one)
        events = [json.loads(event)["choices"][0] for event in
                  server.events(CHAT, dict(body, stream=True, **more))[:-1]]
        joined = [one for event in events
                  for one in (event["logprobs"] or {"content": []})["content"]]
        expect("stream", joined == told, (joined, told))
        expect("chunk by chunk", all(
            event["delta"].get("content", "") ==
            "".join(one["token"] for one in event["logprobs"]["content"])
            for event in events if event["logprobs"]), events)


def main():
    os.makedirs(WORK, exist_ok=True)
    subprocess.run([WRITER, FAKE], check=True)
    subprocess.run(["fairy2-compile", CHECKPOINT, "-o", DEMO], check=True,
                   timeout=10 * LIMIT, stdout=subprocess.DEVNULL)
    with Server(DEMO, "--slots", "3") as server:
        check_arrays(server)
        check_generated(server)
        lists, alone = check_lists(server)
    with Server(DEMO) as server:
        kept = check_cache(server)
    check_keys(kept)
    check_unseen_bos(lists, alone)
    with Server(FAKE) as server:
        check_chat(server)
    finish()


main()
