# SPDX-License-Identifier: Apache-2.0
"""find: the same answers as reading every record with a JSON parser, by whatever way they are found."""
import json
import os
import subprocess

from audit import expect, hashes, life, nanoseconds, stories

# option, value in a record, the question
KEYS = [
    ("--id", lambda r: r["nestbox"]["id"], str),
    ("--id", lambda r: r["nestbox"]["id"], str.upper),
    ("--job", lambda r: r["condor"]["global_job_id"], str),
    ("--job", lambda r: f"{r['condor']['cluster_id']}.{r['condor']['proc_id']}", str),
    ("--job", lambda r: r["condor"]["cluster_id"], str),
    ("--owner", lambda r: r["condor"]["owner"], str),
    ("--dn", lambda r: r["wlcg"]["dn"], str),
    ("--dn", lambda r: r["wlcg"]["dn"], lambda dn: ",".join(reversed(dn.strip("/").split("/")))),
    ("--dn", lambda r: r["wlcg"]["dn"], lambda dn: dn + "/CN=1234567/CN=proxy"),
    ("--subject", lambda r: r["wlcg"]["token"]["sub"], str),
    ("--issuer", lambda r: r["wlcg"]["token"]["iss"], str),
    ("--vo", lambda r: r["wlcg"]["vo"], str.upper),
    ("--task", lambda r: r["mesos"]["task_id"], str),
    ("--container", lambda r: r["container"]["id"], str),
    ("--container", lambda r: r["container"]["id"], lambda c: c[:18]),
    ("--container", lambda r: r["container"]["id"], lambda c: "docker://" + c),
    ("--container", lambda r: r["container"]["id"], lambda c: "mesos-" + c),
    ("--image", lambda r: r["container"]["image"]["name"], str),
    ("--image", lambda r: r["container"]["image"]["name"].split(":")[0], str),
    ("--image", lambda r: r["container"]["image"]["hash"]["all"][0], str),
    ("--image", lambda r: r["container"]["image"]["hash"]["all"][0], lambda h: h.split(":")[1]),
    ("--host", lambda r: r["host"]["name"], str),
    ("--host", lambda r: r["host"]["name"], lambda h: h.split(".")[0].upper()),
    ("--host", lambda r: r["host"]["id"], str),
    ("--pid", lambda r: str(r["process"]["pid"]), str),
    ("--exe-hash", lambda r: r["process"]["hash"]["sha256"], str),
    ("--exe-hash", lambda r: r["process"]["hash"]["sha256"], lambda h: "sha256:" + h.upper()),
    ("--secret", lambda r: (r.get("secrets") or [{"name": None}])[0]["name"], str),
    ("--cgroup", lambda r: r["nestbox"]["cgroup"]["path"], str),
    ("--policy", lambda r: r["nestbox"]["policy"]["sha256"], str),
    ("--uid", lambda r: r["user"]["id"], str),
    ("--outcome", lambda r: r["event"]["outcome"], str),
    ("--where", lambda r: f"condor.slot={r['condor']['slot']}", str),
    ("--where", lambda r: f"secrets[].name={(r.get('secrets') or [{'name': None}])[0]['name']}", str),
    ("--where", lambda r: f"process.args_count={r['process'].get('args_count', -1)}", str),
]
WAYS = ([], ["--no-index"])


def every_key(audit):
    all_records = [r for r in audit.records() if r["nestbox"].get("id")]
    told = stories(all_records)
    sample = next(r for r in all_records if r.get("secrets"))  # a start record
    for option, value, ask in KEYS:
        wanted = value(sample)
        want = {box: hashes(story) for box, story in told.items() if any(value(r) == wanted for r in story)}
        assert want, f"{option} {wanted}: the test itself finds nothing"
        for way in WAYS:
            expect(audit.ids(option, ask(wanted), *way), want, f"{option} {ask(wanted)} {way}")


def case_every_key_plain(audit):
    audit.generate(3000, 3)
    every_key(audit)


def case_every_key_with_index(audit):
    audit.generate(3000, 3)
    audit.run("index")
    assert os.path.exists(os.path.join(audit.logs, ".nestbox-index"))
    every_key(audit)


def case_every_key_compressed(audit):
    audit.generate(3000, 3)
    audit.run("index")
    rotated = [p for p in audit.files() if not p.endswith(".jsonl")]
    for number, path in enumerate(rotated):
        subprocess.run([["gzip", "-q", path], ["zstd", "-q", "--rm", path]][number % 2], check=True)
    every_key(audit)
    audit.run("index", "--rebuild")
    every_key(audit)


def case_spans_are_exact(audit):
    audit.generate(4000, 4)
    told = stories(audit.records())
    lives = {box: life(story) for box, story in told.items()}
    first, last = min(a for a, _ in lives.values()), max(a for a, _ in lives.values())
    owner = next(iter(told.values()))[0]["condor"]["owner"]
    audit.run("index")
    for part in range(1, 8):
        since = first + (last - first) * part // 9
        until = since + (last - first) // 20
        span = ["--since", stamp(since), "--until", stamp(until)]
        want = {b: hashes(told[b]) for b, (a, z) in lives.items() if a <= until and z >= since}
        mine = {b: h for b, h in want.items() if told[b][0]["condor"]["owner"] == owner}
        for way in WAYS:
            expect(audit.ids(*span, *way), want, f"{span} {way}")
            expect(audit.ids("--owner", owner, *span, *way), mine, f"{owner} {span} {way}")


