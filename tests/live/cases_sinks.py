# SPDX-License-Identifier: Apache-2.0
"""Several audit sinks at once: the same line in each, and what happens when one does not take it."""
import json
import os
import socket
import tempfile
import time

from box import ended, refused, require
from receivers import LIFE, Receiver, fields, message


def policy(live, sinks, **audit):
    path = live.path("sinks.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "audit": {"sinks": sinks, **audit}}, stream)
    return path


def fresh(live, mode=0o755):
    path = tempfile.mkdtemp(dir=live.dir)
    os.chmod(path, mode)
    return path


def logs(live):
    """A directory as the site makes it."""
    return fresh(live, 0o1733)


def receiver_of(live):
    return Receiver(os.path.join(fresh(live), "socket"))


def lines(directory, live):
    uid = 0 if live.caller.is_root else live.caller.payload_uid
    with open(os.path.join(directory, f"audit-{uid}.jsonl"), "rb") as stream:
        return [line for line in stream.read().splitlines() if b'"action":"sandbox-' in line]


def box(live, at, *args, **how):
    return live.run("exec", "--policy", at, live.image, "true", *args, **how)


def first(receiver):
    """The next record of a box's life."""
    return next(data for data in iter(receiver.one, None) if LIFE.search(data))


def case_journald_gets_the_same_line(live):
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "journald", "path": receiver.path}, {"type": "file", "path": directory}])
    ended(box(live, at, "an=argument", "x" * 5000), 0)
    sent = [fields(data) for data in receiver.life()]
    written = lines(directory, live)
    require([s["NESTBOX_RECORD"] for s in sent] == written, "journald got another line than the file")
    for one, line in zip(sent, written):
        record = json.loads(line)
        require(one["NESTBOX_ID"].decode() == record["nestbox"]["id"] and one["NESTBOX_HASH"].decode() == record["event"]["hash"]
                and one["NESTBOX_SEQUENCE"].decode() == str(record["event"]["sequence"]), str(one))
        require(one["PRIORITY"] == b"6" and one["SYSLOG_IDENTIFIER"] == b"nestbox" and len(one["MESSAGE_ID"]) == 32, str(one))
        require(one["MESSAGE"].decode() == f"nestbox {record['event']['action']}: box {record['nestbox']['id']}", str(one))
    require(receiver.is_empty(), "more than two messages")
    receiver.close()


def case_syslog_gets_the_same_line(live):
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "file", "path": directory}, {"type": "syslog", "path": receiver.path, "facility": "local3"}])
    ended(box(live, at, 'a"b]c\\d'), 0)
    for data, line in zip(receiver.life(), lines(directory, live)):
        got, record = message(data), json.loads(line)
        require(got["msg"] == line and got["msgid"] == record["event"]["action"] and got["app"] == "nestbox", str(got))
        require(got["pri"] == 19 * 8 + 6 and got["host"] == record["host"]["name"], str(got))
        require(f'id="{record["nestbox"]["id"]}"' in got["data"] and f'hash="{record["event"]["hash"]}"' in got["data"], got["data"])
    receiver.close()


def case_syslog_over_the_limit_gets_the_hash(live):
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "file", "path": directory}, {"type": "syslog", "path": receiver.path}])
    ended(box(live, at, *["x" * 1000] * 10), 0)
    start, line = message(receiver.life()[0]), lines(directory, live)[0]
    short, record = json.loads(start["msg"]), json.loads(line)
    require(len(line) > 8192 > len(start["msg"]), f"{len(line)} {len(start['msg'])}")
    require(short["nestbox"] == {"id": record["nestbox"]["id"], "version": record["nestbox"]["version"], "copy_of": {
        "sequence": record["event"]["sequence"], "hash": record["event"]["hash"], "bytes": len(line) + 1}}, str(short))
    require(short["@timestamp"] == record["@timestamp"] and short["event"]["action"] == "sandbox-start", str(short))
    receiver.close()


def case_hashes_only(live):
    """A sink that must not learn who ran what, and still is a witness."""
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "file", "path": directory}, {"type": "journald", "path": receiver.path, "content": "hash"}])
    ended(box(live, at, "private"), 0)
    for data, line in zip(receiver.life(), lines(directory, live)):
        require(b"private" not in data and json.loads(line)["event"]["hash"].encode() in fields(data)["NESTBOX_RECORD"], str(data))
    receiver.close()


def case_without_a_file_the_box_is_a_chain(live):
    receiver = receiver_of(live)
    ended(box(live, policy(live, [{"type": "journald", "path": receiver.path}])), 0)
    copy = os.path.join(fresh(live), "copy.jsonl")
    with open(copy, "wb") as stream:
        while not receiver.is_empty():
            stream.write(fields(receiver.one())["NESTBOX_RECORD"] + b"\n")
    ended(live.run("audit", "verify", "--from", copy), 0, "2 records checked: all fit")
    receiver.close()


