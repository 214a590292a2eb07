# SPDX-License-Identifier: Apache-2.0
"""Answers that no agent should give: what the courier does with each is a row of the fault table (rows.py)."""
import gzip
import json
import time

import gohttp


def ok(body, headers=()):
    """200 with this body and Content-Length, as bytes."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def data(text):
    """An envelope whose data is this JSON text."""
    return b'{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,"data":' + text + b"}"


def status(code, body=b'{"errors":[]}'):
    return gohttp.frame("HTTP/1.1", code, body)


def said(code, text):
    return status(code, json.dumps({"errors": [text]}).encode())


VALUE = data(b'{"value":"CANARY"}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"%x\r\n" % len(VALUE) + VALUE + b"\r\n"


def endless(conn):
    """Ten GiB, unless the other end has had enough."""
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    for _ in range(10240):
        conn.sendall(piece)


def hang(conn):
    time.sleep(20)
    conn.close()


def endless_100(conn):
    while True:
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def trailers(conn):
    conn.sendall(CHUNKED + WHOLE + b"0\r\n")
    while True:
        conn.sendall(b"X-Trailer: one more\r\n" * 100)


ANSWERS = {
    "trailers": trailers,
    "trailer": CHUNKED + WHOLE + b"0\r\nX-Trailer: yes\r\n\r\n",
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + CHUNKED + WHOLE + b"0\r\n\r\n",
    "until-closed": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + VALUE,
    "http10": b"HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11.7\r\n\r\n" + VALUE,
    "bare-lines": b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(VALUE) + VALUE,
    "odd-case": b"HTTP/1.1 200 ok\r\ncOnTeNt-LeNgTh:%d\r\n\r\n" % len(VALUE) + VALUE,
    "chunk-extension": CHUNKED + WHOLE.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n",
    "gzip": ok(gzip.compress(VALUE), ["Content-Encoding: gzip"]),
    "hang": hang,
    "drip": gohttp.drip(ok(VALUE)),
    "drip-body": gohttp.drip(ok(VALUE), 0.001, 1),
    "endless": endless,
    "endless-100": endless_100,
    "large-length": b"HTTP/1.1 200 OK\r\nContent-Length: 41943040\r\n\r\n" + b" " * 65536,
    "cut-header": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "cut-nothing": b"",
    "cut-chunk": CHUNKED + b"ff\r\n{\"data\":",
    "short-length": b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + VALUE,
    "long-length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(VALUE) + VALUE + b"TRAILING",
    "both-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}    ",
    "huge-chunk": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
    "negative-chunk": CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + VALUE,
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + ok(VALUE),
    "headers": ok(VALUE, [f"X-Header-{i}: {i}" for i in range(100000)]),
    "header-bytes": ok(VALUE, ["X-Long: " + "y" * 200000]),
    "header-nul": ok(VALUE, ["X-Nul: a\0b"]),
    "not-http": b"SSH-2.0-OpenSSH_9.2\r\n" * 3,
    "http09": VALUE,
    "redirect": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://localhost/v1/secret/data/other\r\nContent-Length: 0\r\n\r\n",
    "html": ok(b"<html><body>502 Bad Gateway</body></html>"),
    "html-502": b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>",
    "html-404": b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>",
    "body-204": b"HTTP/1.1 204 No Content\r\nContent-Length: 20\r\n\r\n" + VALUE,
    "empty-200": ok(b""),
    "duplicate": ok(data(b'{"value":"a","value":"b"}')),
    "depth": ok(data(b"[" * 10000 + b"]" * 10000)),
    "depth-10": ok(data(b'{"value":' + b"[" * 10 + b"]" * 10 + b"}")),
    "depth-17": ok(data(b'{"value":' + b"[" * 15 + b"]" * 15 + b"}")),
    "just-under": ok(data(b'{"value":"' + b"z" * 500000 + b'"}')),
    "just-over": ok(data(b'{"value":"' + b"z" * 530000 + b'"}')),
    "many": ok(data(b"[" + b"1," * 60000 + b"1]")),
    "nul": ok(data(b'{"value":"a\\u0000b"}')),
    "nul-key": ok(data(b'{"val\\u0000ue":"b"}')),
    "raw-nul": ok(data(b'{"value":"a\0b"}')),
    "surrogate": ok(data(b'{"value":"\\ud800"}')),
    "bad-utf8": ok(data(b'{"value":"\xff\xfe"}')),
    "bom": ok(b"\xef\xbb\xbf" + VALUE),
    "overflow": ok(data(b'{"value":1e400}')),
    "trailing": ok(VALUE + b"{}"),
    "unfinished": ok(VALUE[:-1]),
    "array": ok(b"[1,2]"),
    "number": ok(data(b'{"value":9007199254740993}')),
    "large-number": ok(data(b'{"value":123456789012345678901234567890}')),
    "fraction": ok(data(b'{"value":0.10}')),
    "object": ok(data(b'{"value":{"a":[1, 2.50],"b":"}"}, "x":1}')),
    "escaped-key": ok(data(b'{"v\\u0061lue":[7]}')),
    "true": ok(data(b'{"value":true}')),
    "null": ok(data(b'{"value":null}')),
    "empty-value": ok(data(b'{"value":""}')),
    "no-data": ok(b'{"request_id":"r"}'),
    "null-data": ok(data(b"null")),
    "odd-lease": ok(b'{"lease_id":"a b\\n","lease_duration":5,"data":{"value":"x"}}'),
    "long-lease": ok(b'{"lease_id":"' + b"l" * 600 + b'","lease_duration":5,"data":{"value":"x"}}'),
    "odd-duration": ok(b'{"lease_id":"","lease_duration":-1e300,"data":{"value":"x"}}'),
    "400": said(400, "missing client token"),
    "400-upgrading": said(400, "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period."),
    "403": said(403, "1 error occurred:\n\t* permission denied\n\n"),
    "405": said(405, "1 error occurred:\n\t* unsupported operation\n\n"),
    "412": said(412, 'missing "X-Vault-Request" header'),
    "413": status(413, b""),
    "418": status(418, b""),
    "429": said(429, "request path \"x\": rate limit quota exceeded"),
    "472": status(472), "473": status(473), "474": status(474), "530": status(530),
    "500": said(500, "failed to get the response: dial tcp: connection refused"),
    "501": said(501, "not initialised"), "502": said(502, "third party"), "503": said(503, "Vault is sealed"),
    "tls": b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    "escape": said(403, "\x1b]0;owned\x07 permission denied"),
}


def answer(name):
    return ANSWERS[name]
