# SPDX-License-Identifier: Apache-2.0
"""`nestbox ps` and `nestbox kill`: the boxes that run, and their end."""
import glob
import json
import os
import signal
import subprocess
import sys
import time

from box import Skip, ended, refused, require
from cases_limits import Delegated
from cases_record import log_of, parsed

# Where the site made the directory, and where an ordinary user makes his own.
PLACES = "/run/nestbox/boxes/*/", "/tmp/nestbox-*/"

LOCKER = """
import fcntl, sys
with open(sys.argv[1], "r+") as stream:
    fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked", flush=True)
    sys.stdin.read()
"""


def listed(live, box=None):
    done = live.run("ps", "--json")
    ended(done, 0)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if box in (None, line.get("keeper_pid"))]


def started(live, script, *options, **how):
    process = live.start("exec", *options, live.image, "sh", "-c", script, **how)
    require(process.stdout.readline() == b"up\n", "no start")
    for _ in range(200):  # the keeper writes its file after the payload has started
        found = listed(live, process.pid)
        if found:
            return process, found[0]
        time.sleep(0.02)
    raise AssertionError(f"not listed: {listed(live)} {files(live)}")


def files(live):
    uid = 0 if live.caller.is_root else live.caller.payload_uid
    return [f for place in PLACES for f in glob.glob(place + "*") if os.stat(f).st_uid == uid]


def asked(live, box):
    return [r for r in parsed(log_of(live)) if r["nestbox"].get("id") == box]


def case_listed_with_use_and_limit(live):
    with Delegated(live):
        process, box = started(live, "echo up; exec sleep 60", "--memory", "64MiB", "--pids-limit", "20")
        require((box["memory_limit_bytes"], box["pids_limit"], box["state"]) == (64 << 20, 20, "running"), str(box))
        require(box["pids"] == 2 and 0 < box["memory_bytes"] < 64 << 20, str(box))
        require(box["uid"] == live.caller.payload_uid, str(box))
        require(box["memory_anon_bytes"] < box["memory_bytes"], str(box))
        text = live.run("ps")
        require(text.stdout.startswith("ID ") and box["id"] in text.stdout and " 64M " in text.stdout, text.stdout)
        process.terminate()
        process.wait()
    require(not listed(live, process.pid), "listed after its end")
    require(not [f for f in files(live) if box["id"] in f], "its file is left")


def case_cpu_is_told(live):
    """Whatever the hierarchies: of a process that runs, and of those that it has waited for."""
    burn = "end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do :; done"
    with Delegated(live):
        process = live.start("exec", "--memory", "64MiB", "/", "sh", "-c", f"(sh -c '{burn}'); echo up; while :; do :; done")
        require(process.stdout.readline() == b"up\n", "no start")
        first = listed(live, process.pid)[0]["cpu_ns"]
        time.sleep(1)
        second = listed(live, process.pid)[0]["cpu_ns"]
        process.terminate()
        process.wait()
    require(100_000_000 < first < second < first + 1_500_000_000, f"{first} ns, {second} a second later")


def case_memory_of_files_is_told_apart(live):
    """Pages of a file that was read are memory in use, but nothing that the payload needs; what is in a tmpfs is."""
    size = 20 << 20
    with Delegated(live):
        for target, least, most in (("/dev/null", 0, 5 << 20), ("/tmp/f", size, 2 * size)):
            with open(live.image + "/big", "wb") as stream:
                stream.write(bytes(size))
                stream.flush()
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # who reads it now is charged for it
            process, _ = started(live, f"cat /big >{target}; echo up; exec sleep 60", "--memory", "64MiB")
            deadline = time.monotonic() + 20  # the kernel adds memory.stat up from time to time
            while (box := listed(live, process.pid)[0])["memory_anon_bytes"] < least and time.monotonic() < deadline:
                time.sleep(0.2)
            process.terminate()
            process.wait()
            os.unlink(live.image + "/big")
            require(least <= box["memory_anon_bytes"] <= most and box["memory_bytes"] >= size, f"{target}: {box}")


def case_kill_stops(live):
    process, box = started(live, "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done")
    ended(live.run("kill", box["id"]), 0)
    require(process.wait() == 7 and process.stdout.read() == b"bye\n", f"{process.returncode}")
    actions = {r["event"]["action"]: r for r in asked(live, box["id"])}
    require("uid 0" in actions["sandbox-kill"]["nestbox"]["exit"]["message"] or not live.caller.is_root, str(actions))
    require(actions["sandbox-end"]["nestbox"]["exit"]["reason"] == "administrator", str(actions))


