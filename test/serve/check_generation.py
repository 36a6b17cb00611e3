# SPDX-License-Identifier: Apache-2.0
#
# usage: check_generation.py WRITE_FAKE_MODEL CHECKPOINT WORK_DIR
#
# What /v1/completions and /v1/chat/completions answer, against fairy2-run, and
# what they refuse, with its field.
import concurrent.futures
import json
import os
import random
import subprocess
import sys
import time

from server import LIMIT, Server, error_of, expect, finish

WRITER, CHECKPOINT, WORK = sys.argv[1:]
MODEL, DEMO = (os.path.join(WORK, name) for name in ("fake.so", "demo.so"))
TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
CONTEXT = 100  # positions of the fake model
SAY = [{"role": "user", "content": "hello"}]


def oracle(*options, model=None):
    """What fairy2-run generates."""
    return json.loads(subprocess.run(
        ["fairy2-run", model or MODEL, "--json", *options], check=True, text=True,
        capture_output=True, timeout=LIMIT).stdout)


def joined(events, index=0):
    """The text of one choice of a stream, and why it ended."""
    expect("end of a stream", events[-1] == "[DONE]", events[-1])
    text, reasons, roles = "", [], 0
    for event in map(json.loads, events[:-1]):
        for choice in event["choices"]:
            if choice["index"] != index:
                continue
            expect("text after its end", not reasons, event)
            delta = choice.get("delta", {})
            roles += "role" in delta
            text += choice.get("text", "") + delta.get("content", "")
            if choice["finish_reason"]:
                reasons.append(choice["finish_reason"])
    ids = {(json.loads(event)["id"], json.loads(event)["created"])
           for event in events[:-1]}
    expect("one id", len(ids) == 1, ids)
    expect("one reason", len(reasons) == 1, reasons)
    expect("the role once", roles in (0, 1), roles)
    return text, (reasons or [None])[0]


def check_text(server):
    for prompt in ("hello", "a b c", "once upon a time there was"):
        wanted = oracle("-p", prompt, "-n", "12", "--temperature", "0")
        body = {"prompt": prompt, "max_tokens": 12, "temperature": 0}
        status, reply = server.post(TEXT, body)
        choice = reply["choices"][0]
        expect(prompt, status == 200 and choice["text"] == wanted["text"],
               (reply, wanted))
        expect("shape", set(choice) == {"index", "text", "logprobs",
                                        "finish_reason"} and
               reply["object"] == "text_completion" and
               reply["id"].startswith("cmpl-") and reply["model"] == "fake",
               reply)
        usage = reply["usage"]
        expect("usage", usage["prompt_tokens"] == len(wanted["prompt_ids"]) and
               usage["completion_tokens"] == len(wanted["ids"]) and
               usage["total_tokens"] == usage["prompt_tokens"] +
               usage["completion_tokens"], usage)
        streamed = server.events(TEXT, dict(body, stream=True))
        expect("stream", joined(streamed) == (choice["text"],
                                              choice["finish_reason"]),
               streamed)
        expect("no usage", "usage" not in json.loads(streamed[0]), streamed[0])
        status, by_ids = server.post(TEXT, dict(body,
                                                prompt=wanted["prompt_ids"]))
        expect("ids", by_ids["choices"][0] == choice, by_ids)
    status, reply = server.post(TEXT, {"prompt": "hello"})
    expect("16 tokens", reply["usage"]["completion_tokens"] <= 16, reply)