def stamp(ns):
    seconds = subprocess.run(["date", "-u", "-d", f"@{ns // 10**9}", "+%Y-%m-%dT%H:%M:%S"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.strip()
    return f"{seconds}.{ns % 10**9:09d}Z"


def case_two_criteria_may_be_met_by_two_records(audit):
    audit.generate(2000, 2)
    told = stories(audit.records())
    story = next(s for s in told.values() if len(s) == 2 and any(r["event"]["outcome"] == "failure" for r in s))
    directory = next(r for r in story if r["event"]["action"] == "sandbox-start")["process"]["working_directory"]
    box = story[0]["nestbox"]["id"]
    for way in WAYS:
        found = audit.ids("--outcome", "failure", "--where", f"process.working_directory={directory}", *way)
        expect(found, {box: hashes(story)}, "start and end together")


def case_alert_with_a_child_process(audit):
    audit.generate(2000, 2)
    told = stories(audit.records())
    story = next(s for s in told.values() if len(s) == 2)
    start, end = life(story)
    host = story[0]["host"]["name"]
    moment = stamp((start + end) // 2)
    pid = story[0]["process"]["pid"]
    assert set(audit.ids("--host", host, "--pid", pid, "--time", moment)) == {story[0]["nestbox"]["id"]}
    alive = {b: hashes(s) for b, s in told.items()
             if s[0]["host"]["name"] == host and life(s)[0] <= (start + end) // 2 + 10**9 and life(s)[1] >= (start + end) // 2}
    expect(audit.ids("--host", host, "--pid", 1, "--time", moment), alive, "who was alive")
    assert "first process" in audit.said
    assert audit.ids("--host", host, "--pid", 1) == {}, "without a time there is no such guess"


def case_nothing_found(audit):
    audit.generate(400, 2)
    for way in WAYS:
        assert audit.run("find", "--job", "1.1", *way, status=1) == ""
        assert json.loads(audit.run("find", "--job", "1.1", "--json", *way, status=1))["boxes"] == []
        assert audit.run("find", "--job", "1.1", "--jsonl", *way, status=1) == ""


def case_a_forged_claim_does_not_answer_for_the_real_thing(audit):
    audit.generate(400, 2)
    real = next(r for r in audit.records() if r["nestbox"].get("id"))
    forged = dict(real, nestbox=dict(real["nestbox"], id="forger", claimed={"mesos_task_id": real["mesos"]["task_id"]}),
                  mesos={"task_id": "the-real-one"})
    with open(os.path.join(audit.logs, "other.jsonl"), "w", encoding="utf-8") as out:
        out.write(json.dumps(forged, separators=(",", ":")) + "\n")
    for way in WAYS:
        assert "forger" not in audit.ids("--task", real["mesos"]["task_id"], *way)
        assert "forger" in audit.ids("--where", f"nestbox.claimed.mesos_task_id={real['mesos']['task_id']}", *way)


def case_escapes_in_values(audit):
    odd = ['quote"and\\slash', "tab\there", "é\u200fmark", "\U0001f600", "new\nline", "a,b=c"]
    with open(os.path.join(audit.logs, "odd.jsonl"), "w", encoding="utf-8") as out:
        for number, name in enumerate(odd):
            record = {"@timestamp": f"2026-11-21T14:39:0{number}.000000000Z", "condor": {"owner": name},
                      "nestbox": {"id": f"odd-{number}"}, "event": {"action": "sandbox-start", "hash": str(number)}}
            out.write(json.dumps(record, separators=(",", ":"), ensure_ascii=True) + "\n")
            record["nestbox"]["id"] += "-raw"
            out.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
    # The log's own writer leaves printable text as it is and escapes the rest; both spellings are the same value.
    for number, name in enumerate(odd):
        audit.run("index", "--rebuild")
        found = set(audit.ids("--owner", name))
        assert found == {f"odd-{number}", f"odd-{number}-raw"}, f"{name!r}: {found}"


def case_times(audit):
    audit.generate(400, 2)
    record = next(r for r in audit.records() if r["event"]["action"] == "sandbox-start")
    box, begin = record["nestbox"]["id"], nanoseconds(record["@timestamp"])
    for text in (record["@timestamp"], stamp(begin)[:19] + "Z", stamp(begin)[:19], f"@{begin // 10**9}",
                 stamp(begin + 3600 * 10**9)[:-1] + "+01:00"):
        assert box in audit.ids("--id", box, "--time", text), text
    assert box not in audit.ids("--id", box, "--until", stamp(begin - 1))
    for text in ("1970-01-01", "1969-12-31T23:59:59Z", "0001-01-01", "@0"):
        assert box in audit.ids("--id", box, "--since", text) and box not in audit.ids("--id", box, "--until", text), text
    assert box in audit.ids("--since", "1970-01-01")
    for text in ("9999-12-31", "2500-01-01T00:00:00+14:00"):
        assert box in audit.ids("--id", box, "--until", text) and box not in audit.ids("--id", box, "--since", text), text
    for bad in ("yesterday", "2026-13-01", "2026-02-30", "25:00", "2026-11-21T14:39:09+1", ""):
        audit.run("find", "--since", bad, status=125)
        assert "--since" in audit.said
