# SPDX-License-Identifier: Apache-2.0
"""Logs that nestbox did not write so, or that somebody changes meanwhile: by index and by reading, the answers are the same and right."""
import gzip
import json
import os
import random
import subprocess
import threading



WAYS = ([], ["--no-index"])
DAY = "2026-11-%02dT%s"


def record(box, action="sandbox-start", when="2026-11-21T14:39:09.000000000Z", **more):
    members = {"@timestamp": when, "host": {"name": "wn1"}, **more, "nestbox": {"id": box}, "event": {"action": action}}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)


def put(audit, name, *lines, end="\n"):
    path = os.path.join(audit.logs, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        for line in lines:
            out.write((line if isinstance(line, bytes) else line.encode()) + end.encode())
    return path


def boxes(audit, *args, status=None):
    return {box["id"] for box in json.loads(audit.run("find", *args, "--json", status=status))["boxes"]}


def both_ways(audit, want, *args, status=None):
    for way in WAYS:
        got = boxes(audit, *args, *way, status=status)
        assert got == set(want), f"{args} {way}: {sorted(got)[:5]}, not {sorted(want)[:5]}"


def case_long_lines_hide_nothing(audit):
    """Lines beyond what nestbox writes, up to 256 KiB, are found; longer ones are skipped, and what follows is found."""
    lines, want = [], []
    for number, size in enumerate((10, 9000, 33000, 70000, 200000, 300000, 10, 261900, 600000, 50)):
        box = f"box-{number}"
        lines.append(record(box, condor={"owner": "anna"}, filler="x" * size))
        if size < 262000:
            want.append(box)
    put(audit, "long.jsonl", *lines)
    audit.run("index")
    both_ways(audit, want + ["box-7"], "--owner", "anna")
    for box in want:
        both_ways(audit, [box], "--id", box)


def case_a_last_line_without_newline_is_a_record(audit):
    put(audit, "one.jsonl", record("box-1"), end="")
    put(audit, "two.jsonl", record("box-2") + "\n" + record("box-3"), end="")
    audit.run("index")
    both_ways(audit, ["box-1", "box-2", "box-3"], "--host", "wn1")
    with open(os.path.join(audit.logs, "two.jsonl"), "a", encoding="utf-8") as out:
        out.write("\n" + record("box-4"))
    both_ways(audit, ["box-1", "box-2", "box-3", "box-4"], "--host", "wn1")


def case_records_with_very_many_values(audit):
    names = [f"secret-{n}" for n in range(900)]
    digests = [f"{n:064x}" for n in range(300)]
    put(audit, "many.jsonl", record("box-1", secrets=[{"name": n} for n in names], container={"image": {"hash": {"all": digests}}}),
        record("box-1", "sandbox-end", "2026-11-21T15:39:09.000000000Z", event={}))
    audit.run("index")
    for name in (names[0], names[100], names[-1]):
        both_ways(audit, ["box-1"], "--secret", name)
    both_ways(audit, ["box-1"], "--image", "sha256:" + digests[-1])
    both_ways(audit, [], "--id", "box-1", "--until", "2026-11-21T14:00:00Z")
    both_ways(audit, [], "--id", "box-1", "--since", "2026-11-21T16:00:00Z")


def case_a_long_life_is_found_by_what_only_its_start_says(audit):
    """Begun days before the span, ended within it; the end names neither the secret nor the beginning."""
    for began in (False, True):
        for day in range(1, 10):
            lines = []
            for n in range(120):
                box = f"{began}-{day}-{n}"
                lines.append(record(box, when=DAY % (day, f"08:00:00.{n:09d}Z"), secrets=[{"name": "key"}]))
                end = {"event": {"action": "sandbox-end", "start": DAY % (day, f"08:00:00.{n:09d}Z")}} if began else {}
                if day > 3:
                    old = f"{began}-{day - 3}-{n}"
                    lines.append(json.dumps({**json.loads(record(old, "sandbox-end", DAY % (day, f"09:00:00.{n:09d}Z"))), **end}))
            put(audit, f"{began}/day-{day}.jsonl", *lines)
    audit.run("index", "--rebuild")
    for since, until, days in (("2026-11-06", None, range(3, 10)), ("2026-11-06", "2026-11-06", range(3, 7)),
                               ("2026-11-05T10:00:00Z", "2026-11-05T11:00:00Z", range(3, 6))):
        want = {f"{b}-{d}-{n}" for b in (False, True) for d in days for n in range(120)}
        both_ways(audit, want, "--secret", "key", "--since", since, *(["--until", until] if until else []))


def case_a_clock_that_was_set_back(audit):
    """A box whose end has an earlier time than its start is found by both, and by what is between."""
    put(audit, "wn1/a.jsonl", record("back", when="2026-11-21T14:00:00.000000000Z"),
        *[record(f"x{n}", when="2026-11-21T14:00:00.000000000Z") for n in range(80)])
    put(audit, "wn1/b.jsonl", record("back", "sandbox-end", "2026-11-21T10:00:00.000000000Z"))
    audit.run("index")
    for moment in ("14:00:00Z", "12:00:00Z", "10:00:00Z"):
        for way in WAYS:
            assert "back" in boxes(audit, "--host", "wn1", "--time", f"2026-11-21T{moment}", *way), f"{moment} {way}"
    page = audit.run("report", "--id", "back")
    bars = [int(part.split('"')[0]) for part in page.split(' width="')[1:]]
    assert bars and max(bars) <= 1000, bars


def case_the_same_record_twice_is_one(audit):
    """From two files, with other line ends, with and without a box."""
    lines = [record("box-1"), record("box-1", "sandbox-end", "2026-11-21T15:00:00.000000000Z"),
             '{"@timestamp":"2026-11-21T14:00:00.000000000Z","host":{"name":"wn1"},"nestbox":{"version":"1"},"event":{"action":"config-loaded"}}']
    put(audit, "a.jsonl", *lines)
    put(audit, "b.jsonl", *lines, *lines)
    put(audit, "c.jsonl", *lines, end="\r\n")
    for ready in (False, True):
        if ready:
            audit.run("index")
        for way in WAYS:
            assert audit.run("find", "--id", "box-1", "--jsonl", *way).splitlines() == lines[:2]
            assert audit.run("find", "--action", "config-loaded", "--jsonl", *way).splitlines() == lines[2:]


def case_answers_stay_json(audit):
    """A line that only looks like JSON, or is no UTF-8, as a program of the job's uid may write one."""
    bad = [b'{"@timestamp":"2026-11-21T14:39:09Z","nestbox":{"id":"box-1"},"x":{oops},"event":{"action":"sandbox-start"}}',
           b'{"@timestamp":"2026-11-21T14:39:10Z","nestbox":{"id":"box-1"},"x":"\xff\xfe","event":{"action":"sandbox-end"}}',
           b'{"@timestamp":"2026-11-21T14:39:11Z","nestbox":{"id":"box-1"},"x":01,"event":{"action":"x"}}',
           b'{"@timestamp":"2026-11-21T14:39:12Z","nestbox":{"id":"box-1"},"x":"a\tb\x01","event":{"action":"x"}}']
    put(audit, "bad.jsonl", *bad, record("box-1"))
    text = subprocess.run([audit.tool, "find", "--from", audit.logs, "--id", "box-1", "--json"], stdout=subprocess.PIPE, env=audit.env,
                          check=True).stdout
    records = json.loads(text.decode("utf-8"))["boxes"][0]["records"]
    assert len(records) == 5 and [r for r in records if isinstance(r, dict)] == [json.loads(record("box-1"))], records


def case_damaged_files_do_not_cost_the_index(audit):
    """What can't be read is told of at every search; the rest is answered from the index."""
    audit.generate(2000, 2)
    told = sorted(r["nestbox"]["id"] for r in audit.records() if r["nestbox"].get("id"))
    whole = gzip.compress("".join(record(f"torn-{n}") + "\n" for n in range(4000)).encode())
    put(audit, "torn.jsonl.gz", whole[:len(whole) // 2], end="")
    audit.run("index", status=125)
    assert "torn.jsonl.gz" in audit.said, audit.said
    rows = subprocess.run(["sqlite3", os.path.join(audit.logs, ".nestbox-index"), "SELECT count(*) FROM file"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    assert int(rows) > 2, "the index holds the others"
    for box in (told[0], told[-1], "torn-1"):
        for _ in range(2):
            assert boxes(audit, "--id", box, status=125) == {box}
            assert "torn.jsonl.gz" in audit.said and "lacks" in audit.said, audit.said
    put(audit, "torn.jsonl.gz", whole, end="")
    assert boxes(audit, "--id", "torn-3999", status=0) == {"torn-3999"}


def case_rotated_while_being_read(audit):
    """What is listed under one name and opened under another is still read."""
    for n in range(300):
        put(audit, f"a{n:03d}/audit-0.jsonl", *[record(f"filler-{n}-{m}", filler="x" * 2000) for m in range(20)])
    live = put(audit, "z/audit-0.jsonl", record("wanted"))
    stop = threading.Event()

    def rotate():
        number = 0
        while not stop.wait(0.003):
            number += 1
            aside = f"{live}.20261121T143909.{number:09d}Z"
            os.link(live, aside)
            put(audit, "z/.fresh", record(f"later-{number}"))
            os.rename(os.path.join(audit.logs, "z/.fresh"), live)
            if number > 2000:
                os.unlink(f"{live}.20261121T143909.{number - 2000:09d}Z")

    os.rename(put(audit, "z/.first", record("wanted-too")), f"{live}.20261121T143909.000000000Z")
    rotor = threading.Thread(target=rotate)
    rotor.start()
    missed = 0
    try:
        for _ in range(25):
            missed += not boxes(audit, "--where", "nestbox.id=wanted-too", "--no-index") == {"wanted-too"}
            text = audit.run("verify", "--partial", "--json", status=None)
            missed += json.loads(text)["files"] < 300
            live_now = json.loads(open(live, encoding="utf-8").readline())["nestbox"]["id"]
            missed += live_now not in boxes(audit, "--host", "wn1", "--no-index", status=None)
    finally:
        stop.set()
        rotor.join()
    assert missed == 0, f"{missed} of 75 answers lacked what was there"


def case_a_damaged_index_hides_nothing(audit):
    """Any flipped byte: the answer is that of the logs, and the index is made anew."""
    audit.generate(6000, 2)
    audit.run("index")
    index = os.path.join(audit.logs, ".nestbox-index")
    with open(index, "rb") as whole:
        data = whole.read()
    jobs = {}
    for r in audit.records():
        if r["nestbox"].get("id"):
            jobs.setdefault(r["condor"]["global_job_id"], set()).add(r["nestbox"]["id"])
    chance = random.Random(3)
    sample = sorted(jobs)
    for size in (1, 1, 1, 64):
        for _ in range(15):
            at = chance.randrange(len(data) - size)
            with open(index, "wb") as out:
                out.write(data[:at] + bytes(chance.randrange(256) for _ in range(size)) + data[at + size:])
            for job in chance.sample(sample, 40):
                got = boxes(audit, "--job", job, status=None)
                assert got == jobs[job], f"{size} bytes at {at} of {len(data)}: {job}: {got}"


def case_prune_goes_on_after_a_damaged_file(audit):
    audit.generate(2000, 2, 300)
    first = sorted(p for p in audit.files() if not p.endswith(".jsonl"))[0]
    whole = gzip.compress(open(first, "rb").read())
    stat = os.stat(first)
    os.unlink(first)
    with open(first + ".gz", "wb") as out:
        out.write(whole[:len(whole) // 2])
    os.utime(first + ".gz", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    before = len(audit.files())
    told = audit.run("prune", status=1)
    assert "kept" in told and os.path.exists(first + ".gz") and len(audit.files()) < before, told


def case_bad_dates(audit):
    put(audit, "a.jsonl", record("box-1"))
    for bad in ("2026-02-29", "2026-04-31", "2026-11-21T24:00:00Z", "2026-11-21T14:39:09+24:00", "21.11.2026"):
        audit.run("find", "--id", "box-1", "--since", bad, status=125)
    audit.run("find", "--id", "box-1", "--since", "2024-02-29")
