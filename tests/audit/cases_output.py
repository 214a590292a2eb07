# SPDX-License-Identifier: Apache-2.0
"""What people and programs get to see: nothing in a record steers a terminal, a browser or a spreadsheet."""
import csv
import io
import json
import os
import re
import select
import signal
import subprocess
import time
import unicodedata

from audit import stories

HOSTILE = "<script>document.title='owned'</script>\"'&\x1b]0;owned\x07\u202e=cmd|'/c calc'!A1"


def one_box(audit, **more):
    record = {"@timestamp": "2026-11-21T14:39:09.000000000Z", "host": {"name": "wn1"}, "condor": {"owner": "=1+" + HOSTILE},
              "process": {"args": [HOSTILE], "executable": HOSTILE}, "nestbox": {"id": "box-1", **more},
              "event": {"action": "sandbox-start", "hash": "1"}}
    end = {"@timestamp": "2026-11-21T14:49:09.000000000Z", "process": {"exit_code": 3}, "nestbox": {"id": "box-1",
           "exit": {"kind": "code"}}, "event": {"action": "sandbox-end", "outcome": "failure", "hash": "2"}}
    with open(os.path.join(audit.logs, "hostile.jsonl"), "w", encoding="utf-8") as out:
        for r in (record, end):
            out.write(json.dumps(r, separators=(",", ":")) + "\n")


def case_terminal(audit):
    one_box(audit)
    for args in (["find", "--id", "box-1"], ["show", "box-1"], ["tail"]):
        text = audit.run(*args)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), f"{args}: {text!r}"
    script = subprocess.run(["script", "-qec", f"{audit.tool} find --id box-1 --jsonl --from {audit.logs}", "/dev/null"],
                            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True).stdout
    assert b"box-1" in script and b"\x1b" not in script


def columns_of(line):
    """Where the columns of a table begin, as a terminal counts."""
    at, begins, blanks = 0, [], 2
    for c in line:
        if c != " " and blanks >= 2:
            begins.append(at)
        blanks = blanks + 1 if c == " " else 0
        at += 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
    return begins


def case_tables_stand_in_columns(audit):
    owners = ("cms", "\u65e5\u672c\u8a9e", "\U0001f389\U0001f389", "e\u0301toile", "\x1b[31mred\u202e", "\u00fc")
    with open(os.path.join(audit.logs, "wide.jsonl"), "w", encoding="utf-8") as out:
        for number, owner in enumerate(owners):
            record = {"@timestamp": "2026-11-21T14:39:09.000000000Z", "host": {"name": "wn1"}, "condor": {"owner": owner},
                      "nestbox": {"id": f"box-{number}"}, "event": {"action": "sandbox-start", "hash": str(number)}}
            out.write(json.dumps(record, ensure_ascii=number % 2 == 0) + "\n")
    lines = audit.run("find", "--host", "wn1").splitlines()
    assert len(lines) == 7 and len({tuple(columns_of(line)) for line in lines}) == 1, "\n".join(lines)


def documented_actions():
    """The table of docs/audit-log.md."""
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/audit-log.md")
    with open(page, encoding="utf-8") as stream:
        table = re.search(r"<!-- actions -->(.*?)<!-- /actions -->", stream.read(), re.DOTALL)[1]
    return re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)


def case_every_kind_of_record(audit):
    """Found by its action, told by show, listed in the report; what has no box is found as well."""
    actions = documented_actions()
    assert len(actions) == 14 and len(set(actions)) == 14, actions
    boxless = ("config-loaded", "events-suppressed", "chain-anchor")
    with open(os.path.join(audit.logs, "kinds.jsonl"), "w", encoding="utf-8") as out:
        for number, action in enumerate(actions):
            record = {"@timestamp": f"2026-11-21T14:39:{number:02d}.000000000Z", "host": {"name": "wn1"}, "user": {"id": "1001"},
                      "nestbox": {"version": "1"} if action in boxless else {"id": f"box-{action}"},
                      "event": {"action": action, "reason": f"why {action} {HOSTILE}", "hash": str(number)}}
            out.write(json.dumps(record, separators=(",", ":")) + "\n")
    for action in actions:
        found = json.loads(audit.run("find", "--action", action, "--json"))["boxes"]
        assert [r["event"]["action"] for box in found for r in box["records"]] == [action], f"{action}: {found}"
        if action not in boxless:
            assert action in audit.run("show", f"box-{action}")
    assert "refused" in audit.run("find", "--id", "box-policy-denied") and "no end" not in audit.run("find", "--id", "box-policy-denied")
    late = audit.run("find", "--host", "wn1", "--since", "2026-11-22", "--json")
    assert {box["id"] for box in json.loads(late)["boxes"]} == {f"box-{a}" for a in actions if a not in boxless} - \
        {"box-sandbox-end", "box-sandbox-lost", "box-policy-denied"}, late
    page = audit.run("report", "--host", "wn1")
    assert "<script>" not in page and "\u202e" not in page
    events = page[page.index("<h2>Events"):]
    for action in actions:
        assert (f"<td>{action}</td>" in events) == (action not in ("sandbox-start", "sandbox-end")), action


