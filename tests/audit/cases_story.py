# SPDX-License-Identifier: Apache-2.0
"""Records that a program of some uid added about a box, its own or another's: the chain fits, the story does not."""
import json
import os
import subprocess

from audit import stories
from cases_chain import faults, read, write
from cases_witness import rechained

LIVE = "audit-1001.jsonl"
OTHER = "audit-1002.jsonl"


def change(record, **members):
    """A record as text; members are named by path, with __ for dots. The chain is made by rechained()."""
    for path, value in members.items():
        at, names = record, path.split("__")
        for name in names[:-1]:
            at = at.setdefault(name, {})
        at[names[-1]] = value
    return record


def put(audit, name, records):
    lines = [json.dumps(r, separators=(",", ":"), ensure_ascii=False) for r in records]
    write(os.path.join(audit.logs, name), "".join(line + "\n" for line in rechained(lines)).encode())


def a_box(audit, trust="same-uid"):
    """A log of some boxes as uid 1001 has it, and the first of them that has both a start and an end."""
    audit.generate(60, 1)
    records = [r for r in audit.records() if r["nestbox"].get("id")]
    for path in audit.files():
        os.unlink(path)
    os.rmdir(os.path.join(audit.logs, "wn000"))
    for r in records:
        change(r, nestbox__trust=trust, user__id="1001")
        r["process"].pop("start", None)
    told = stories(records)
    box = next(b for b, s in sorted(told.items()) if {r["event"]["action"] for r in s} == {"sandbox-start", "sandbox-end"})
    return records, box, *(next(r for r in told[box] if r["event"]["action"] == a) for a in ("sandbox-start", "sandbox-end"))


def copy_of(record, **members):
    return change(json.loads(json.dumps(record)), **members)


def doubts(audit, box, word, severity="fault"):
    """show, find and verify all say so; None: none does."""
    show, found = audit.run("show", box), audit.run("find", "--id", box, "--json")
    said, verify = audit.said, json.loads(audit.run("verify", "--json", status=None))["findings"]
    if word is None:
        assert "WARNING" not in show and "contradict" not in said and verify == [], f"{show} {said} {verify}"
        return
    assert f"WARNING: {word}" in " ".join(show.split("\n")), f"{word}: {show[:2000]}"
    assert "contradict each other" in said and box in said and len(json.loads(found)["boxes"]) == 1, said
    assert any(f["severity"] == severity and word in f["what"] for f in verify), verify
    assert box in read(next(f["file"] for f in verify if word in f["what"])).decode().splitlines()[
        next(f["line"] for f in verify if word in f["what"]) - 1], "the line is of the box"


def case_whole_stories_are_not_doubted(audit):
    records, box, _, _ = a_box(audit)
    put(audit, LIVE, records)
    doubts(audit, box, None)
    put(audit, "copy.jsonl", records)
    doubts(audit, box, None)
    os.unlink(os.path.join(audit.logs, "copy.jsonl"))
    os.mkdir(os.path.join(audit.logs, "collector"))
    for record in records:  # as the collector has it: another form, the same events
        change(record, nestbox__trust="collector")
        record["host"] = {"added": 1, **record["host"]}
    put(audit, "collector/audit-collector.jsonl", records)
    doubts(audit, box, None)


def case_a_second_end(audit):
    records, box, _, end = a_box(audit)
    for forged in (copy_of(end, event__id="0-0"), copy_of(end, process__exit_code=77)):
        put(audit, LIVE, records + [forged])
        if forged["event"]["id"] == "0-0":
            doubts(audit, box, "its records tell of more than one end")
        else:
            assert "more than one end" in audit.run("show", box), "show reads every member"
    subprocess.run(["gzip", "-q", os.path.join(audit.logs, LIVE)], check=True)
    assert "more than one end" in audit.run("show", box)


def case_a_second_start(audit):
    records, box, start, _ = a_box(audit)
    put(audit, LIVE, records + [copy_of(start, event__id="0-0", condor__owner="somebody")])
    doubts(audit, box, "its records tell of more than one start")


def case_an_end_by_another_uid(audit):
    """In that one's own log, with whatever it says of itself."""
    records, box, _, end = a_box(audit)
    running = [r for r in records if r is not end]
    put(audit, LIVE, running)
    put(audit, OTHER, [end])
    doubts(audit, box, "its end is in the log of another uid than its start")
    put(audit, OTHER, [copy_of(end, user__id="1002")])
    doubts(audit, box, "its end names another user, process or worker than its start")


def case_an_end_in_another_form(audit):
    """Escapes and blanks that nestbox does not write hide nothing from verify either."""
    records, box, _, end = a_box(audit)
    put(audit, LIVE, records)
    forged = json.dumps(copy_of(end, event__id="0-0"), separators=(",", ":")).replace('"sandbox-end"', '"\\u0073andbox-end"')
    write(os.path.join(audit.logs, OTHER), "".join(line + "\n" for line in rechained([forged])).encode())
    doubts(audit, box, "its records tell of more than one end")
    decoy = json.dumps({"@timestamp": end["@timestamp"], "x": {"nestbox": {"id": "decoy"}}, **copy_of(end, event__id="0-1")},
                       separators=(",", ":"))
    write(os.path.join(audit.logs, OTHER), "".join(line + "\n" for line in rechained([decoy])).encode())
    doubts(audit, box, "its records tell of more than one end")


def case_an_end_of_less_trust(audit):
    records, box, _, end = a_box(audit, trust="collector")
    put(audit, "audit-collector.jsonl", [r for r in records if r is not end])
    put(audit, LIVE, [copy_of(end, nestbox__trust="same-uid")])
    doubts(audit, box, "its start is attested, and its end is the word of any program of the job's uid")


def case_an_end_before_its_start(audit):
    records, box, start, end = a_box(audit)
    change(end, **{"@timestamp": "2001-01-01T00:00:00.000000000Z"})
    put(audit, LIVE, records)
    doubts(audit, box, "it ends before it starts", "note")
    change(end, **{"@timestamp": start["@timestamp"]})
    put(audit, LIVE, records)
    doubts(audit, box, None)


def case_lost_and_ended(audit):
    records, box, _, end = a_box(audit)
    put(audit, LIVE, records + [copy_of(end, event__action="sandbox-lost", event__id="0-0")])
    doubts(audit, box, "it was lost, and it has an end", "note")


def case_an_honest_log_of_many_is_not_doubted(audit):
    audit.generate(6000, 3)
    audit.run("verify")
    for owner in {r["condor"]["owner"] for r in audit.records() if "condor" in r}:
        audit.run("find", "--owner", owner, "--csv")
        assert audit.said == ""
