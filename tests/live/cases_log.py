# SPDX-License-Identifier: Apache-2.0
"""The log file over time: rotation, a full disk, a name that somebody else took."""
import json
import os
import subprocess
import sys

from box import ended, refused, require
from cases_sinks import box, fresh, lines, logs, policy

STRANGER = 2999


def files(directory):
    return sorted(name for name in os.listdir(directory) if not name.startswith("."))


def verified(live, directory):
    ended(live.run("audit", "verify", "--from", directory, env={**live.env, "HOME": "/"}) if live.caller.is_root else subprocess.run(
        [live.nestbox, "audit", "verify", "--from", directory], capture_output=True, text=True, check=False), 0, "all fit")


def up(live, at):
    """A box that runs until it is ended; its start record is in the log."""
    running = live.start("exec", "--policy", at, live.image, "sh", "-c", "echo up; exec sleep 1000")
    require(running.stdout.readline() == b"up\n", "the box did not start")
    return running


def case_rotation_by_size(live):
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}], rotate={"size": "64KiB"})
    ids = set()
    for n in range(8):
        ended(box(live, at, *[f"{n}" + "x" * 1000] * 9), 0)
    names = files(directory)
    require(len(names) >= 2, f"not rotated: {names}")
    for name in names:
        require(os.path.getsize(os.path.join(directory, name)) <= 65536, name)
        with open(os.path.join(directory, name), encoding="utf-8") as stream:
            ids |= {(r["nestbox"].get("id"), r["event"]["action"]) for r in map(json.loads, stream)}
    require(sum(action == "sandbox-start" for _, action in ids) == 8 == sum(action == "sandbox-end" for _, action in ids), str(ids))
    verified(live, directory)
    require(not [name for name in os.listdir(directory) if name.startswith(".") and name.endswith(".new")], str(os.listdir(directory)))


def case_anchors_name_the_host(live):
    """Collected with others' records, what the log itself adds still says of which worker it is."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}])
    ended(box(live, at), 0)
    with open(os.path.join(directory, own_name(live)), "ab") as stream:
        stream.write(b'{"torn')
    ended(box(live, at), 0)
    with open(os.path.join(directory, own_name(live)), encoding="utf-8") as stream:
        found = [json.loads(line) for line in stream if line.endswith("}\n")]
    anchor = [one for one in found if one["event"]["action"] == "chain-anchor"][0]
    want = {name: value for name, value in found[0]["host"].items() if name != "pid_ns_ino"}
    require(anchor["nestbox"]["chain"]["reason"] == "torn-tail" and anchor["host"] == want, f"{anchor} {found[0]['host']}")


def case_rotation_while_a_box_runs(live):
    """Its end record goes into the file that is the log by then."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}], rotate={"size": "64KiB"})
    running = up(live, at)
    for _ in range(8):
        ended(box(live, at, *["x" * 1000] * 9), 0)
    running.terminate()
    running.communicate(timeout=60)
    require(len(files(directory)) >= 2 and json.loads(lines(directory, live)[-1])["event"]["action"] == "sandbox-end", str(files(directory)))
    verified(live, directory)


def case_rotation_without_the_right_to(live):
    """The directory takes no new files: the log goes on in the old one, and no job is lost by it."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}], rotate={"size": "64KiB"})
    ended(box(live, at, *["x" * 1000] * 9), 0)
    os.chmod(directory, 0o555)
    if live.caller.is_root:
        subprocess.run(["chattr", "+i", directory], check=True)
    try:
        for _ in range(8):
            ended(box(live, at, *["x" * 1000] * 9), 0)
    finally:
        subprocess.run(["chattr", "-i", directory], check=False, capture_output=True)
        os.chmod(directory, 0o1733)
    require(len(files(directory)) == 1 and len(lines(directory, live)) == 18, f"{files(directory)} {len(lines(directory, live))}")
    verified(live, directory)


def case_a_full_disk(live):
    """Starts are refused, in time and with who must act; the box that runs still leaves its end record."""
    directory = logs(live)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=1733", "none", directory], check=True)
    try:
        at = policy(live, [{"type": "file", "path": directory}])
        running = up(live, at)
        with open(os.path.join(directory, "filler"), "wb") as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
                    filler.flush()
            except OSError:
                pass
        done = None
        for _ in range(200):  # what is left of the reserve is used up by starts first
            done = live.run("exec", "--policy", at, live.image, "sh", "-c", "echo RAN", *["x" * 1000] * 10)
            if done.returncode != 0:
                break
        refused(done, "the site must free disk space", "audit log")
        running.terminate()
        running.communicate(timeout=60)
        require(json.loads(lines(directory, live)[-1])["event"]["action"] == "sandbox-end", "no end record of the box that ran")
        started = {json.loads(line)["nestbox"]["id"] for line in lines(directory, live) if b'"sandbox-start"' in line}
        over = {json.loads(line)["nestbox"]["id"] for line in lines(directory, live) if b'"sandbox-end"' in line}
        require(started == over, f"{started ^ over}")
        verified(live, directory)
        os.unlink(os.path.join(directory, "filler"))
        ended(box(live, at), 0)
    finally:
        subprocess.run(["umount", directory], check=True)


def stranger(script, directory, *args):
    subprocess.run(["setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups", "sh", "-c", script, "sh", directory, *args],
                   check=True)


def own_name(live):
    return f"audit-{0 if live.caller.is_root else live.caller.payload_uid}.jsonl"


TAKEN = {
    "a file": ': > "$1/$2"',
    "a file that all may write": ': > "$1/$2"; chmod 0666 "$1/$2"',
    "a directory": 'mkdir "$1/$2"; chmod 777 "$1/$2"',
    "a link": 'ln -s "$1/elsewhere" "$1/$2"',
    "a fifo": 'mkfifo -m 0666 "$1/$2"',
}


def case_a_name_that_somebody_took(live):
    """The attack: another uid makes the file that this one's records go to. No job is refused, none is recorded there."""
    for what, script in TAKEN.items():
        directory = logs(live)
        at = policy(live, [{"type": "file", "path": directory}])
        stranger(script, directory, own_name(live))
        for _ in range(2):
            ended(box(live, at), 0)
        own = [name for name in files(directory) if name != own_name(live)]
        require(len(own) == 2, f"{what}: {files(directory)}")
        for name in own:
            path = os.path.join(directory, name)
            require(os.stat(path).st_uid != STRANGER and os.stat(path).st_mode & 0o077 == 0o040, name)
            with open(path, encoding="utf-8") as stream:
                found = [record for record in map(json.loads, stream) if record["event"]["action"].startswith("sandbox-")]
            require(name == f"{own_name(live)[:-6]}.{found[0]['nestbox']['id']}.jsonl" and len(found) == 2, f"{what}: {name}")
            require(all(f"uid {STRANGER} has taken the name" in record["nestbox"]["audit"]["note"] for record in found), str(found))
        taken = os.path.join(directory, own_name(live))
        require(not os.path.isfile(taken) or os.path.getsize(taken) == 0, f"{what}: a record went into a stranger's file")