def check_sampling(server):
    """On a model whose distributions have a choice."""
    seeded = {"prompt": "Once upon", "max_tokens": 20, "temperature": 0.8,
              "top_p": 0.95, "seed": 7}
    wanted = oracle("-p", "Once upon", "-n", "20", "--temperature", "0.8",
                    "--top-p", "0.95", "--seed", "7", model=DEMO)
    status, reply = server.post(TEXT, dict(seeded, n=3))
    texts = [choice["text"] for choice in reply["choices"]]
    expect("seeded", texts[0].lstrip(" ") == wanted["text"] and len(set(texts)) == 3, reply)
    status, listed = server.post(TEXT, dict(seeded, n=3,
                                            prompt=["A", "Once upon"]))
    expect("index k * n + j", [choice["text"] for choice in
                               listed["choices"]][3:] == texts and
           [choice["index"] for choice in listed["choices"]] ==
           list(range(6)), listed)
    texts = {server.post(TEXT, dict(seeded, seed=None))[1]["choices"][0]["text"]
             for _ in range(3)}
    expect("seeds of their own", len(texts) == 3, texts)
    first, second = server.post("/tokenize", {
        "content": " the dog"})[1]["tokens"][-2:]
    words = server.post("/detokenize", {"tokens": [first] * 3})[1]["prompt"]
    status, reply = server.post(TEXT, {
        "prompt": "A", "max_tokens": 3, "temperature": 0,
        "logit_bias": {str(first): 100}})
    expect("logit_bias", reply["choices"][0]["text"].strip() == words.strip(),
           (reply, words))
    both = {str(first): 100, str(second): 99.9}
    wanted = oracle("-p", "A", "-n", "8", "--presence-penalty", "2",
                    "--frequency-penalty", "1", "--logit-bias",
                    f"{first}=100,{second}=99.9", model=DEMO)
    status, reply = server.post(TEXT, {
        "prompt": "A", "max_tokens": 8, "temperature": 0, "logit_bias": both,
        "presence_penalty": 2, "frequency_penalty": 1})
    expect("penalties", reply["choices"][0]["text"].lstrip(" ") ==
           wanted["text"] and
           len(set(wanted["ids"])) > 1, (reply, wanted))
    status, reply = server.post(TEXT, {"prompt": "Once upon a",
                                       "max_tokens": 2, "temperature": 0})
    expect("the space between", reply["choices"][0]["text"] == " time,", reply)
    bodies = [(TEXT, dict(seeded, seed=i, temperature=i % 3 / 2, n=1 + i % 2,
                          max_tokens=5 + i)) for i in range(16)]
    compare(server, bodies)


