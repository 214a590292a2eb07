# SPDX-License-Identifier: Apache-2.0
"""A program of a job's user that speaks to the audit collector: python3 - SOCKET SCENARIO < collect_peer.py. One answer a line."""
import array
import json
import os
import socket
import struct
import sys
import time
import uuid

ASK = struct.Struct("=5I16s37s3s")
ANSWER = struct.Struct("=4IQ32s640s")
MAGIC = 0x6E62636C
START, END, OTHER, HELLO, PLACED, REFUSED = range(1, 7)
WORDS = {HELLO: "hello", PLACED: "placed", REFUSED: "refused"}
NOTHING = b"\0" * 16


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(30)
    s.connect(sys.argv[1])
    return s


def hear(s):
    try:
        data = s.recv(4096)
    except OSError as error:
        return "gone", str(error), b""
    if len(data) != ANSWER.size:
        return "gone", "", b""
    _, kind, _, _, _, payload, text = ANSWER.unpack(data)
    return WORDS[kind], text.split(b"\0")[0].decode(), payload


def stamp(offset=0):
    now = time.time_ns() + offset * 10**9
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"


def record(box, action, begin=None, when=None, uid=None, pid=None, nestbox=None, extra=""):
    top = {"@timestamp": when or stamp(), "user": {"id": str(os.getuid() if uid is None else uid)},
           "process": {"pid": os.getpid() if pid is None else pid}}
    inside = {"id": box, "trust": "root", "attested": {"uid": "0", "init_pid": "1"}, **(nestbox or {})}
    head = json.dumps(top, separators=(",", ":"))[:-1] + ',"nestbox":' + json.dumps(inside, separators=(",", ":"))[:-1] + extra
    event = json.dumps({"id": str(uuid.uuid4()), "kind": "event", "action": action, "start": begin or stamp(),
                        "provider": "nestbox", "dataset": "nestbox.audit"}, separators=(",", ":"))[1:-1]
    return head.encode(), event.encode()


def message(kind, box, head, event, nonce):
    return ASK.pack(MAGIC, kind, 1, len(head), len(event), nonce[:16], box.encode(), b"") + head + event


def tell(*words):
    print(json.dumps(words), flush=True)


def send(s, kind, box, nonce, action, **how):
    try:
        s.send(message(kind, box, *record(box, action, **how), nonce))
    except OSError as error:
        return "gone", str(error), b""
    return hear(s)


def invent():
    s = connect()
    word, text, nonce = hear(s)
    tell(word, text)
    if word != "hello":
        return
    box, begin = str(uuid.uuid4()), stamp()
    tell(*send(s, START, box, nonce, "sandbox-start", begin=begin)[:2], box)
    tell(*send(s, END, box, nonce, "sandbox-end", begin=begin)[:2], box)


def lie():
    """Records that say what is not so; each on a box of its own, none may be taken."""
    box, lies = str(uuid.uuid4()), {
        "user": {"uid": 0}, "process": {"pid": 1}, "past": {"when": "2020-01-01T00:00:00.000000000Z"},
        "future": {"when": stamp(3600)}, "begin": {"begin": "2020-01-01T00:00:00.000000000Z"},
        "chain": {"nestbox": {"x": {"prev_hash": "0" * 64}}}, "collector": {"nestbox": {"collector": {}}},
        "twice": {"extra": ',"version":"1","version":"2"'}, "closed": {"extra": "}"}, "broken": {"extra": ',"a":'},
        "escape": {"extra": ',"a":"\x1b[2J"'}, "newline": {"extra": ',"a":"\n"'}, "bidi": {"extra": ',"a":"\u202e"'},
        "long": {"nestbox": {"a": "x" * 31000}}, "other-box": {"nestbox": {"id": str(uuid.uuid4())}}}
    for name, how in lies.items():
        s = connect()
        nonce = hear(s)[2]
        tell(name, *send(s, START, box, nonce, "sandbox-start", **how)[:2])
    for name, kind, action in (("end-as-start", START, "sandbox-end"), ("sandbox-lost", OTHER, "sandbox-lost"),
                               ("chain-anchor", OTHER, "chain-anchor"), ("config-loaded", OTHER, "config-loaded"),
                               ("sandbox-end", END, "sandbox-end"), ("sandbox-kill", OTHER, "sandbox-kill")):
        s = connect()
        nonce = hear(s)[2]
        tell(name, *send(s, kind, box, nonce, action)[:2])
    s = connect()
    nonce = bytearray(hear(s)[2])
    nonce[0] ^= 1
    tell("number", *send(s, START, box, bytes(nonce), "sandbox-start")[:2])
    s = connect()
    hear(s)
    s.send(b"x" * 40)
    tell("no-message", *hear(s)[:2])


