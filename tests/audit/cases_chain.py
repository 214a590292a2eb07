# SPDX-License-Identifier: Apache-2.0
"""The chain: whatever is done to a log is named, and what a crash does is told apart from it."""
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time

from audit import ZEROS

LIVE = "audit-0.jsonl"


def live(audit):
    return os.path.join(audit.logs, LIVE)


def read(path):
    with open(path, "rb") as log:
        return log.read()


def write(path, data):
    with open(path, "wb") as log:
        log.write(data)


def faults(audit, *args):
    """What verify finds: (severity, file name, line)."""
    found = json.loads(audit.run("verify", "--json", *args, status=None))
    return [(f["severity"], os.path.basename(f["file"]), f["line"]) for f in found["findings"]]


def first_fault(audit):
    found = [f for f in faults(audit) if f[0] == "fault"]
    return found[0][1:] if found else None


def case_hashes_are_as_documented(audit):
    audit.write(1, 5)
    before, sequence = ZEROS, 0
    for line in read(live(audit)).decode().splitlines():
        record = json.loads(line)
        mark = line.index(',"hash":"')
        digest = hashlib.sha256(bytes.fromhex(before) + line[:mark].encode()).hexdigest()
        sequence += 1
        assert record["event"]["hash"] == digest and record["nestbox"]["prev_hash"] == before
        assert record["event"]["sequence"] == sequence and line.endswith(f',"hash":"{digest}"}}}}')
        before = digest


def case_every_flipped_byte_is_named(audit):
    audit.write(1, 4)
    data = read(live(audit))
    for at in range(len(data)):
        for bit in (1, 128):
            write(live(audit), data[:at] + bytes([data[at] ^ bit]) + data[at + 1:])
            line = data[:at].count(b"\n") + 1
            found = first_fault(audit)
            last_newline = at == len(data) - 1
            if last_newline:
                assert faults(audit), f"byte {at}: nothing said"
            else:
                assert found in ((LIVE, line), (LIVE, line + 1)) and (found[1] == line or data[at:at + 1] == b"\n"), \
                    f"byte {at} of line {line}: {found}"


def case_every_dropped_swapped_inserted_line_is_named(audit):
    audit.write(1, 12)
    lines = read(live(audit)).splitlines(keepends=True)
    for n in range(len(lines) - 1):
        write(live(audit), b"".join(lines[:n] + lines[n + 1:]))
        assert first_fault(audit) == (LIVE, n + 1), f"line {n + 1} dropped"
        write(live(audit), b"".join(lines[:n] + [lines[n + 1], lines[n]] + lines[n + 2:]))
        assert first_fault(audit) == (LIVE, n + 1), f"lines {n + 1} and {n + 2} swapped"
    for n in range(len(lines) + 1):
        for extra in (lines[n % len(lines)], b"{}\n", b"\n", b"not a record\n"):
            write(live(audit), b"".join(lines[:n] + [extra] + lines[n:]))
            found = first_fault(audit)
            assert found and found[0] == LIVE and found[1] in (n + 1, n + 2), f"{extra[:20]} inserted before {n + 1}: {found}"


def case_a_consistent_forgery_is_named(audit):
    """A record with a right hash of its own, put in the place of another."""
    audit.write(1, 6)
    lines = read(live(audit)).splitlines(keepends=True)
    text = lines[2][:lines[2].index(b',"hash":"')].replace(b'"0-2-', b'"6-6-')
    before = json.loads(lines[2])["nestbox"]["prev_hash"]
    digest = hashlib.sha256(bytes.fromhex(before) + text).hexdigest().encode()
    write(live(audit), b"".join(lines[:2] + [text + b',"hash":"' + digest + b'"}}\n'] + lines[3:]))
    assert first_fault(audit) == (LIVE, 4)


def case_torn_tails_are_notes(audit):
    audit.write(1, 3)
    data = read(live(audit))
    start = data[:-1].rindex(b"\n") + 1
    for cut in range(start + 1, len(data) - 1, 7):
        write(live(audit), data[:cut])
        assert faults(audit) == [("note", LIVE, 3)], f"cut at {cut}"
        audit.write(1, 1)
        assert faults(audit) == [("note", LIVE, 3)], f"cut at {cut} and gone on"
        after = read(live(audit))
        assert after.startswith(data[:cut] + b"\n") and b'"reason":"torn-tail"' in after, "what was torn stays as it was"
    write(live(audit), data[:-1])
    audit.write(1, 1)
    assert faults(audit) == [] and len(read(live(audit)).splitlines()) == 4, "only the newline was missing"


def case_a_damaged_tail_does_not_stop_writers_and_stays_named(audit):
    audit.write(1, 3)
    data = bytearray(read(live(audit)))
    data[-30] ^= 1
    write(live(audit), bytes(data))
    audit.write(1, 2)
    assert first_fault(audit) == (LIVE, 3)
    assert b'"reason":"damaged-tail"' in read(live(audit))


