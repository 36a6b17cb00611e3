# SPDX-License-Identifier: Apache-2.0
#
# usage: check_clients.py CHECKPOINT WORK_DIR
#
# Who leaves is not generated for, in whatever state; who comes when the queue
# is full is told at once; the end of the server is an orderly one.
import concurrent.futures
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from server import LIMIT, Server, error_of, expect, finish

CHECKPOINT, WORK = sys.argv[1:]
MODEL = os.path.join(WORK, "demo.so")
TEXT = "/v1/completions"
# More than the server could generate while a test runs.
ENDLESS = {"prompt": "Once", "max_tokens": 10 ** 6, "ignore_eos": True,
           "n": 60, "seed": 1}
SHORT = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}


def figures(server):
    """The lines of /metrics, checked, as name with labels -> value."""
    status, fields, text = server.ask("GET", "/metrics")
    expect("metrics", status == 200 and
           fields["Content-Type"].startswith("text/plain; version=0.0.4"), text)
    found, kinds = {}, {}
    for line in text.splitlines():
        if kind := re.fullmatch(r"# TYPE (\w+) (counter|gauge|histogram)", line):
            kinds[kind[1]] = kind[2]
        elif not line.startswith("# HELP "):
            sample = re.fullmatch(
                r'(\w+)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (\S+)', line)
            if not sample:
                sys.exit(f"no sample: {line}")
            name = re.sub(r"_(bucket|sum|count)$", "", sample[1])
            expect(line, name in kinds or sample[1] in kinds)
            found[sample[1] + (sample[2] or "")] = float(sample[3])
    return found


def states(server):
    found = figures(server)
    return [int(found[f'fairy2_sequences{{state="{state}"}}'])
            for state in ("running", "waiting")]


def wait_for(what, condition, limit=LIMIT):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            expect(what, False, "never")
            return
        time.sleep(0.02)


def start(server, body, read_first):
    """A connection with a request under way; None: its head is not whole."""
    client = socket.create_connection((server.host, server.port), LIMIT)
    text = json.dumps(body or SHORT).encode()
    head = (f"POST {TEXT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
            f"application/json\r\nContent-Length: {len(text)}\r\n\r\n").encode()
    client.sendall(head[:30] if body is None else head + text)
    if read_first:
        found = b""
        while b"data: " not in found:
            piece = client.recv(4096)
            if not piece:
                sys.exit(f"no stream: {found}")
            found += piece
    return client


def check_leaving(server):
    wanted = server.post(TEXT, SHORT)[1]["choices"]
    for streams in (True, False):
        client = start(server, dict(ENDLESS, stream=streams), streams)
        wait_for("running", lambda: states(server)[0] == 2)
        expect("others meanwhile", server.ask("GET", "/health")[0] == 200)
        # One that waits leaves first, and nobody else notices.
        other = start(server, dict(ENDLESS, n=1), False)
        wait_for("waiting", lambda: sum(states(server)) == 61)
        other.close()
        wait_for("left in the queue", lambda: sum(states(server)) == 60)
        begin = time.monotonic()
        client.close()
        wait_for("left", lambda: states(server) == [0, 0])
        print(f"idle after {time.monotonic() - begin:.2f} s")
        expect("the next one", server.post(TEXT, SHORT)[1]["choices"] == wanted)
    start(server, None, False).close()
    found = figures(server)
    expect("counted", found['fairy2_cancelled_total{reason="disconnected"}'] ==
           4, found)


def check_cancels(server):
    """At random moments, in all states."""
    wanted = server.post(TEXT, SHORT)[1]["choices"]
    moments = random.Random(2)

    def leave(_):
        client = start(server, dict(
            ENDLESS, n=moments.randint(1, 3), stream=moments.random() < 0.5),
            False)
        time.sleep(moments.random() * 0.05)
        client.close()

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(leave, range(200)))
    wait_for("idle after 200", lambda: states(server) == [0, 0])
    expect("as before", server.post(TEXT, SHORT)[1]["choices"] == wanted)


def check_crowd(server):
    wanted = server.post(TEXT, SHORT)[1]["choices"]
    client = start(server, dict(ENDLESS, n=66), False)
    wait_for("running", lambda: states(server)[0] == 2)
    begin = time.monotonic()
    for _ in range(5):
        status, fields, text = server.ask("POST", TEXT, SHORT)
        expect("full", status == 503 and fields["Retry-After"] == "1" and
               error_of(text)["type"] == "overloaded", text)
    print(f"refused in {(time.monotonic() - begin) / 5:.3f} s")
    client.close()
    wait_for("left", lambda: states(server) == [0, 0])
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(lambda _: server.post(TEXT, SHORT), range(200)))
    for status, reply in replies:
        expect("in a crowd", status == 503 or reply.get("choices") == wanted,
               reply)
    expect("some are served", [s for s, _ in replies].count(200) >= 66)