def case_a_log_that_somebody_filled(live):
    """The attack: a process of the same uid, outside of any box, writes what is no record to the log's end. No job is refused."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}])
    ended(box(live, at), 0)
    with open(os.path.join(directory, own_name(live)), "ab") as stream:
        stream.write(b"no record\n" * 30000)
    for _ in range(2):
        ended(box(live, at), 0)
    own = [name for name in files(directory) if name != own_name(live)]
    require(len(own) == 2, str(files(directory)))
    for name in own:
        with open(os.path.join(directory, name), encoding="utf-8") as stream:
            found = [json.loads(line) for line in stream]
        require([one["event"]["action"] for one in found][-2:] == ["sandbox-start", "sandbox-end"], str(found))
        require("holds no record" in found[-1]["nestbox"]["audit"]["note"], str(found[-1]))
    done = subprocess.run([live.nestbox, "audit", "verify", "--from", directory], capture_output=True, text=True, check=False)
    ended(done, 1, own_name(live) + ":")


def case_a_name_of_rotation_that_somebody_took(live):
    """Nor does a guess at the name that the next file has for a moment stop it."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}], rotate={"size": "64KiB"})
    stranger(': > "$1/.$2.new"', directory, own_name(live))
    for _ in range(8):
        ended(box(live, at, *["x" * 1000] * 9), 0)
    require(len(files(directory)) >= 2, str(files(directory)))
    verified(live, directory)


def case_a_link_to_another_file(live):
    """A second name of a file of ours must not make records go into it (protected_hardlinks off, or a file all may write)."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}])
    precious = os.path.join(fresh(live), "precious")
    with open(precious, "w", encoding="utf-8") as stream:
        stream.write("root:x:0:0\n")
    uid = 0 if live.caller.is_root else live.caller.payload_uid
    os.chown(precious, uid, uid)
    os.link(precious, os.path.join(directory, own_name(live)))
    ended(box(live, at), 0)
    with open(precious, encoding="utf-8") as stream:
        require(stream.read() == "root:x:0:0\n", "a record went into another file")


def case_a_lock_that_somebody_holds(live):
    """A process of the same uid, outside of any box, holds it: a start ends with a sentence that names the process, and runs no payload; a
    box that runs ends as ever, and the next one says that its end is missing."""
    directory = logs(live)
    at = policy(live, [{"type": "file", "path": directory}])
    running = up(live, at)
    holder = subprocess.Popen([*live.caller.prefix, sys.executable, "-c", HOLDER, os.path.join(directory, own_name(live))],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        require(holder.stdout.readline() == b"locked\n", "no lock")
        refused(box(live, at), own_name(live), f"process {holder.pid} ", "the site must end that process")
        running.terminate()
        running.communicate(timeout=60)
        require(running.returncode == -15, f"status {running.returncode}")
    finally:
        holder.communicate()
    ended(box(live, at), 0)
    actions = [json.loads(line)["event"]["action"] for line in lines(directory, live)]
    require(actions[0] == "sandbox-start" and sorted(actions[1:]) == ["sandbox-end", "sandbox-lost", "sandbox-start"], str(actions))
    verified(live, directory)


HOLDER = """
import fcntl, sys
with open(sys.argv[1], "rb") as stream:
    fcntl.flock(stream, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""