def case_many_writers_lose_nothing(audit):
    for processes in (8, 64):
        audit.write(processes, 40)
        ids = re.findall(rb'"nestbox":\{"id":"(\d+)-(\d+)-', read(live(audit)))
        assert len(ids) == len(set(ids)) == processes * 40
        for writer in range(processes):
            mine = [int(n) for w, n in ids if int(w) == writer]
            assert mine == sorted(mine), f"writer {writer} is out of order"
        assert faults(audit) == []
        os.unlink(live(audit))


def case_rotation_loses_nothing(audit):
    audit.write(16, 60, 60000)
    files = audit.files()
    assert len(files) > 3, files
    everything = b"".join(read(path) for path in files)
    ids = re.findall(rb'"nestbox":\{"id":"(\d+-\d+)-', everything)
    assert len(ids) == len(set(ids)) == 16 * 60
    assert faults(audit) == []
    os.unlink(files[1])
    assert first_fault(audit)[1] == 1, "a deleted file is missed"
    assert [f for f in faults(audit, "--partial") if f[0] == "fault"] == []


def case_killed_writers_leave_a_chain(audit):
    chance = random.Random(4)
    written = 0
    for _ in range(40):
        writers = audit.writers(4, 100000, 300000, start_new_session=True)
        time.sleep(chance.random() / 20)
        os.killpg(writers.pid, signal.SIGKILL)
        writers.communicate()
        files = {os.stat(p).st_ino: p for p in audit.files()}  # one may have two names in the middle of a rotation
        now = sum(read(p).count(b"\n") for p in files.values())
        assert now >= written, "records vanished"
        written = now
    audit.write(1, 1, 300000)
    assert [f for f in faults(audit) if f[0] == "fault"] == []
    assert written > 100


def case_prune_keeps_chains_verifiable(audit):
    audit.generate(6000, 2, 200)
    before = len(audit.files())
    assert "would be" in audit.run("prune", "--keep", "210d", "--dry-run") and len(audit.files()) == before
    told = audit.run("prune", "--keep", "210d")
    after = audit.files()
    assert 0 < len(after) < before and "deleted" in told, told
    assert any(p.endswith("pruned.jsonl") for p in after) and any(p.endswith(".zst") for p in after)
    assert faults(audit) == [], "what remains verifies"
    packed = [p for p in after if p.endswith(".zst")][-1]
    data = bytearray(read(packed))
    data[len(data) // 2] ^= 4
    write(packed, bytes(data))
    assert first_fault(audit)[0] == os.path.basename(packed)


def case_prune_keeps_what_does_not_verify(audit):
    audit.generate(2000, 1, 300)
    victim = audit.files()[0]
    stat = os.stat(victim)
    data = read(victim)
    write(victim, data.replace(b"condor_starter", b"condor_Starter", 1))
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    told = audit.run("prune", "--keep", "180d", "--compress-after", "900d", status=1)
    assert os.path.exists(victim) and "does not verify" in told


def case_an_open_rotated_log_is_not_compressed(audit):
    audit.generate(2000, 1, 100)
    rotated = audit.files()[0]
    with open(rotated, "rb") as log:
        plain = log.read()
        audit.run("prune")
        assert os.path.exists(rotated), "compressed under a writer's feet"
    audit.run("prune")
    assert not os.path.exists(rotated) and os.path.exists(rotated + ".zst")
    text = subprocess.run(["zstd", "-dcq", rotated + ".zst"], check=True, stdout=subprocess.PIPE).stdout
    assert plain and text == plain and faults(audit) == []


def case_a_full_disk_refuses_starts_and_loses_nothing(audit):
    """A file system of 2 MiB: starts are refused while ends still fit, and the log stays whole."""
    mounted = subprocess.run(["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=2M none {audit.logs} && "
                              f"{audit.build_writers()} {audit.logs} 1 100000; cp {audit.logs}/* {audit.top}/"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert "No space left on device" in mounted.stderr and "free disk space" in mounted.stderr, mounted.stderr
    data = read(os.path.join(audit.top, LIVE))
    write(live(audit), data)
    assert faults(audit) == [] and data.count(b"\n") > 100
    assert data.splitlines()[-1].count(b"sandbox-end") == 1, "the refused record is a start"


def case_a_locked_log_is_named(audit):
    audit.write(1, 1)
    holder = subprocess.Popen(["flock", live(audit), "sleep", "30"])
    try:
        time.sleep(0.2)
        writers = audit.writers(1, 1)
        time.sleep(0.3)
        assert writers.poll() is None, "waits for the lock"
        writers.kill()
        writers.communicate()
    finally:
        holder.kill()
        holder.wait()
