# SPDX-License-Identifier: Apache-2.0
"""The index: whatever happens to it or to the logs, the answers are those of reading everything."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

from audit import Skip, expect, hashes, stories

INDEX = ".nestbox-index"


def index(audit):
    return os.path.join(audit.logs, INDEX)


def same_answers(audit, what, sample=6):
    """Some boxes, an owner and an image, by index and by reading."""
    told = stories(audit.records())
    chance = random.Random(len(told))
    for box in chance.sample(sorted(told), min(sample, len(told))):
        first = told[box][0]
        expect(audit.ids("--id", box), {box: hashes(told[box])}, f"{what}: box")
        job = first["condor"]["global_job_id"]
        expect(audit.ids("--job", job), {box: hashes(told[box])}, f"{what}: job")
        for option, value, of in (("--owner", first["condor"]["owner"], lambda r: r["condor"]["owner"]),
                                  ("--image", first["container"]["image"]["name"],
                                   lambda r: r["container"]["image"]["name"])):
            want = {b: hashes(s) for b, s in told.items() if of(s[0]) == value}
            expect(audit.ids(option, value), want, f"{what}: {option}")


def append(audit, path, records):
    """Lines of one log become the next lines of another: the index does not look at the chain."""
    with open(path, "ab") as out:
        out.write(b"".join(records))


def lines_of(path):
    with open(path, "rb") as log:
        return log.readlines()


def case_catches_up(audit):
    audit.generate(2000, 2)
    held = {}
    for path in audit.files():
        if path.endswith(".jsonl"):
            held[path] = lines_of(path)
            with open(path, "wb") as out:
                out.writelines(held[path][:20])
    audit.run("index")
    for at in range(20, 60, 10):
        for path, lines in held.items():
            append(audit, path, lines[at:at + 10])
        same_answers(audit, f"at line {at}", 2)
    torn = held[path][60]
    append(audit, path, [torn[:50]])
    same_answers(audit, "a torn line", 2)
    append(audit, path, [torn[50:], *held[path][61:]])
    same_answers(audit, "the rest of it", 2)


def case_follows_rotation_compression_and_moves(audit):
    audit.generate(2000, 2)
    audit.run("index")
    before = os.stat(index(audit)).st_size
    for path in audit.files():
        if path.endswith(".jsonl"):
            os.rename(path, path + ".20991231T000000.000000000Z")
            with open(path, "wb") as out:
                out.write(b"")
    same_answers(audit, "rotated")
    subprocess.run(["zstd", "-q", "--rm", *[p for p in audit.files() if not p.endswith("l")]], check=True)
    same_answers(audit, "compressed")
    os.rename(os.path.join(audit.logs, "wn000"), os.path.join(audit.logs, "elsewhere"))
    same_answers(audit, "moved")
    assert os.stat(index(audit)).st_size < before * 1.5, "recognised, not taken in again"


def dump(audit):
    """All that the index says, but for the order of its pages."""
    return subprocess.run(["sqlite3", index(audit), ".dump"], check=True, stdout=subprocess.PIPE).stdout


def case_several_threads_say_what_one_says(audit):
    audit.generate(8000, 3)
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("one processor: nothing is done side by side")
    audit.run("index")
    told = dump(audit)
    one = min(os.sched_getaffinity(0))
    subprocess.run(["taskset", "-c", str(one), audit.tool, "index", "--rebuild", "--from", audit.logs], check=True,
                   env=audit.env, stdout=subprocess.DEVNULL)
    assert len(told) > 100000 and dump(audit) == told
    same_answers(audit, "side by side", 2)
    told = stories(audit.records())
    host = told[min(told)][0]["host"]["name"]
    expect(audit.ids("--host", host), {b: hashes(s) for b, s in told.items() if s[0]["host"]["name"] == host}, "a long answer")
    # A file that can't be read to its end, among others that are.
    path = audit.files()[0]
    subprocess.run(["zstd", "-q", "--rm", path], check=True)
    os.truncate(path + ".zst", os.path.getsize(path + ".zst") - 100)
    audit.run("index", "--rebuild", status=125)
    assert path in audit.said, audit.said


def unsettled(audit):
    """The files whose state every search asks for."""
    out = subprocess.run(["sqlite3", index(audit), "SELECT path FROM file WHERE settled = 0 ORDER BY path"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return out.split()


def case_a_rotated_file_may_grow_while_a_box_lives_that_began_in_it(audit):
    audit.generate(2000, 2)
    rotated = [path for path in audit.files() if ".jsonl." in path]
    lines = lines_of(rotated[0])
    told = [json.loads(line) for line in lines]
    began = {r["nestbox"]["id"] for r in told if r["event"]["action"] == "sandbox-start"}
    last = max(n for n, r in enumerate(told) if r["event"]["action"] == "sandbox-end" and r["nestbox"]["id"] in began)
    box = told[last]["nestbox"]["id"]
    with open(rotated[0], "wb") as out:
        out.writelines(lines[:last])
    for path in rotated:
        os.utime(path, times=(time.time() - 7200,) * 2)
    audit.run("index")
    ended = {r["nestbox"]["id"] for r in audit.records() if r["event"]["action"] == "sandbox-end"}
    quiet = [path for path in rotated[1:]
             if all(r["nestbox"]["id"] in ended for r in audit.records_of(path) if r["event"]["action"] == "sandbox-start")]
    kept = unsettled(audit)
    assert os.path.relpath(rotated[0], audit.logs) in kept, kept
    assert quiet and not {os.path.relpath(path, audit.logs) for path in quiet} & set(kept), kept
    append(audit, rotated[0], lines[last:])
    assert "sandbox-end" in audit.run("find", "--id", box, "--jsonl")
    # A name that is not a rotated file's any more is a live log's again.
    os.rename(quiet[0], quiet[0].split(".jsonl.")[0] + "-again.jsonl")
    same_answers(audit, "renamed", 2)
    assert any(path.endswith("-again.jsonl") for path in unsettled(audit))


def case_a_log_servers_file_of_a_day_is_settled_after_two(audit):
    audit.generate(2000, 2)
    for n, path in enumerate(audit.files()):
        os.rename(path, os.path.join(os.path.dirname(path), f"2026-11-{10 + n}.jsonl"))
    old, new = audit.files()[0], audit.files()[1]
    os.utime(old, times=(time.time() - 3 * 86400,) * 2)
    os.utime(new, times=(time.time() - 1 * 86400,) * 2)
    audit.run("index")
    assert os.path.relpath(old, audit.logs) not in unsettled(audit)
    assert os.path.relpath(new, audit.logs) in unsettled(audit)
    os.unlink(new)
    append(audit, old, lines_of(audit.files()[2])[-2:])
    same_answers(audit, "late records, seen when the directory changed", 2)


def case_notices_rewritten_and_deleted_logs(audit):
    audit.generate(2000, 2)
    audit.run("index")
    first, second = audit.files()[0], audit.files()[1]
    shutil.copy(second, first)
    same_answers(audit, "one log over another")
    os.unlink(second)
    same_answers(audit, "one log gone")
    lines = lines_of(first)
    with open(first, "wb") as out:
        out.writelines(lines[: len(lines) // 2])
    same_answers(audit, "a log cut short")


def case_damaged_index(audit):
    audit.generate(2000, 2)
    audit.run("index")
    with open(index(audit), "rb") as whole:
        data = whole.read()
    chance = random.Random(9)
    for damage in (data[: len(data) // 2], b"no database" * 1000, b"", data[:4096] + os.urandom(4096) + data[8192:]):
        with open(index(audit), "wb") as out:
            out.write(damage)
        told = stories(audit.records())
        box = chance.choice(sorted(told))
        found = audit.ids("--id", box)
        if found != {box: hashes(told[box])}:
            raise AssertionError(f"a damaged index of {len(damage)} bytes answered {found}")
        audit.run("index", "--rebuild")
    same_answers(audit, "rebuilt")


def case_killed_at_any_instant(audit):
    audit.generate(20000, 2)
    chance = random.Random(11)
    began = time.monotonic()
    audit.run("index")
    whole = time.monotonic() - began
    for _ in range(15):
        if chance.random() < 0.5 and os.path.exists(index(audit)):
            os.unlink(index(audit))
        victim = subprocess.Popen([audit.tool, "index", "--from", audit.logs], stdout=subprocess.DEVNULL, env=audit.env)
        time.sleep(chance.random() * whole)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        same_answers(audit, "after SIGKILL", 1)


def case_killed_at_every_write(audit):
    """SIGKILL instead of the first, the second, ... system call that changes the index, when it is made and when it grows."""
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    audit.generate(1200, 2)
    live = [p for p in audit.files() if p.endswith(".jsonl")]
    held = {p: lines_of(p) for p in live}
    for grown in (False, True):
        for call in ("pwrite64", "fdatasync", "ftruncate"):
            for number in range(1, 400):
                for path in live:
                    with open(path, "wb") as out:
                        out.writelines(held[path][:20] if grown else held[path])
                if grown:
                    audit.run("index", "--rebuild")
                    for path in live:
                        append(audit, path, held[path][20:])
                elif os.path.exists(index(audit)):
                    os.unlink(index(audit))
                done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                       f"inject={call}:signal=KILL:when={number}", audit.tool, "index", "--from", audit.logs],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=audit.env, check=False)
                if done.returncode == 0:
                    break
                same_answers(audit, f"killed at {call} {number}", 1)
            assert 1 < number < 399, f"{call}: {number} instants"


def case_many_searches_at_once(audit):
    audit.generate(20000, 2)
    told = stories(audit.records())
    boxes = sorted(told)[:12]
    searches = [subprocess.Popen([audit.tool, "find", "--from", audit.logs, "--id", box, "--jsonl"], env=audit.env,
                                 stdout=subprocess.PIPE) for box in boxes]
    for box, search in zip(boxes, searches):
        out, _ = search.communicate(timeout=120)
        assert search.returncode == 0 and out.count(b"\n") == len(told[box]), f"{box}: {out[:200]}"


def case_without_leave_to_write(audit):
    """As nobody: the index is read, new lines are scanned; without an index everything is."""
    audit.generate(20000, 2)
    held = {}
    for path in audit.files():
        if path.endswith(".jsonl"):
            held[path] = lines_of(path)
            with open(path, "wb") as out:
                out.writelines(held[path][:20])
    audit.run("index")
    os.chmod(audit.top, 0o755)
    subprocess.run(["chmod", "-R", "go+rX", audit.logs], check=True)
    os.chmod(index(audit), 0o644)
    for path, lines in held.items():
        append(audit, path, lines[20:40])
    told = stories(audit.records())
    boxes = [b for b, s in told.items() if len(s) == 2][-3:]
    state = os.stat(index(audit))
    for indexed in (True, False):
        for box in boxes:
            done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", audit.reachable(), "find",
                                   "--from", audit.logs, "--id", box, "--jsonl"], env={"HOME": "/nonexistent"},
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            assert done.returncode == 0 and done.stdout.count(b"\n") == len(told[box]), done.stderr
        if indexed:
            after = os.stat(index(audit))
            assert (state.st_mtime_ns, state.st_size) == (after.st_mtime_ns, after.st_size), "nobody wrote to it"
            os.unlink(index(audit))


def case_an_index_by_somebody_else_is_not_believed(audit):
    audit.generate(20000, 2)
    audit.run("index")
    os.chown(index(audit), 65534, 65534)
    for mode in (0o644, 0o666):
        os.chmod(index(audit), mode)
        told = stories(audit.records())
        box = sorted(told)[0]
        subprocess.run(["sqlite3", index(audit), "DELETE FROM blk"], check=True)
        assert set(audit.ids("--id", box)) == {box}, "the records that it hides are found"


def case_small_logs_get_none(audit):
    audit.generate(400, 2)
    told = stories(audit.records())
    box = sorted(told)[0]
    assert set(audit.ids("--id", box)) == {box}
    assert not os.path.exists(index(audit)) and not os.listdir(audit.env["XDG_CACHE_HOME"])


def case_cache_directory(audit):
    """Logs in a directory that others may write to: the index goes elsewhere."""
    audit.generate(20000, 2)
    os.chmod(audit.logs, 0o1777)
    same_answers(audit, "cache", 2)
    assert not os.path.exists(index(audit))
    assert os.listdir(os.path.join(audit.env["XDG_CACHE_HOME"], "nestbox"))


def case_two_roots(audit):
    audit.generate(2000, 2)
    told = stories(audit.records())
    one, two = (os.path.join(audit.logs, d) for d in ("wn000", "wn001"))
    for box in sorted(told)[:4]:
        out = audit.run("find", "--from", one, "--from", two, "--from", two, "--id", box, "--jsonl", where=False)
        assert out.count("\n") == len(told[box]), "each record once, from whichever root"