def check_chat(server):
    status, reply = server.post(CHAT, {"messages": SAY, "temperature": 0})
    choice = reply["choices"][0]
    status, asked = server.post("/tokenize", {
        "prompt": "<s>user.hello</s>assistant.", "add_special_tokens": False})
    wanted = oracle("--prompt-ids", ",".join(map(str, asked["tokens"])),
                    "-n", "1000")
    expect("chat", choice["message"] == {"role": "assistant", "content":
                                         wanted["text"], "refusal": None} and
           reply["usage"]["prompt_tokens"] == len(asked["tokens"]) and
           set(choice) == {"index", "message", "logprobs", "finish_reason"} and
           reply["object"] == "chat.completion", (reply, wanted))
    body = {"messages": SAY, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
    events = server.events(CHAT, body)
    expect("stream", joined(events) == (choice["message"]["content"],
                                        choice["finish_reason"]), events)
    chunks = [json.loads(event) for event in events[:-1]]
    expect("role first", chunks[0]["choices"][0]["delta"] ==
           {"role": "assistant", "content": ""}, chunks[0])
    expect("usage last", chunks[-1]["choices"] == [] and
           dict(chunks[-1]["usage"], prompt_tokens_details=0) ==
           dict(reply["usage"], prompt_tokens_details=0) and
           all(chunk["usage"] is None for chunk in chunks[:-1]), events)
    same = [
        {"content": [{"type": "text", "text": "hel"},
                     {"type": "text", "text": "lo"}]},
        {"name": "someone", "tool_calls": [], "content": "hello"}]
    for more in same:
        status, other = server.post(CHAT, {
            "messages": [dict(SAY[0], **more)], "temperature": 0, "user": "x",
            "max_tokens": None, "tools": None, "tool_choice": "none",
            "store": False, "unknown": {"a": [1]}, "stop": None, "n": 1,
            "response_format": {"type": "text"}, "modalities": ["text"]})
        expect("the same", status == 200 and other["choices"] ==
               reply["choices"], other)
    for role, other in (("developer", "system"),):
        answers = [server.post(CHAT, {"messages": [
            {"role": name, "content": "be kind"}, *SAY], "temperature": 0,
            "max_completion_tokens": 4})[1]["choices"]
            for name in (role, other)]
        expect(role, answers[0] == answers[1], answers)
    # Text that spells a special token stays text.
    counts = [server.post(CHAT, {"messages": [{"role": "user", "content": text}],
                                 "max_tokens": 1})[1]["usage"]["prompt_tokens"]
              for text in ("", "</s>", "<s>")]
    expect("special tokens of a user", counts[1] == counts[0] + 4 and
           counts[2] == counts[0] + 3, counts)


def check_ends(server):
    base = {"prompt": "hello", "temperature": 0, "max_tokens": 12,
            "ignore_eos": True}
    text = server.post(TEXT, base)[1]["choices"][0]["text"]
    for stop in (text[3:5], [text[3:5]], ["never?", text[2:4], text[3:5]],
                 [text[-1:]]):
        found = server.post(TEXT, dict(base, stop=stop))[1]["choices"][0]
        first = min(text.find(one) for one in
                    ([stop] if isinstance(stop, str) else stop)
                    if one in text)
        expect(f"stop {stop}", found["text"] == text[:first] and
               found["finish_reason"] == "stop", (found, text))
        events = server.events(TEXT, dict(base, stop=stop, stream=True))
        expect(f"stream, stop {stop}", joined(events) == (text[:first], "stop"),
               events)
    for path, body in ((TEXT, {"prompt": "hello", "max_tokens": 10 ** 6}),
                       (CHAT, {"messages": SAY})):
        status, reply = server.post(path, dict(body, ignore_eos=True))
        usage = reply["usage"]
        # The last position's token is drawn but needs no place.
        expect("to the context's end", usage["total_tokens"] == CONTEXT + 1 and
               reply["choices"][0]["finish_reason"] == "length", reply)


BAD_BODIES = ["", "null", "[]", "x", "{", '{"a": 1e999}', '"\ud800"',
              '{"a": "\\ud800"}', b"{\"a\": \"\xff\"}",
              "[" * 100000, '{"a":' * 100000]
NUMBERS = [-1, 1.5, "5", True, 1e18, [1], {}]
BAD_FIELDS = [  # path, what is added, the field that is named
    (TEXT, [{"max_tokens": bad} for bad in NUMBERS + [2 ** 31, 0]],
     "max_tokens"),
    (CHAT, [{"max_tokens": bad} for bad in NUMBERS + [0]], "max_tokens"),
    (CHAT, [{"max_completion_tokens": bad} for bad in NUMBERS + [0]],
     "max_completion_tokens"),
    (TEXT, [{"n": bad} for bad in NUMBERS + [0, 10 ** 6]], "n"),
    (TEXT, [{"prompt": ["a"] * 64, "n": 3}], "n"),
    (TEXT, [{"logprobs": bad} for bad in [-1, 10 ** 6, True, "1"]], "logprobs"),
    (CHAT, [{"logprobs": bad} for bad in [1, "true", []]], "logprobs"),
    (CHAT, [{"top_logprobs": bad} for bad in [-1, 10 ** 6, True, 5]],
     "top_logprobs"),
    (TEXT, [{"top_p": bad} for bad in [0, 2, -1, "1", 1e-60]], "top_p"),
    (TEXT, [{"min_p": bad} for bad in [-0.1, 2, "1"]], "min_p"),
    (TEXT, [{"top_k": bad} for bad in [-1, 2 ** 31, 1.5]], "top_k"),
    (TEXT, [{"temperature": bad} for bad in [-1, "NaN", 1e308, 2.1, []]],
     "temperature"),
    (TEXT, [{"seed": bad} for bad in [2 ** 70, 1.5, "7", True]], "seed"),
    (TEXT, [{"stop": bad} for bad in ["", 5, {}, ["a"] * 10 ** 4]], "stop"),
    (TEXT, [{"stop": ["a", bad]} for bad in ["", 5]], "stop[1]"),
    (TEXT, [{"repetition_penalty": bad} for bad in [0, -1, 11, "1"]],
     "repetition_penalty"),
    (TEXT, [{"presence_penalty": bad} for bad in [3, -3, "1"]],
     "presence_penalty"),
    (TEXT, [{"frequency_penalty": bad} for bad in [3, -3, "1"]],
     "frequency_penalty"),
    (TEXT, [{"logit_bias": bad} for bad in [[], "x", {"x": 1}, {"-1": 1},
                                            {"32": 1}, {"01x": 1}]],
     "logit_bias"),
    (TEXT, [{"logit_bias": {"5": bad}} for bad in [101, "1", []]],
     "logit_bias.5"),
    (TEXT, [{"stream": bad} for bad in [1, "true"]], "stream"),
    (TEXT, [{"stream_options": bad} for bad in [1, [], "x"]],
     "stream_options"),
    (TEXT, [{"stream": True, "stream_options": {"include_usage": 1}}],
     "stream_options.include_usage"),
    (TEXT, [{"prompt": bad} for bad in [None, [], 5, {}, True]], "prompt"),
    (TEXT, [{"prompt": [[5], bad]} for bad in [[], "a", 5]], "prompt[1]"),
    (TEXT, [{"prompt": [5, bad]} for bad in [-1, 32, 2 ** 40, "a", 1.5, True,
                                             2 ** 64 - 1]], "prompt[1]"),
    (TEXT, [{"prompt": [[5], [5, 99]]}], "prompt[1][1]"),
    (TEXT, [{"prompt": [[]]}, {"prompt": ["a", 5]}], None),
    (TEXT, [{"prompt": ["a"] * 65}], "prompt"),
    (TEXT, [{"suffix": "x"}], "suffix"),
    (TEXT, [{"best_of": 2}, {"best_of": 0}], "best_of"),
    (TEXT, [{"echo": 1}], "echo"),
    (CHAT, [{"messages": bad} for bad in [None, "s", [], {}]], "messages"),
    (CHAT, [{"messages": [bad]} for bad in [123, "x", []]], "messages[0]"),
    (CHAT, [{"messages": [dict(SAY[0], role=bad)]}
            for bad in [123, "", "tool", None]], "messages[0].role"),
    (CHAT, [{"messages": [*SAY, {}]}], "messages[1].role"),
    (CHAT, [{"messages": [dict(SAY[0], content=bad)]}
            for bad in [123, None, {}]], "messages[0].content"),
    (CHAT, [{"messages": [dict(SAY[0], content=[{
        "type": "image_url", "image_url": {"url": "file:///etc/passwd"}}])]}],
     "messages[0].content[0].type"),
    (CHAT, [{"messages": [dict(SAY[0], content=[{"type": "text"}])]}],
     "messages[0].content[0].text"),
    (CHAT, [{"messages": [dict(SAY[0], tool_calls=[{}])]}],
     "messages[0].tool_calls"),
    (CHAT, [{"tools": [{}]}], "tools"),
    (CHAT, [{"tool_choice": "required"}], "tool_choice"),
    (CHAT, [{"functions": [{}]}], "functions"),
    (CHAT, [{"audio": {}}], "audio"),
    (CHAT, [{"modalities": ["text", "audio"]}], "modalities"),
    (CHAT, [{"web_search_options": {}}], "web_search_options"),
    (CHAT, [{"response_format": {"type": "json_schema"}},
            {"response_format": {}}], "response_format"),
    (CHAT, [{"chat_template_kwargs": {"messages": "x"}}],
     "chat_template_kwargs.messages"),
    (CHAT, [{"chat_template_kwargs": {"a": []}}], "chat_template_kwargs.a"),
    ("/tokenize", [{"prompt": 5}, {"prompt": None}], "prompt"),
    ("/tokenize", [{"content": 5}], "content"),
    ("/tokenize", [{"add_special": 1}], "add_special"),
    ("/detokenize", [{"tokens": bad} for bad in [None, "x", 5]], "tokens"),
    ("/detokenize", [{"tokens": [5, 32]}], "tokens[1]"),
]


def check_bad(server):
    mine = server.connection()
    for body in BAD_BODIES:
        for path in (TEXT, CHAT, "/tokenize", "/detokenize"):
            if body == "":
                status, _, text = server.ask("POST", path, headers={
                    "Content-Length": "0"}, connection=mine)
            else:
                status, _, text = server.ask("POST", path, body,
                                             connection=mine)
            expect(f"{path} {body[:20]!r}", status == 400 and
                   error_of(text)["param"] is None, text)
    status, _, text = server.ask("POST", TEXT, '{"prompt":"a","prompt":"b"}',
                                 connection=mine)
    expect("a key twice", status == 400 and "prompt" in text, text)
    for path, bodies, field in BAD_FIELDS:
        whole = {TEXT: {"prompt": "a"}, CHAT: {"messages": SAY},
                 "/tokenize": {}, "/detokenize": {}}[path]
        if path == "/tokenize" and field == "add_special":
            whole = {"prompt": "a"}
        for more in bodies:
            status, _, text = server.ask("POST", path, dict(whole, **more),
                                         connection=mine)
            error = error_of(text)
            wanted = error["param"] == field if field else \
                error["param"] in ("prompt[0]", "prompt[1]")
            expect(f"{path} {str(more)[:100]}", status == 400 and wanted and
                   error["type"] == "invalid_request_error", text)
    status, reply = server.post(TEXT, {"prompt": "a", "model": "gpt-x"})
    expect("another model", status == 404 and
           reply["error"]["code"] == "model_not_found" and
           reply["error"]["param"] == "model", reply)
    for path, body in ((TEXT, {"prompt": "a" * 10 ** 6}),
                       (TEXT, {"prompt": [5] * (CONTEXT + 1)}),
                       (CHAT, {"messages": SAY * 10 ** 4})):
        status, reply = server.post(path, body)
        error = reply["error"]
        expect("too long", status == 400 and error["code"] ==
               "context_length_exceeded" and "context_length_exceeded" in
               error["message"] and error["param"] in ("prompt", "messages"),
               error)
    status, _, text = server.ask("POST", TEXT, "{}", headers={
        "Content-Type": "text/plain"})
    expect("what a page may post unasked", status == 415, text)
    status, reply = server.post(TEXT, {"prompt": "a", "max_tokens": 1},
                                connection=mine)
    expect("after all of it", status == 200, reply)


def compare(server, bodies):
    """Whoever else asks, the same request has the same answer."""
    alone = [server.post(*one)[1]["choices"] for one in bodies]
    order = list(range(len(bodies))) * 2
    random.Random(1).shuffle(order)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda i: server.post(*bodies[i])[1], order))
    for i, reply in zip(order, together):
        expect(f"request {i} among others", reply.get("choices") == alone[i],
               (reply, alone[i]))


def check_equal(server):
    compare(server, [
        (TEXT, {"max_tokens": 5 + i, "temperature": 0, "n": 1 + i % 3,
                "prompt": "hello there"[:1 + i % 11]}) if i % 2 else
        (CHAT, {"max_tokens": 5 + i, "temperature": 0, "messages": SAY})
        for i in range(24)])


def timed(check, server):
    begin = time.monotonic()
    check(server)
    print(f"{check.__name__}: {time.monotonic() - begin:.1f} s")


def main():
    os.makedirs(WORK, exist_ok=True)
    subprocess.run([WRITER, MODEL], check=True)
    with Server(MODEL, "--slots", "3", "--threads", "1") as server:
        for check in (check_text, check_chat, check_ends, check_bad,
                      check_equal):
            timed(check, server)
        expect("ends", server.end() == 0, server.said)
    subprocess.run(["fairy2-compile", CHECKPOINT, "-o", DEMO], check=True,
                   timeout=10 * LIMIT)
    with Server(DEMO, "--slots", "4") as server:
        timed(check_sampling, server)
    finish()


main()
