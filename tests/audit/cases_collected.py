# SPDX-License-Identifier: Apache-2.0
"""A log server's files, one a worker and day, as the shipped rsyslog configuration writes them: verified, pruned."""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
from datetime import datetime, timedelta, timezone

from audit import Skip, ZEROS, expect, hashes, stories
from cases_chain import faults, read, write
from cases_witness import rechained


def collect(audit, doubled=True, shuffled=True):
    """Every record of the workers' logs, but the chain-anchors, which aren't sent; some twice, some behind their successors.
    The logs of wn001 were rotated daily; the others are one chain over all days."""
    chance = random.Random(5)
    days, logs = {}, {}
    for path in audit.files():
        lines = [line for line in read(path).decode().splitlines() if '"chain-anchor"' not in line]
        logs.setdefault(path[:path.index(".jsonl")], []).extend(lines)
    for name, lines in logs.items():
        if name.endswith("audit-1001"):  # other boxes than those of the first log
            lines = [line.replace('"nestbox":{"id":"', '"nestbox":{"id":"b') for line in lines]
        for line in lines if "wn001" in name else rechained(lines):
            record = json.loads(line)
            days.setdefault((record["host"]["name"], record["@timestamp"][:10]), []).append((record["@timestamp"], line.encode() + b"\n"))
    worker, audit.logs = audit.logs, os.path.join(audit.top, "central")
    shutil.rmtree(audit.logs, ignore_errors=True)
    for (host, day), lines in days.items():
        lines = [line for _, line in sorted(lines)]
        for at in range(0, len(lines) - 1, 9) if shuffled else ():
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        if doubled:
            lines += chance.sample(lines, min(3, len(lines)))
        os.makedirs(os.path.join(audit.logs, host), exist_ok=True)
        path = os.path.join(audit.logs, host, f"{day}.jsonl")
        write(path, b"".join(lines))
        old = datetime.fromisoformat(day).replace(tzinfo=timezone.utc) + timedelta(hours=23, minutes=59)
        os.utime(path, (old.timestamp(), old.timestamp()))
    return worker


def two_logs_a_worker(audit, ago):
    """Of one worker the logs of two users, whose records come to one file."""
    audit.generate(1500, 2, ago)
    other = os.path.join(audit.top, "other")
    os.makedirs(other)
    subprocess.run([os.path.join(audit.build, "tests/unit/audit-generate"), other, "700", "1", str(ago - 1)], check=True, stdout=subprocess.DEVNULL)
    host = sorted(os.listdir(audit.logs))[0]
    for name in os.listdir(os.path.join(other, "wn000")):
        shutil.copy(os.path.join(other, "wn000", name), os.path.join(audit.logs, host, name.replace("audit-0", "audit-1001")))
    return collect(audit)


def case_a_log_server_verifies(audit):
    two_logs_a_worker(audit, 20)
    assert faults(audit) == [], audit.run("verify", status=None)
    told = stories(audit.records())
    box = sorted(told)[0]
    expect(audit.ids("--id", box), {box: hashes(told[box])}, "found there")


def lines_and_followers(path):
    lines = read(path).splitlines(keepends=True)
    followed = {json.loads(line)["nestbox"]["prev_hash"] for line in lines}
    return lines, followed


def case_what_is_done_to_collected_files_is_named(audit):
    audit.generate(300, 1, 20)
    collect(audit, doubled=False, shuffled=False)
    path = audit.files()[1]
    name = os.path.basename(path)
    lines, followed = lines_and_followers(path)
    for n in random.Random(3).sample(range(len(lines) - 1), 25):
        gone = json.loads(lines[n])
        write(path, b"".join(lines[:n] + lines[n + 1:]))
        assert gone["event"]["hash"] in followed and faults(audit) == [("fault", name, n + 1)], f"line {n + 1} dropped: {faults(audit)}"
        at = random.Random(n).randrange(len(lines[n]) - 1)
        write(path, b"".join(lines[:n] + [lines[n][:at] + bytes([lines[n][at] ^ 1]) + lines[n][at + 1:]] + lines[n + 1:]))
        assert ("fault", name, n + 1) in faults(audit), f"byte {at} of line {n + 1}"
        text = lines[n][:lines[n].index(b',"hash":"')].replace(b"wn000", b"wn999")
        forged = hashlib.sha256(bytes.fromhex(gone["nestbox"]["prev_hash"]) + text).hexdigest().encode()
        write(path, b"".join(lines[:n + 1] + [text + b',"hash":"' + forged + b'"}}\n'] + lines[n + 1:]))
        assert faults(audit) == [("fault", name, n + 2)], f"a forged record behind line {n + 1}"
    write(path, b"".join(lines) + b'{"half a rec')
    assert faults(audit) == [("note", name, len(lines) + 1)], "torn"
    os.unlink(path)
    after = [f for f in faults(audit) if f[0] == "fault"]
    assert after == [("fault", os.path.basename(audit.files()[1]), 1)], "a day deleted by hand"
    assert [f for f in faults(audit, "--partial") if f[0] == "fault"] == []


