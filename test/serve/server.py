# SPDX-License-Identifier: Apache-2.0
#
# A running fairy2-serve for the tests, and requests to it: whole ones by
# http.client, and bytes as a stranger may send them. Every wait has a limit.
import contextlib
import http.client
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time

from contract import Contract

LIMIT = float(os.environ.get("SERVE_LIMIT", 60))  # seconds that anything may take on a busy machine
faults = []
CONTRACT = Contract.beside(__file__)


def expect(what, condition, found=""):
    if not condition:
        faults.append(f"{what}: {found!r:.600}")


def finish():
    if faults:
        sys.exit("\n".join(faults))
    print("all as expected")


class Server:
    """Started with options, told where it listens, ended in the end."""

    def __init__(self, model, *options, environment=None, stdout=None,
                 log="off"):
        self.process = subprocess.Popen(
            ["fairy2-serve", model, "--port", "0", "--log", log, *options],
            stdout=stdout or subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=dict(os.environ, **(environment or {})))
        self.said = ""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stderr, selectors.EVENT_READ)
            end = time.monotonic() + LIMIT
            while not (found := re.search(r"(https?)://(\S+):(\d+)\n",
                                          self.said)):
                if not selector.select(end - time.monotonic()):
                    self.process.kill()
                    sys.exit(f"no line that says where it listens: {self.said}")
                piece = os.read(self.process.stderr.fileno(), 4096).decode()
                if not piece:
                    sys.exit(f"ended at once: {self.said}")
                self.said += piece
        self.scheme, self.host, self.port = found[1], found[2], int(found[3])
        self.url = f"{found[1]}://{found[2]}:{found[3]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self, number=signal.SIGTERM):
        """The exit code, and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.said += self.process.communicate(timeout=LIMIT)[1].decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            faults.append(f"{signal.Signals(number).name} did not end it")
        return self.process.returncode

    def connection(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=LIMIT)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """Status, fields and text of the reply."""
        mine = connection or self.connection()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        fields = {"Content-Type": "application/json"} if body else {}
        mine.request(method, path, body, dict(fields, **(headers or {})))
        reply = mine.getresponse()
        text = reply.read().decode()
        if not connection:
            mine.close()
        faults.extend(CONTRACT.check(method, path, reply.status,
                                     reply.headers["Content-Type"], text))
        return reply.status, reply.headers, text

    def post(self, path, body, **more):
        """Status and JSON of the reply."""
        status, _, text = self.ask("POST", path, body, **more)
        return status, json.loads(text)

    def events(self, path, body, headers=None):
        """The data of a stream's events."""
        mine = self.connection()
        mine.request("POST", path, json.dumps(body),
                     {"Content-Type": "application/json", **(headers or {})})
        reply = mine.getresponse()
        text = reply.read().decode()
        mine.close()
        if reply.status != 200:
            return [json.loads(text)]
        return [block[6:] for block in text.split("\n\n")
                if block.startswith("data: ")]

    def raw(self, data, pieces=1):
        """What comes back for bytes, until the server closes; and whether it
        did."""
        with socket.create_connection((self.host, self.port), LIMIT) as client:
            with contextlib.suppress(OSError):
                client.sendall(data)
            client.settimeout(LIMIT)
            found = b""
            try:
                while piece := client.recv(65536):
                    found += piece
            except ConnectionResetError:
                pass
            except TimeoutError:
                return found, False
        return found, True


def error_of(text):
    """The four keys of an error."""
    error = json.loads(text)["error"]
    expect("keys of an error", set(error) == {"message", "type", "param",
                                              "code"}, error)
    return error
