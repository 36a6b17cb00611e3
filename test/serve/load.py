#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a server that runs bears, with the standard library alone.

usage: load.py [HOST:]PORT [--clients N] [--requests N] [--prompt TEXT]
               [--tokens N] [--temperature T] [--top-p P] [--only ID]
               [--health] [--beside N]

Each client sends its requests one after the other, as streams that end after
exactly N tokens. Prints medians and 99th percentiles of the time to the first
token and of the gaps, tokens per second of all together, and with --health how
long /health takes meanwhile. With --beside a prompt of N tokens comes while the
clients' streams run, and one of 20 tokens after it: how that shows in the
streams' gaps, and how long both wait. Ends with 1 when a request was lost.
"""
import argparse
import http.client
import json
import statistics
import sys
import threading
import time


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("place", metavar="[HOST:]PORT")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--prompt", default="Once upon a time")
    parser.add_argument("--prompt-tokens", type=int, default=0,
                        help="ids 5, 6, .. instead of a text")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--top-p", type=float, default=1)
    parser.add_argument("--only", type=int,
                        help="generate this token alone: models with random "
                        "weights draw many that have no text")
    parser.add_argument("--health", action="store_true")
    parser.add_argument("--beside", type=int, metavar="N")
    return parser.parse_args()


class Client(threading.Thread):
    def __init__(self, args, number):
        super().__init__()
        self.args, self.number = args, number
        self.firsts, self.gaps, self.lost, self.tokens = [], [], 0, 0
        self.times = []

    def run(self):
        host, _, port = self.args.place.rpartition(":")
        connection = http.client.HTTPConnection(host or "127.0.0.1", int(port),
                                                timeout=600)
        prompt = self.args.prompt
        if self.args.prompt_tokens:
            prompt = [5 + (i + self.number) % 100
                      for i in range(self.args.prompt_tokens)]
        body = {"prompt": prompt, "max_tokens": self.args.tokens,
                "temperature": self.args.temperature, "top_p": self.args.top_p,
                "ignore_eos": True, "stream": True, "seed": self.number,
                "stream_options": {"include_usage": True}}
        if self.args.only is not None:
            body["logit_bias"] = {str(self.args.only): 100}
        for _ in range(self.args.requests):
            begin = last = time.monotonic()
            connection.request("POST", "/v1/completions", json.dumps(body),
                               {"Content-Type": "application/json"})
            reply = connection.getresponse()
            done = False
            while line := reply.readline():
                if not line.startswith(b"data: "):
                    continue
                now = time.monotonic()
                self.times.append(now)
                if last == begin:
                    self.firsts.append(now - begin)
                else:
                    self.gaps.append(now - last)
                last = now
                if b'"choices":[],' in line:
                    usage = json.loads(line[6:])["usage"]
                    self.tokens += usage["completion_tokens"]
                done = done or line.startswith(b"data: [DONE]")
            self.lost += not done


def ask_health(args, times, ended):
    host, _, port = args.place.rpartition(":")
    while not ended.is_set():
        begin = time.monotonic()
        connection = http.client.HTTPConnection(host or "127.0.0.1", int(port))
        connection.request("GET", "/health")
        connection.getresponse().read()
        connection.close()
        times.append(time.monotonic() - begin)
        time.sleep(0.02)


def told(name, times):
    if times:
        times.sort()
        print(f"{name}: median {statistics.median(times) * 1e3:.2f} ms, 99 % "
              f"{times[int(len(times) * 0.99)] * 1e3:.2f} ms")


def first_token(args, count, seed):
    """Sends a prompt of that many ids; when it was sent and when a token
    came."""
    alone = argparse.Namespace(**vars(args))
    alone.prompt_tokens, alone.tokens, alone.requests = count, 2, 1
    client = Client(alone, seed)
    begin = time.monotonic()
    client.run()
    return begin, begin + client.firsts[0]


def beside(args, clients):
    """While the clients stream: a long prompt, and soon after it a short one.
    Before they begin: the long one alone, another that begins differently."""
    begin, end = first_token(args, args.beside, 50)
    idle = end - begin
    for client in clients:
        client.start()
    while (min(len(client.times) for client in clients) < 40 and
           all(client.is_alive() for client in clients)):
        time.sleep(0.01)
    spans = [None, None]

    def send(index, count, seed):
        spans[index] = first_token(args, count, seed)

    long = threading.Thread(target=send, args=(0, args.beside, 70))
    long.start()
    time.sleep(0.3)
    send(1, 20, 90)
    long.join()
    for client in clients:
        client.join()
    (begin, end), (short, answered) = spans
    gaps = lambda low, high: [
        later - one for client in clients
        for one, later in zip(client.times, client.times[1:])
        if low <= one and later <= high]
    before, busy = gaps(begin - 0.8, begin), sorted(gaps(begin, end))
    if not before or not busy:
        sys.exit("error: the streams ended before the prompt came: more --tokens")
    quiet = statistics.median(before)
    worst = busy[int(len(busy) * 0.99)]
    steps = sum(short <= one <= answered for one in clients[0].times)
    print(f"beside {args.beside} tokens: gaps, median before "
          f"{quiet * 1e3:.1f} ms, 99 % meanwhile {worst * 1e3:.1f} ms "
          f"({worst / quiet:.2f} times), median "
          f"{statistics.median(busy) * 1e3:.1f} ms; its first token "
          f"{(end - begin) * 1e3:.0f} ms, idle {idle * 1e3:.0f} ms "
          f"({(end - begin) / idle:.2f} times); 20 tokens after {steps} steps, "
          f"{(answered - short) * 1e3:.0f} ms")


def main():
    args = options()
    clients = [Client(args, number) for number in range(args.clients)]
    times, ended = [], threading.Event()
    if args.health:
        health = threading.Thread(target=ask_health, args=(args, times, ended))
        health.start()
    begin = time.monotonic()
    if args.beside:
        beside(args, clients)
    else:
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    seconds = time.monotonic() - begin
    ended.set()
    tokens = sum(client.tokens for client in clients)
    told("first token", [one for client in clients for one in client.firsts])
    told("gaps", [one for client in clients for one in client.gaps])
    told("/health", times)
    lost = sum(client.lost for client in clients)
    print(f"{tokens} tokens in {seconds:.2f} s: {tokens / seconds:.1f} a "
          f"second; {lost} of {args.clients * args.requests} requests lost")
    raise SystemExit(lost > 0)


main()