def descriptors():
    """Records that bring descriptors along, as many as a message may hold; told how many were placed."""
    held = array.array("i", [os.open("/dev/null", os.O_RDONLY) for _ in range(200)])
    words = []
    for _ in range(int(sys.argv[3])):
        s = connect()
        nonce, box, begin = hear(s)[2], str(uuid.uuid4()), stamp()
        s.sendmsg([message(START, box, *record(box, "sandbox-start", begin=begin), nonce)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, held)])
        words.append(hear(s)[:2])
        send(s, END, box, nonce, "sandbox-end", begin=begin)
    tell(len([w for w, _ in words if w == "placed"]), *{t for w, t in words if w != "placed"})


def halves():
    """Messages that end too early, or say that more comes than there is."""
    box = str(uuid.uuid4())
    for name in ("header", "half", "longer", "wrapped", "nothing"):
        s = connect()
        nonce = hear(s)[2]
        whole = message(START, box, *record(box, "sandbox-start"), nonce)
        words = list(ASK.unpack(whole[:ASK.size]))
        words[3] += {"longer": 100, "wrapped": 2**32 - 1 - words[3]}.get(name, 0)
        s.send({"header": whole[:20], "half": whole[:len(whole) // 2], "nothing": b""}.get(name, ASK.pack(*words) + whole[ASK.size:]))
        tell(name, *hear(s)[:2])


def through_a_child():
    s = connect()
    nonce = hear(s)[2]
    box = str(uuid.uuid4())
    if os.fork() == 0:
        tell("child", *send(s, START, box, nonce, "sandbox-start", pid=os.getppid())[:2])
        os._exit(0)
    os.wait()


def begin_and_wait():
    """A box of this process; ends when its input does."""
    s = connect()
    nonce = hear(s)[2]
    box, begin = str(uuid.uuid4()), stamp()
    tell(*send(s, START, box, nonce, "sandbox-start", begin=begin)[:2], box, begin)
    tell(*send(s, START, str(uuid.uuid4()), nonce, "sandbox-start")[:2])
    os.read(3, 1)


def end_another():
    box, begin = sys.argv[3], sys.argv[4]
    for kind, action in ((END, "sandbox-end"), (START, "sandbox-start"), (OTHER, "sandbox-kill")):
        s = connect()
        nonce = hear(s)[2]
        tell(action, *send(s, kind, box, nonce, action, begin=begin)[:2])


def flood():
    s = connect()
    word, _, nonce = hear(s)
    taken = refused = 0
    for _ in range(int(sys.argv[3])):
        box, begin = str(uuid.uuid4()), stamp()
        word = send(s, START, box, nonce, "sandbox-start", begin=begin)[0]
        taken += word == "placed"
        refused += word == "refused"
        if word == "placed":
            send(s, END, box, nonce, "sandbox-end", begin=begin)
        if word == "gone":
            break
    tell(taken, refused)


def hang():
    """Many connections that never read an answer; told how many were kept, then silence."""
    kept = []
    for _ in range(int(sys.argv[3])):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(sys.argv[1])
        kept.append(s)
    for s in kept[:8]:
        s.setblocking(False)
        try:
            for _ in range(20000):
                s.send(b"y" * 100)
        except OSError:
            pass
    tell(len(kept))
    os.read(3, 1)


def queue_then_exec():
    """A record in the socket before anybody looked, then the launcher in this process: fd 0 stays open across it."""
    s = connect()
    box = str(uuid.uuid4())
    s.send(message(START, box, *record(box, "sandbox-start"), NOTHING))
    os.dup2(s.fileno(), 0)
    tell(box)
    os.execv(sys.argv[3], [sys.argv[3], *sys.argv[4:]])


globals()[sys.argv[2].replace("-", "_")]()