def case_a_log_server_is_pruned(audit):
    two_logs_a_worker(audit, 200)
    before = audit.files()
    assert len(before) > 6, before
    told = audit.run("prune", "--keep", "202d", "--dry-run")
    assert audit.files() == before and "would be deleted" in told and "would be compressed" in told, told
    audit.run("prune", "--keep", "202d")
    after = audit.files()
    gone = [p for p in before if p not in after and p + ".zst" not in after]
    assert gone and all(p.endswith((".zst", "pruned.jsonl")) for p in after), after
    assert faults(audit) == [], "what remains verifies"
    words = [r["nestbox"]["chain"] for p in after if p.endswith("pruned.jsonl") for r in audit.records_of(p)]
    assert {w["file"] for w in words} == {os.path.basename(p) for p in gone} and all(w["last_hash"] != ZEROS for w in words), words
    kept = [p for p in after if not p.endswith("pruned.jsonl")]
    host = os.path.dirname(kept[0])
    inside = sorted(p for p in kept if os.path.dirname(p) == host)
    os.unlink(inside[1])
    assert [f[:2] for f in faults(audit)] == [("fault", os.path.basename(inside[2]))], "a day that nobody left word of is missed"


def case_todays_collected_file_is_left(audit):
    audit.generate(300, 1)
    now = datetime.now(timezone.utc)
    collect(audit)
    old = read(audit.files()[0])
    for back, name in ((0, "today"), (1, "yesterday")):
        day = (now - timedelta(days=back)).strftime("%Y-%m-%d")
        path = os.path.join(audit.logs, f"{day}.jsonl")
        write(path, old)
        os.utime(path, (0, 0))
        audit.run("prune", "--keep", "1s", "--compress-after", "1s", status=None)
        assert os.path.exists(path), name


def case_prune_keeps_collected_files_that_do_not_verify(audit):
    audit.generate(300, 1, 300)
    collect(audit)
    victim = audit.files()[0]
    stat = os.stat(victim)
    write(victim, read(victim).replace(b"condor_starter", b"condor_Starter", 1))
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    told = audit.run("prune", "--compress-after", "900d", status=1)
    assert os.path.exists(victim) and "does not verify" in told and "1 kept" in told, told
    assert any(f[:2] == ("fault", os.path.basename(victim)) for f in faults(audit))


def case_prune_killed_at_every_step(audit):
    """SIGKILL instead of the first, the second, ... system call that changes something; the next run ends the work."""
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    two_logs_a_worker(audit, 200)
    whole = os.path.join(audit.top, "whole")
    shutil.copytree(audit.logs, whole)
    held = {r["event"]["hash"] for r in audit.records()}
    for call in ("unlink", "unlinkat", "renameat", "fdatasync", "write"):
        for number in range(1, 500):
            shutil.rmtree(audit.logs)
            shutil.copytree(whole, audit.logs)
            prune = [audit.tool, "prune", "--from", audit.logs, "--keep", "202d"]
            done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}",
                                   *prune], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=audit.env, check=False)
            assert [f for f in faults(audit) if f[0] == "fault"] == [], f"{call} {number}"
            audit.run("prune", "--keep", "202d")
            assert [f for f in faults(audit) if f[0] == "fault"] == [], f"{call} {number}, and gone on"
            left = {r["event"]["hash"] for r in audit.records()}
            gone = {r["event"]["hash"] for p in collected_days(whole) if not os.path.exists(p.replace(whole, audit.logs)) and
                    not os.path.exists(p.replace(whole, audit.logs) + ".zst") for r in audit.records_of(p)}
            assert gone and held - left <= gone, f"{call} {number}: records are gone with no file"
            if done.returncode != -signal.SIGKILL:
                break
        assert number > 1 or call == "unlinkat", f"{call}: never"


def collected_days(top):
    return [os.path.join(at, name) for at, _, names in os.walk(top) for name in names if name.endswith(".jsonl")]


def case_compressing_writes_over_nothing(audit):
    audit.generate(1000, 1, 100)
    rotated = audit.files()[0]
    write(rotated + ".zst", b"somebody else's")
    told = audit.run("prune", "--keep", "900d", status=1)
    assert os.path.exists(rotated) and read(rotated + ".zst") == b"somebody else's" and "another file" in told, told
    os.unlink(rotated + ".zst")
    plain = read(rotated)
    audit.run("prune", "--keep", "900d")
    write(rotated, plain)
    audit.run("prune", "--keep", "900d", "--compress-after", "0s")
    assert not os.path.exists(rotated) and faults(audit) == [], "what an interrupted run left is finished"


def case_prune_tells_of_logs_that_are_never_rotated(audit):
    audit.generate(300, 1, 300)
    rotated = [p for p in audit.files() if not p.endswith(".jsonl")]
    for path in rotated:
        os.unlink(path)
    told = audit.run("prune")
    assert "1 file that is still written to holds records older than --keep" in told and "audit.rotate.age" in told, told


def case_somebody_elses_pruned_log_stops_nobody(audit):
    """Everybody may make files in a log directory, also one of this name."""
    audit.generate(1000, 1, 200)
    for path in audit.files():
        os.rename(path, os.path.join(audit.logs, os.path.basename(path)))
    os.rmdir(os.path.join(audit.logs, "wn000"))
    stranger = os.path.join(audit.logs, "pruned.jsonl")
    write(stranger, b"")
    os.chown(stranger, 65534, 65534)
    before = audit.files()
    told = audit.run("prune", "--keep", "202d")
    assert "deleted" in told and len(audit.files()) < len(before) and read(stranger) == b"", told
    assert faults(audit) == [], "the word is in root's own log"
