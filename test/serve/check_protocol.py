# SPDX-License-Identifier: Apache-2.0
#
# usage: check_protocol.py WRITE_FAKE_MODEL WORK_DIR
#
# Bytes that are no HTTP or not quite, hosts, origins and keys, and how the
# program begins and ends. Each row: what is sent, the status that must come,
# and that nothing after it is taken for a request.
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys

from server import LIMIT, Server, error_of, expect, finish

WRITER, WORK = sys.argv[1:]
HOST = b"Host: localhost\r\n"
NEXT = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"


def post(fields, body=b""):
    return (b"POST /health HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body)


BAD = [
    ("both lengths", post(b"Content-Length: 4\r\nTransfer-Encoding: chunked"
                          b"\r\n", b"0\r\n\r\n"), 400),
    ("two equal lengths", post(b"Content-Length: 1\r\nContent-Length: 1\r\n",
                               b"x"), 400),
    ("two lengths", post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"xy"),
     400),
    ("signed length", post(b"Content-Length: +1\r\n", b"x"), 400),
    ("length of 2^64", post(b"Content-Length: 18446744073709551616\r\n"), 400),
    ("xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
    ("chunked, gzip", post(b"Transfer-Encoding: chunked, gzip\r\n",
                           b"0\r\n\r\n"), 501),
    ("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n",
                           b"0\r\n\r\n"), 501),
    ("two codings", post(b"Transfer-Encoding: chunked\r\n"
                         b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    ("coding in 1.0", b"POST /health HTTP/1.0\r\n" + HOST +
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("LF alone", b"GET /health HTTP/1.1\nHost: localhost\n\n", 400),
    ("folded field", b"GET /health HTTP/1.1\r\n" + HOST +
     b"X: a\r\n b\r\n\r\n", 400),
    ("no host", b"GET /health HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    ("absolute target", b"GET http://localhost/health HTTP/1.1\r\n" + HOST +
     b"\r\n", 400),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("blank before colon", b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
     400),
    ("long head", b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20000 +
     b"\r\n\r\n", 431),
    ("endless head", b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20000,
     431),
    ("1,100 fields", b"GET /health HTTP/1.1\r\n" + HOST + b"a:b\r\n" * 1100 +
     b"\r\n", 431),
    ("no length", b"POST /health HTTP/1.1\r\n" + HOST + b"\r\n", 411),
    ("compressed", post(b"Content-Length: 1\r\nContent-Encoding: gzip\r\n",
                        b"x"), 415),
    ("expectation", post(b"Content-Length: 1\r\nExpect: tea\r\n", b"x"), 417),
    ("long body", post(b"Content-Length: 9437184\r\n"), 413),
]
# Of a route with a body, so that it is read.
BAD_BODIES = [
    ("chunk of -2", b"-2\r\nab\r\n0\r\n\r\n", 400),
    ("chunk of 2^64", b"10000000000000000\r\nab\r\n0\r\n\r\n", 400),
    ("endless chunks", (b"100000\r\n" + b"a" * 0x100000 + b"\r\n") * 9, 413),
]


def status_of(reply):
    return int(reply.split(b" ")[1]) if reply.startswith(b"HTTP/1.1 ") else 0


def check_bytes(server):
    rows = BAD + [(name, post(b"Transfer-Encoding: chunked\r\n").replace(
        b"POST", b"GET") + body, status) for name, body, status in BAD_BODIES]
    for name, data, status in rows:
        reply, closed = server.raw(data + NEXT)
        expect(name, status_of(reply) == status and closed, reply[:300])
        expect(f"{name}: one reply", reply.count(b"HTTP/1.1 ") == 1, reply)
        error_of(reply.split(b"\r\n\r\n", 1)[-1] or b"{}")
    for name, data in [
            ("HTTP/1.0", b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n"),
            ("lines before it", b"\r\n" + NEXT.replace(
                HOST, HOST + b"Connection: close\r\n")),
            ("two at once", NEXT + NEXT.replace(
                HOST, HOST + b"Connection: close\r\n"))]:
        reply, closed = server.raw(data)
        wanted = 2 if name == "two at once" else 1
        expect(name, reply.count(b"HTTP/1.1 200 OK") == wanted and closed,
               reply)


def check_continue(server):
    """Who waits to be told to go on is told, before a byte of the body."""
    with socket.create_connection((server.host, server.port), LIMIT) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"Expect: "
                       b"100-continue\r\nContent-Length: 2\r\n\r\n")
        found = client.recv(1000)
        expect("100", found == b"HTTP/1.1 100 Continue\r\n\r\n", found)
        client.sendall(b"{}")
        found = client.recv(1000)
        expect("after 100", found.startswith(b"HTTP/1.1 200 OK"), found)


def check_paths(server):
    for path in ("/%76%31/models", "//v1/models", "/v1/../v1/models",
                 "/v1/models?", "/v1/models/", "/V1/models", "/v1/models#x",
                 "/nope", "/api/chat", "/v1/embeddings"):
        status, _, text = server.ask("GET", path)
        expect(path, status == 404, (status, text))
        error_of(text)
    status, fields, text = server.ask("POST", "/v1/models", "{}")
    expect("method", (status, fields["Allow"]) == (405, "GET, HEAD, OPTIONS"),
           text)
    error_of(text)
    status, fields, text = server.ask("HEAD", "/health")
    expect("HEAD", (status, text, fields["Content-Length"]) ==
           (200, "", "15"), (status, text))
    status, _, text = server.ask("GET", "/v1/models")
    listed = json.loads(text)
    model = listed["data"][0]
    expect("models", status == 200 and listed["object"] == "list" and
           set(model) == {"id", "object", "created", "owned_by"} and
           model["id"] == "the model", text)
    status, _, text = server.ask("GET", "/v1/models/the%20model")
    expect("a model", status == 200 and json.loads(text) == model, text)
    status, _, text = server.ask("GET", "/v1/models/other")
    expect("another model", status == 404 and
           error_of(text)["code"] == "model_not_found", text)


def check_origins(server):
    own = f"http://{server.host}:{server.port}"
    for name, fields, status in [
            ("rebinding", {"Host": "evil.example"}, 403),
            ("another port's host", {"Host": "localhost:1"}, 200),
            ("allowed host", {"Host": "Friend.example:80"}, 200),
            ("origin", {"Origin": "http://evil.example"}, 403),
            ("null origin", {"Origin": "null"}, 403),
            ("own origin", {"Origin": own}, 200),
            ("own address, other scheme",
             {"Origin": own.replace("http", "https")}, 403),
            ("listed origin", {"Origin": "https://chat.example"}, 200),
            ("cross-site", {"Sec-Fetch-Site": "cross-site"}, 403),
            ("same-origin", {"Sec-Fetch-Site": "same-origin"}, 200)]:
        for path in ("/health", "/v1/models"):
            got, given, text = server.ask("GET", path, headers=fields)
            expect(f"{name} {path}", got == status, (got, text))
            allowed = given["Access-Control-Allow-Origin"]
            expect(f"{name} {path}: readable by pages", allowed == (
                "https://chat.example" if name == "listed origin" else None),
                allowed)
    for origin, status in (("https://evil.example", 403),
                           ("https://chat.example", 204)):
        got, given, text = server.ask("OPTIONS", "/v1/models", headers={
            "Origin": origin, "Access-Control-Request-Method": "GET"})
        expect(f"preflight of {origin}", got == status and (
            given["Access-Control-Allow-Origin"] == (
                origin if status == 204 else None)), text)


def check_keys(model):
    path = os.path.join(WORK, "keys")
    with open(path, "w") as file:
        file.write("# of two teams\n first-key \nsecond-key\n")
    os.chmod(path, 0o644)
    with Server(model, "--api-key-file", path,
                environment={"FAIRY2_API_KEY": "third-key"}) as server:
        for key in (None, "", "Bearer", "Bearer ", "Bearer first-ke",
                    "Bearer first-key2", "Basic first-key", "first-key",
                    "Bearer " + "x" * 10000, "Bearer # of two teams"):
            fields = {"Authorization": key} if key is not None else {}
            for method, target in (("GET", "/v1/models"), ("HEAD", "/v1/models"),
                                   ("GET", "/nope"), ("POST", "/v1/models"),
                                   ("GET", "/v1/models/x")):
                status, given, text = server.ask(method, target, headers=fields)
                expect(f"{method} {target} with {key}", status == 401 and
                       given["WWW-Authenticate"] == "Bearer", (status, text))
                if method != "HEAD":
                    expect("type", error_of(text)["type"] ==
                           "authentication_error", text)
        for key in ("first-key", "second-key", "third-key"):
            status, _, text = server.ask("GET", "/v1/models", headers={
                "Authorization": f"bearer {key}"})
            expect(key, status == 200, text)
        expect("open", server.ask("GET", "/health")[0] == 200)
        server.end()
    expect("readable by all", "warning" in server.said and path in server.said,
           server.said)
    os.chmod(path, 0o600)
    with Server(model, "--api-key-file", path) as server:
        server.end()
    expect("its owner's alone", "warning" not in server.said, server.said)


def check_tls(model):
    """The same over TLS, of 1.2 and above alone."""
    pair = [os.path.join(WORK, name) for name in ("cert.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes",
                    "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-days", "2", "-out",
                    pair[0], "-keyout", pair[1]], check=True,
                   capture_output=True)
    with Server(model, "--tls-cert", pair[0], "--tls-key", pair[1]) as server:
        expect("scheme", server.scheme == "https", server.url)
        context = ssl.create_default_context(cafile=pair[0])
        mine = http.client.HTTPSConnection(server.host, server.port,
                                           timeout=LIMIT, context=context)
        for _ in range(2):
            status, _, text = server.ask("POST", "/v1/completions", {
                "prompt": "hello" * 10, "max_tokens": 3}, connection=mine)
            expect("over TLS", status == 200, text)
        status, _, text = server.ask("GET", "/health", connection=mine,
                                     headers={"Origin": server.url})
        expect("its own origin", status == 200, text)
        mine.close()
        expect("no TLS", not server.raw(NEXT)[0].startswith(b"HTTP/1.1 200"))
        context = ssl.create_default_context(cafile=pair[0])
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        old = socket.create_connection((server.host, server.port), LIMIT)
        try:
            context.wrap_socket(old, server_hostname="127.0.0.1")
            expect("TLS 1.1", False)
        except OSError:
            old.close()
        expect("in order", server.end() == 0, server.said)
    ended = subprocess.run(["fairy2-serve", model, "--port", "0", "--tls-cert",
                            pair[0], "--tls-key", pair[0]], timeout=LIMIT,
                           capture_output=True, text=True)
    expect("wrong pair", ended.returncode == 1 and "cert.pem" in ended.stderr,
           ended.stderr)


def check_beginnings(model):
    """One sentence and exit code 1."""
    empty = os.path.join(WORK, "no-keys")
    with open(empty, "w") as file:
        file.write("# none\n")
    with open(model, "rb") as file:
        content = bytearray(file.read())
    short, altered = (os.path.join(WORK, name) for name in ("short.so",
                                                            "altered.so"))
    with open(short, "wb") as file:
        file.write(content[:-100])
    content[len(content) // 2] ^= 1
    with open(altered, "wb") as file:
        file.write(content)
    holder = socket.create_server(("127.0.0.1", 0))
    port = str(holder.getsockname()[1])
    for name, arguments, word in [
            ("port in use", [model, "--port", port], "cannot listen"),
            ("no model", ["nowhere.so", "--port", "0"], "nowhere.so"),
            ("truncated", [short, "--port", "0"], "short.so"),
            ("altered", [altered, "--port", "0"], "altered.so"),
            ("no address", [model, "--host", "nowhere.example",
                            "--allow-anonymous"], "address"),
            ("open to all", [model, "--host", "0.0.0.0", "--port", "0"],
             "--allow-anonymous"),
            ("no keys", [model, "--api-key-file", empty], "no-keys"),
            ("no key file", [model, "--api-key-file", "nowhere"], "nowhere"),
            ("wrong TLS", [model, "--port", "0", "--tls-cert", empty,
                           "--tls-key", empty], "no-keys")]:
        ended = subprocess.run(["fairy2-serve", *arguments], timeout=LIMIT,
                               capture_output=True, text=True)
        expect(name, ended.returncode == 1 and ended.stderr.count("\n") == 1 and
               ended.stderr.startswith("fairy2-serve: error: ") and
               word in ended.stderr, (ended.returncode, ended.stderr))
    holder.close()


def check_ends(model):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server(model) as server:
            idle = server.connection()
            server.ask("GET", "/health", connection=idle)
            expect(number.name, server.end(number) == 0, server.said)
    with Server(model, stdout=subprocess.PIPE, log="text") as server:
        server.process.stdout.close()
        for _ in range(3):
            expect("without a log", server.ask("GET", "/health")[0] == 200)


def check_log(model):
    with open(os.path.join(WORK, "log"), "w+") as log:
        with Server(model, stdout=log, log="json") as server:
            server.raw(b"GET /\x7f\x1b[2J HTTP/1.1\r\n" + HOST +
                       b"Connection: close\r\n\r\n")
            server.ask("GET", "/nope", headers={
                "User-Agent": "a\u009b2J", "Authorization": "Bearer secret"})
            server.end()
        log.seek(0)
        text = log.read()
    lines = [json.loads(line) for line in text.splitlines()]
    expect("lines", [line["status"] for line in lines] == [400, 404], text)
    expect("escaped", not any(ord(c) < 32 and c != "\n" or 126 < ord(c) < 160
                              for c in text) and "secret" not in text, text)
    expect("fields", lines[1]["path"] == "/nope" and
           lines[1]["method"] == "GET", text)


def check_descriptors(model):
    """Without descriptors nobody new is accepted, and then again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    server = Server(model)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with server:
        clients = [socket.create_connection((server.host, server.port), LIMIT)
                   for _ in range(100)]
        expect("among idle ones", server.ask("GET", "/health")[0] == 200)
        for client in clients:
            client.close()
        expect("after them", server.ask("GET", "/health")[0] == 200)
        with open(f"/proc/{server.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        expect("no busy loop", ticks < 300, ticks)


def check_page(server):
    """Its files, as they are, under a policy that names nobody else."""
    folder = os.path.join(os.path.dirname(__file__), "..", "..", "runtime",
                          "serve", "page")
    for path, name, kind in (("/", "index.html", "text/html"),
                             ("/page.css", "page.css", "text/css"),
                             ("/page.js", "page.js", "text/javascript"),
                             ("/markdown.js", "markdown.js",
                              "text/javascript")):
        status, fields, text = server.ask("GET", path)
        policy = fields.get("Content-Security-Policy", "")
        with open(os.path.join(folder, name)) as file:
            expect(path, (status, fields["Content-Type"], text) ==
                   (200, kind + "; charset=utf-8", file.read()), text)
        expect(path, policy.startswith("default-src 'none'; script-src 'self'")
               and "unsafe" not in policy, policy)
        for foreign in ("http://", "https://", "//"):
            expect(f"{path} loads {foreign}",
                   f'src="{foreign}' not in text and
                   f'href="{foreign}' not in text and
                   f"url({foreign}" not in text)


def main():
    os.makedirs(WORK, exist_ok=True)
    model = os.path.join(WORK, "fake.so")
    subprocess.run([WRITER, model], check=True)
    with Server(model, "--alias", "the model", "--allow-host",
                "friend.example", "--cors-origin",
                "https://chat.example") as server:
        check_bytes(server)
        check_continue(server)
        check_paths(server)
        check_origins(server)
        check_page(server)
    check_keys(model)
    check_tls(model)
    check_beginnings(model)
    check_ends(model)
    check_log(model)
    check_descriptors(model)
    finish()


main()