def check_figures(server):
    before = figures(server)
    server.post(TEXT, SHORT)
    server.ask("GET", "/a'\"\\path")
    after = figures(server)

    def grown(name):
        return after.get(name, 0) - before.get(name, 0)

    tokens = len(server.post("/tokenize", {"prompt": SHORT["prompt"]})[1]
                 ["tokens"])
    for name, growth in [
            ('fairy2_requests_total{route="/v1/completions",code="200"}', 1),
            ('fairy2_requests_total{route="other",code="404"}', 1),
            ("fairy2_prompt_tokens_total", tokens),
            ("fairy2_generated_tokens_total", 8),
            ("fairy2_time_to_first_token_seconds_count", 1),
            ('fairy2_time_to_first_token_seconds_bucket{le="+Inf"}', 1),
            ("fairy2_request_seconds_count", 3)]:
        expect(name, grown(name) == growth, (before.get(name), after.get(name)))
    for name in ("process_resident_memory_bytes", "process_open_fds",
                 "process_cpu_seconds_total"):
        expect(name, after[name] > 0, after)


def check_memory():
    """Eight that fit alone and not together wait for each other."""
    long = dict(SHORT, max_tokens=400, ignore_eos=True)
    with Server(MODEL, "--slots", "8", "--kv-memory", "1") as server:
        wanted = server.post(TEXT, long)[1]["choices"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda i: server.post(
                TEXT, dict(long, seed=i))[1].get("choices"), range(8)))
        expect("with little memory", all(r == wanted for r in replies), replies)
        found = figures(server)
        held = found['fairy2_kv_bytes{kind="held"}']
        expect("within it", 0 < held <= 1 << 20, held)


def check_drain():
    """The ends of streams and of requests that wait."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server(MODEL, "--slots", "8", "--drain-timeout", "0") as server:
            clients = [start(server, dict(ENDLESS, n=2, stream=True), True)
                       for _ in range(4)]
            clients.append(start(server, ENDLESS, False))
            wait_for("waiting", lambda: sum(states(server)) >= 60)
            expect("in order", server.end(number) == 0, server.said)
            for client in clients:
                found = b""
                while piece := client.recv(65536):
                    found += piece
                last = found.rstrip(b"\r\n0").split(b"data: ")[-1]
                ended = b'"error"' in last and b"about to end" in last
                expect("at the end", ended or b"[DONE]" in last, last[-300:])
            expect("an error", ended, last[-300:])
    with Server(MODEL, "--drain-timeout", "100") as server:
        client = start(server, dict(ENDLESS, stream=True), True)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        expect("twice", server.end(signal.SIGTERM) == 130, server.said)
        client.close()
    with Server(MODEL, "--drain-timeout", "100") as server:
        results = []
        asking = threading.Thread(target=lambda: results.append(
            server.post(TEXT, dict(ENDLESS, n=32))))
        asking.start()
        wait_for("running", lambda: states(server)[0] == 8)
        kept, told = server.connection(), []
        server.ask("GET", "/health", connection=kept)
        server.process.send_signal(signal.SIGTERM)
        wait_for("health", lambda: told.append(server.ask(
            "GET", "/health", connection=kept)) or told[-1][0] != 200)
        expect("health", told[-1][0] == 503 and
               json.loads(told[-1][2])["status"] == "draining", told)
        expect("no new ones", socket.socket().connect_ex(
            (server.host, server.port)) != 0)
        server.process.wait(LIMIT)
        expect("after its last reply", server.end() == 0, server.said)
        asking.join(LIMIT)
        expect("whole", [status for status, _ in results] == [200], results)


def main():
    os.makedirs(WORK, exist_ok=True)
    subprocess.run(["fairy2-compile", CHECKPOINT, "-o", MODEL], check=True,
                   timeout=10 * LIMIT, stdout=subprocess.DEVNULL)
    with Server(MODEL, "--slots", "2", "--threads", "1") as server:
        for check in (check_leaving, check_cancels, check_crowd, check_figures):
            begin = time.monotonic()
            check(server)
            print(f"{check.__name__}: {time.monotonic() - begin:.1f} s")
    check_memory()
    begin = time.monotonic()
    check_drain()
    print(f"check_drain: {time.monotonic() - begin:.1f} s")
    finish()


main()
