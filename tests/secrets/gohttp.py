# SPDX-License-Identifier: Apache-2.0
"""A unix socket server that frames as Go's net/http does, measured on Debian bullseye's consul 1.8.7.

A body of at most 2048 bytes has Content-Length, a larger one is chunked; HTTP/1.0 is never chunked and closes; no Host header is 400;
a path with // or .. is 301; what comes over a connection is kept alive.
"""
import os
import posixpath
import socket
import threading
import time

REASONS = {200: "OK", 204: "No Content", 301: "Moved Permanently", 307: "Temporary Redirect", 400: "Bad Request", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 412: "Precondition Failed", 429: "Too Many Requests",
           500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable"}
GO_CHUNKS_ABOVE = 2048


class Request:
    def __init__(self, method, target, version, headers, body):
        self.method, self.target, self.version, self.headers, self.body = method, target, version, headers, body
        self.path, _, self.query = target.partition("?")

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        return values[0] if values else ""


def read_until(conn, data, mark):
    while mark not in data:
        more = conn.recv(65536)
        if not more:
            return None
        data += more
    return data


def read_request(conn, data):
    """One request and what came after it; None at the end."""
    data = read_until(conn, data, b"\r\n\r\n")
    if data is None:
        return None, b""
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, target, version = lines[0].split(" ")
    headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
    length = int(next((v for n, v in headers if n.lower() == "content-length"), "0"))
    while len(rest) < length:
        more = conn.recv(65536)
        if not more:
            return None, b""
        rest += more
    return Request(method, target, version, headers, rest[:length]), rest[length:]


def frame(version, status, body, extra=()):
    """The bytes of one answer, framed as Go frames it."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'status code ' + str(status))}", "Cache-Control: no-store"]
    if body:
        lines.append("Content-Type: application/json")
    lines += [f"{n}: {v}" for n, v in extra]
    lines.append("Date: Sat, 21 Nov 2026 12:00:00 GMT")
    if status == 204:
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
    if version == "HTTP/1.0":
        lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    if len(body) <= GO_CHUNKS_ABOVE:
        lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    lines.append("Transfer-Encoding: chunked")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 4000]), body[i:i + 4000]) for i in range(0, len(body), 4000))
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + chunks + b"0\r\n\r\n"


def mux_objection(request):
    """What Go answers before any handler sees the request."""
    if request.version == "HTTP/1.1" and len(request.all("Host")) != 1:
        return 400, b"400 Bad Request: missing required Host header", ()
    clean = posixpath.normpath(request.path) + ("/" if request.path.endswith("/") and request.path != "/" else "")
    if request.path != clean.replace("//", "/", 1):
        return 301, b"", (("Location", clean),)
    return None


class Server:
    """answer(request) gives (status, body, extra headers), or bytes that are sent as they are, or a callable that takes the connection."""

    def __init__(self, path, answer, mode=0o600, backlog=16, accepting=True):
        self.path, self.answer, self.mode, self.backlog, self.accepting = path, answer, mode, backlog, accepting
        self.log, self.lock, self.open = [], threading.Lock(), True
        self.listener = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(self.backlog)
        os.chmod(self.path, self.mode)  # after listening, as the agents do
        self.open = True
        if self.accepting:
            threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self, unlink=True):
        self.open = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        if unlink and os.path.exists(self.path):
            os.unlink(self.path)

    def accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        data = b""
        try:
            with conn:
                while self.open:
                    request, data = read_request(conn, data)
                    if request is None:
                        return
                    with self.lock:
                        self.log.append(request)
                    answer = mux_objection(request) or self.answer(request)
                    if callable(answer):
                        answer(conn)
                        return
                    if isinstance(answer, bytes):
                        conn.sendall(answer)
                        return
                    conn.sendall(frame(request.version, *answer))
                    if request.version == "HTTP/1.0":
                        return
        except (OSError, ValueError):
            return

    def requests(self, fragment="", method=None):
        with self.lock:
            return [r for r in self.log if fragment in r.target and (method is None or r.method == method)]


def drip(payload, every=0.1, step=1):
    def send(conn):
        for i in range(0, len(payload), step):
            conn.sendall(payload[i:i + step])
            time.sleep(every)
    return send