def case_kill_takes_what_ignores_it(live):
    process, box = started(live, "trap '' TERM; (trap '' TERM; sleep 60 & sleep 60) & echo up; while :; do sleep 0.1; done")
    ended(live.run("kill", "--grace", "300ms", box["id"][:30]), 0)
    require(process.wait() == -signal.SIGKILL, f"{process.returncode}")
    require(asked(live, box["id"])[-1]["nestbox"]["exit"]["kind"] == "signal", str(asked(live, box["id"])))


def case_kill_of_a_frozen_box(live):
    """Suspended as HTCondor does it on cgroup v1, keeper and all: no signal is taken before it thaws, not even SIGKILL."""
    freezer = f"/sys/fs/cgroup/freezer/nestbox-test-{os.getpid()}"
    if not os.path.isdir(os.path.dirname(freezer)):
        raise Skip("no cgroup v1 freezer")
    process, box = started(live, "echo up; exec sleep 60")
    os.mkdir(freezer)
    try:
        os.chown(freezer + "/freezer.state", 0 if live.caller.is_root else live.caller.payload_uid, -1)
        for pid in (process.pid, box["init_pid"], *children(box["init_pid"])):
            write(freezer + "/cgroup.procs", pid)
        write(freezer + "/freezer.state", "FROZEN")
        while "FROZEN" not in open(freezer + "/freezer.state", encoding="ascii").read():
            time.sleep(0.02)
        ended(live.run("kill", "--grace", "100ms", box["id"]), 0)
        require(process.wait() == -signal.SIGKILL, f"{process.returncode}")
        require(asked(live, box["id"])[-1]["event"]["action"] == "sandbox-end", "the keeper wrote no end record")
    finally:
        write(freezer + "/freezer.state", "THAWED")
        for _ in range(200):
            try:
                os.rmdir(freezer)
                break
            except OSError:
                time.sleep(0.02)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
        return [int(word) for word in stream.read().split()]


def write(path, text):
    with open(path, "w", encoding="ascii") as stream:
        stream.write(str(text))


def case_kill_of_a_stopped_box(live):
    for grace in ("20s", "0"):
        process, box = started(live, "echo up; exec sleep 60")
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(box["init_pid"], signal.SIGSTOP)
        for _ in range(400):
            if [b["state"] for b in listed(live, process.pid)] == ["stopped"]:
                break
            time.sleep(0.02)
        else:
            raise AssertionError(str(listed(live)))
        ended(live.run("kill", box["id"], "--grace", grace), 0)
        require(process.wait() == (-signal.SIGKILL if grace == "0" else -signal.SIGTERM), f"{process.returncode}")


def case_double_forked_daemon_ends(live):
    process, box = started(live, "(setsid sh -c 'trap \"\" TERM HUP; sleep 61 & sleep 61' &) ; echo up; sleep 60")
    ended(live.run("kill", box["id"]), 0)
    require(process.wait() == -signal.SIGTERM, f"{process.returncode}")


def case_lost_keeper_is_recorded(live):
    process, box = started(live, "echo up; exec sleep 60")
    process.kill()
    process.wait()
    require(not listed(live, process.pid), "a box without a keeper is listed")
    _, other = started(live, "echo up; exec sleep 1")
    last = asked(live, box["id"])[-1]
    require((last["event"]["action"], last["nestbox"]["exit"]["kind"]) == ("sandbox-lost", "lost"), str(last))
    require(not [f for f in files(live) if box["id"] in f], "its file is left")
    live.run("kill", "--grace", "0", other["id"])
    for _ in range(10):  # the next starts take away what a killed keeper could not
        time.sleep(0.05)
        ended(live.sh("exit 0"), 0)


def case_unnamed_files_are_swept(live):
    """What a keeper left that was killed before its file had its name; not what one is making now."""
    process, box = started(live, "echo up; exec sleep 60")
    place = os.path.dirname([f for f in files(live) if box["id"] in f][0])
    names = [os.path.join(place, f"01a1fe00-0000-7000-8000-00000000000{n}.new") for n in (1, 2)]
    for name in names:
        with open(name, "w", encoding="utf-8") as stream:
            stream.write("{")
        os.chown(name, os.stat(place).st_uid, -1)
    os.utime(names[0], (time.time() - 3600,) * 2)
    ended(live.run("kill", "--grace", "0", box["id"]), 0)
    process.wait()
    _, other = started(live, "echo up; exec sleep 60")
    for _ in range(200):
        if not os.path.exists(names[0]):
            break
        time.sleep(0.02)
    require([os.path.exists(name) for name in names] == [False, True], f"{os.listdir(place)}")
    os.unlink(names[1])
    ended(live.run("kill", "--grace", "0", other["id"]), 0)