def case_csv(audit):
    one_box(audit)
    rows = list(csv.DictReader(io.StringIO(audit.run("find", "--id", "box-1", "--csv"))))
    assert len(rows) == 1 and rows[0]["owner"] == "'=1+" + HOSTILE and rows[0]["result"] == "exit 3", rows


def case_json(audit):
    audit.generate(400, 2)
    told = stories(audit.records())
    box = next(b for b, s in told.items() if len(s) == 2)
    whole = json.loads(audit.run("find", "--id", box, "--json"))
    assert whole["schema_version"] == 1 and [r["nestbox"]["id"] for r in whole["boxes"][0]["records"]] == [box, box]
    raw = audit.run("find", "--id", box, "--jsonl").splitlines()
    with open(next(p for p in audit.files() if raw[0] in open(p, encoding="utf-8").read()), encoding="utf-8") as log:
        assert raw[0] in log.read().splitlines(), "lines are printed as they stand in the log"


def case_show_tells_attested_from_claimed(audit):
    one_box(audit, attested={"mesos_task_id": "real", "uid": "1001"}, claimed={"mesos_task_id": "forged"})
    text = audit.run("show", "box-1")
    line = next(l for l in text.splitlines() if l.startswith("mesos_task_id"))
    assert "real" in line and "forged" in line and "DIFFERS" in line and "WARNING" in text
    one_box(audit, attested={"mesos_task_id": "real"}, claimed={"mesos_task_id": "real"})
    assert "WARNING" not in audit.run("show", "box-1")
    assert audit.run("show", "no-such-box", status=1) == ""


class Follower:
    """`tail -f` and the ids of what it has printed so far."""

    def __init__(self, audit):
        self.process = subprocess.Popen([audit.tool, "tail", "-f", "--jsonl", "--lines", "0", "--from", audit.logs], env=audit.env,
                                        stdout=subprocess.PIPE)
        self.text = b""

    def ids(self):
        return re.findall(rb'"nestbox":\{"id":"(\d+-\d+-\d+)"', self.text)

    def read_until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                self.text += os.read(self.process.stdout.fileno(), 65536)
        return condition()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.text += self.process.communicate()[0]


def case_tail_follows_rotations(audit):
    audit.write(1, 5)
    assert audit.run("tail", "--lines", "2", "--jsonl").count("\n") == 2
    follower = Follower(audit)
    for _ in range(100):  # until it follows: what was there before its first look is not for it
        audit.write(1, 1)
        if follower.read_until(follower.ids, 0.6):
            break
    follower.read_until(lambda: False, 1)
    before = len(follower.ids())
    audit.write(4, 50, 40000)
    follower.read_until(lambda: len(follower.ids()) >= before + 200)
    follower.read_until(lambda: False, 1)  # nothing comes twice
    follower.stop()
    assert before > 0 and len(follower.ids()) == before + len(set(follower.ids()[before:])) == before + 200, f"{len(follower.ids()) - before} of 200"


def case_tail_ends_when_nobody_reads(audit):
    audit.write(1, 3)
    done = subprocess.run(["bash", "-c", f"'{audit.tool}' tail -f --from '{audit.logs}' | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=audit.env, check=True)
    assert done.stdout in (b"0\n", b"141\n") and done.stderr == b"", done


def case_a_reader_that_has_enough_ends_it_quietly(audit):
    audit.generate(2000, 2)
    done = subprocess.run(["bash", "-c", f"'{audit.tool}' find --action sandbox-start --jsonl --from '{audit.logs}' | head -1 >/dev/null; "
                           "echo ${PIPESTATUS[0]}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=audit.env, check=True)
    assert done.stdout == b"141\n" and done.stderr == b"", done


def case_bad_command_lines(audit):
    audit.generate(400, 2)
    for args, word in ((["find"], "look for"), (["find", "--bogus", "1"], "--bogus"), (["find", "--job"], "--job"),
                       (["find", "--json=1", "--id", "x"], "--json"), (["find", "stray"], "stray"),
                       (["show"], "id of a box"), (["verify", "--job", "1"], "--job"), (["prune", "--keep", "soon"], "--keep"),
                       (["find", "--where", "novalue"], "--where"), (["find", "-x"], "-x"),
                       (["tail", "--lines", "-1"], "--lines"), (["find", "--since", "now", "--until", "2h"], "--until")):
        audit.run(*args, status=125)
        assert word in audit.said, f"{args}: {audit.said}"
    audit.run("find", "--from", "/no/such/place", "--id", "x", status=125, where=False)
    audit.run("nonsense", status=125, where=False)


def case_unreadable_files_are_told(audit):
    audit.generate(400, 2)
    box = sorted(stories(audit.records()))[0]
    with open(os.path.join(audit.logs, "broken.jsonl.gz"), "wb") as out:
        out.write(b"\x1f\x8b\x08\x00 not really")
    found = audit.run("find", "--id", box, "--jsonl", status=125)
    assert box in found and "broken.jsonl.gz" in audit.said and "lacks" in audit.said


def case_help_names_every_option(audit):
    text = audit.run("find", "--help", where=False)
    for option in ("--job", "--where", "--since", "--json", "--from", "Example"):
        assert option in text
    for verb in ("find", "show", "verify", "tail", "report", "prune", "index"):
        assert verb in audit.run("--help", where=False) and "Usage" in audit.run(verb, "--help", where=False)