def case_two_files(live):
    one, other = logs(live), logs(live)
    ended(box(live, policy(live, [{"type": "file", "path": one}, {"type": "file", "path": other}])), 0)
    ids = [[json.loads(line)["event"]["id"] for line in lines(directory, live)] for directory in (one, other)]
    require(ids[0] == ids[1] and len(ids[0]) == 2, str(ids))
    for directory in (one, other):
        ended(live.run("audit", "verify", "--from", os.path.join(directory, os.listdir(directory)[0])), 0, "all fit")


def case_a_required_sink_that_is_not_there(live):
    directory, at = logs(live), live.path("nobody")
    for kind, path in (("journald", at), ("syslog", at), ("syslog", at + "x" * 200)):
        sinks = [{"type": "file", "path": directory}, {"type": kind, "path": path}]
        refused(live.run("exec", "--policy", policy(live, sinks), live.image, "sh", "-c", "echo RAN"), f"audit sink {kind}",
                "the policy refuses payloads without a record", "site must")


def case_a_sink_that_is_not_required(live):
    directory, at = logs(live), live.path("nobody")
    missing = {"type": "journald", "path": at, "required": False}
    ended(box(live, policy(live, [{"type": "file", "path": directory}, missing])), 0)
    ended(box(live, policy(live, [{"type": "file", "path": directory}, {"type": "syslog", "path": at}], on_failure="warn")), 0)
    said = [json.loads(line)["nestbox"]["audit"]["missing"] for line in lines(directory, live)]
    require(len(said) == 4 and all("No such file" in s and at in s for s in said), str(said))


def case_a_receiver_that_stands_still(live):
    """Its queue is full: a start waits for it, for a limited time, and is then refused."""
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "file", "path": directory}, {"type": "journald", "path": receiver.path}])
    with open("/proc/sys/net/unix/max_dgram_qlen", encoding="ascii") as stream:
        queue = int(stream.read())
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    try:
        for _ in range(queue + 2):
            filler.sendto(b"X=1\n", receiver.path)
    except BlockingIOError:
        pass
    refused(live.run("exec", "--policy", at, live.image, "sh", "-c", "echo RAN"), "audit sink journald", "site must")
    filler.close()
    receiver.close()


def case_a_receiver_that_starts_anew(live):
    """Between start and end record: the end goes to the new one."""
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "file", "path": directory}, {"type": "journald", "path": receiver.path}])
    running = live.start("exec", "--policy", at, live.image, "sleep", "1000")
    start = fields(first(receiver))
    receiver.close()
    receiver = Receiver(receiver.path)
    running.terminate()
    running.communicate(timeout=60)
    end = fields(first(receiver))
    require((start["NESTBOX_ACTION"], end["NESTBOX_ACTION"]) == (b"sandbox-start", b"sandbox-end"), str(end))
    require(end["NESTBOX_ID"] == start["NESTBOX_ID"] and end["NESTBOX_RECORD"] == lines(directory, live)[-1], str(end))
    receiver.close()


def case_explained(live):
    at = policy(live, [{"type": "syslog", "required": False}, {"type": "file", "path": "/logs"}])
    done = live.run("exec", "--policy", at, "--explain", live.image, "true")
    ended(done, 0)
    rows = [row for row in done.stdout.splitlines() if "audit" in row]
    require("log in /logs" in rows[0] and "sink syslog at /dev/log" in rows[1], str(rows))


def held_by(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def only_a_socket(held, directory):
    return sum("socket:" in one for one in held) == 1 and not any(".jsonl" in one or directory in one for one in held)


def case_no_sink_reaches_the_box(live):
    """Sockets and log are open in the keeper; pid 1 has its end of one socket pair and nothing else."""
    directory, receiver = logs(live), receiver_of(live)
    at = policy(live, [{"type": "file", "path": directory}, {"type": "journald", "path": receiver.path}])
    running = live.start("exec", "--policy", at, live.image, "sleep", "1000")
    record = json.loads(fields(first(receiver))["NESTBOX_RECORD"])
    init, until = record["nestbox"]["attested"]["init_pid"], time.monotonic() + 30
    held = held_by(init)
    while not only_a_socket(held, directory) and time.monotonic() < until:  # it lets go of what it inherited
        time.sleep(0.05)
        held = held_by(init)
    running.terminate()
    running.communicate(timeout=60)
    require(only_a_socket(held, directory), str(held))
    receiver.close()