def case_forged_file_harms_nobody(live):
    """A file without its keeper's lock is no box, whatever process it names."""
    process, box = started(live, "echo up; exec sleep 60")
    victim = os.getpid()
    true = [f for f in files(live) if box["id"] in f][0]
    forged = os.path.join(os.path.dirname(true), "01a1fe00-0000-7000-8000-000000000000")
    with open(forged, "w", encoding="utf-8") as stream:
        stream.write(f'{{"schema_version":1,"id":"{box["id"]}","init":{victim},"keeper":{victim}}}\n')
    os.chown(forged, os.stat(true).st_uid, -1)
    refused(live.run("kill", "01a1fe00"), "no running box")
    os.unlink(forged)
    ended(live.run("kill", "--grace", "0", box["id"]), 0)
    process.wait()


def case_second_file_of_an_id_is_no_way_out(live):
    """Another process with a locked file of the same id: nothing is ended in place of the box, and it is said."""
    process, box = started(live, "echo up; exec sleep 60")
    true = [f for f in files(live) if box["id"] in f][0]
    uid = os.stat(true).st_uid
    place = "/run/nestbox/boxes/99999" if live.caller.is_root else f"/tmp/nestbox-{uid}"
    if os.path.dirname(true) == place:
        place = f"/run/nestbox/boxes/{uid}"
    os.makedirs(place, mode=0o700, exist_ok=True)
    os.chown(place, uid, -1)
    with open(os.path.join(place, box["id"]), "w", encoding="utf-8") as stream:
        os.chown(stream.name, uid, -1)
        json.dump({"schema_version": 1, "id": box["id"]}, stream)
    forger = subprocess.Popen([*live.caller.prefix, sys.executable, "-c", LOCKER, stream.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        require(forger.stdout.readline() == b"locked\n", "no lock")
        refused(live.run("kill", "--grace", "0", box["id"]), "two processes say that they keep box " + box["id"])
        require(process.poll() is None, "something was ended")
    finally:
        forger.communicate()
        os.unlink(stream.name)
    ended(live.run("kill", "--grace", "0", box["id"]), 0)
    process.wait()


def case_nothing_to_kill(live):
    refused(live.run("kill", "no-such-box"), "no running box", "nestbox ps")
    refused(live.run("kill"), "nestbox kill ID")
    refused(live.run("ps", "--colour"), "--colour")


def case_shared_pids_end_with_the_cgroup(live):
    """Without a pid namespace, a killed pid 1 takes nobody along: the cgroup tells who is left."""
    policy = live.path("shared.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "namespaces": {"proc": ["shared"]}}, stream)
    with Delegated(live):
        process, box = started(live, "(setsid sleep 4321 &); echo up; exec sleep 4321", "--policy", policy, "--pids-limit", "20")
        ended(live.run("kill", "--grace", "0", box["id"]), 0)
        require(process.wait() == -signal.SIGKILL, f"{process.returncode}")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                require(stream.read().split(b"\0")[:2] != [b"sleep", b"4321"], f"process {pid} is left")
        except (FileNotFoundError, ProcessLookupError):
            continue


def limit_in_force(box):
    for name in ("memory.max", "memory.limit_in_bytes"):
        if os.path.exists(f"{box['cgroup']}/{name}"):
            with open(f"{box['cgroup']}/{name}", encoding="ascii") as stream:
                return int(stream.read())
    return None


def case_many_at_once(live):
    """500 boxes with limits of their own: each is listed, each limit is in force, and nothing of them stays."""
    if live.caller.name == "root-without-sys-admin":
        return
    with Delegated(live):
        wanted = {}
        for n in range(500):
            options = ["--memory", f"{16 + n % 8}MiB", "--pids-limit", str(10 + n % 8)]
            process = live.start("exec", *options, live.image, "sh", "-c", "echo up; exec sleep 600")
            wanted[process.pid] = (process, (16 + n % 8) << 20, 10 + n % 8)
        for process, _, _ in wanted.values():
            require(process.stdout.readline() == b"up\n", f"no start: {process.poll()}")
        found = {}
        for _ in range(200):
            found = {box["keeper_pid"]: box for box in listed(live) if box.get("keeper_pid") in wanted}
            if len(found) == len(wanted):
                break
            time.sleep(0.05)
        wrong = [pid for pid, (_, memory, pids) in wanted.items()
                 if pid not in found or limit_in_force(found[pid]) != memory or found[pid]["pids_limit"] != pids]
        for process, _, _ in wanted.values():
            process.terminate()
        ends = {process.wait() for process, _, _ in wanted.values()}
    require(not wrong, f"{len(wrong)} of 500 are not listed or not limited as asked: {[found.get(pid) for pid in wrong][:3]}")
    require(ends == {-signal.SIGTERM}, f"ends {ends}")
