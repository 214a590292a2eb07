# SPDX-License-Identifier: Apache-2.0
"""Limits that the keeper itself watches: time, and what the scratch directory holds."""
import json
import os
import signal
import subprocess
import uuid

from box import ended, require
from cases_record import records

GRACE = {"kill_grace": "300ms"}


class Job:
    """A scratch directory and a policy of its own."""

    def __init__(self, live, more=None, **limits):
        self.live, self.mark = live, uuid.uuid4().hex
        self.scratch = live.path("scratch-" + self.mark)
        os.makedirs(self.scratch)
        os.chown(self.scratch, live.caller.payload_uid, live.caller.payload_uid)
        self.policy = live.path(f"policy-{self.mark}.json")
        with open(self.policy, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, **(more or {}), "limits": limits}, stream)

    def options(self):
        return ["--policy", self.policy, "--job-dir", self.scratch, "--pwd", self.scratch]

    def run(self, script, *options):
        done = self.live.run("exec", *self.options(), *options, "/", "/bin/bash", "-c", f": {self.mark}\n{script}")
        self.end()
        return done

    def records(self):
        return records(self.live, self.mark)

    def end(self):
        """Whatever modes and depths the payload left."""
        subprocess.run(["rm", "-rf", self.scratch], check=True)


def told(done, *words):
    lines = [line for line in done.stderr.splitlines() if line.startswith("nestbox: ")]
    require(len(lines) == 1, f"not one line: {done.stderr!r}")
    for word in words:
        require(word in lines[0], f"no {word!r} in {lines[0]!r}")


def recorded(job, reason, ends=True):
    """The hit when it came, and the reason at the end."""
    found = {r["event"]["action"]: r["nestbox"] for r in job.records()}
    require("limit-hit" in found, f"no limit-hit: {list(found)}")
    hit, end = found["limit-hit"]["limit"], found["sandbox-end"]["exit"]
    require((hit["kind"], hit["ends_payload"]) == (reason, ends), str(hit))
    require(end.get("reason", "") == (reason if ends else ""), str(end))
    return hit, end


def case_wall_time(live):
    job = Job(live, GRACE, wall_time="500ms")
    done = job.run("sleep 600")
    ended(done, -signal.SIGTERM)
    told(done, "0.5 s", "split the work")
    _, end = recorded(job, "wall-time")
    require(end["limit"] == 500000000, str(end))


def case_wall_time_of_a_deaf_payload(live):
    job = Job(live, GRACE, wall_time="300ms")
    done = job.run("trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & while :; do sleep 1; done")
    ended(done, -signal.SIGKILL)
    told(done, "longer than its limit")
    recorded(job, "wall-time")


def case_wall_time_is_the_reason_whatever_the_status(live):
    job = Job(live, {"kill_grace": "20s"}, wall_time="300ms")
    done = job.run("trap 'echo saved; exit 0' TERM; while :; do sleep 0.05; done")
    ended(done, 0, "saved")
    recorded(job, "wall-time")


def case_wall_time_is_not_reached(live):
    job = Job(live, wall_time="1h")
    ended(job.run("exit 3"), 3)
    require([r["event"]["action"] for r in job.records()] == ["sandbox-start", "sandbox-end"], "a limit was hit")


def case_disk(live):
    job = Job(live, GRACE, disk="4MiB", disk_interval="100ms")
    done = job.run("head -c 9000000 /dev/zero >data; sleep 600")
    ended(done, -signal.SIGTERM)
    told(done, "scratch directory held", "limit of 4 MiB")
    hit, end = recorded(job, "disk")
    require(hit["used"] > 4 << 20 and hit["value"] == end["limit"] == 4 << 20 and not hit["uncounted"], str(hit))


def case_disk_report_only(live):
    job = Job(live, disk="4MiB", disk_interval="100ms", disk_action="report")
    done = job.run("head -c 9000000 /dev/zero >data; sleep 3; echo ran on; exit 5")
    ended(done, 5, "ran on")
    require("nestbox:" not in done.stderr, done.stderr)
    recorded(job, "disk", ends=False)
    require(sum(r["event"]["action"] == "limit-hit" for r in job.records()) == 1, "more than one record of it")


def case_disk_is_counted_honestly(live):
    """Links count once, holes and other names of the same file not at all, what left is gone; nothing outside counts."""
    job = Job(live, GRACE, disk="20MiB", disk_interval="100ms")
    big = live.path("big-" + job.mark)
    with open(big, "wb") as stream:
        stream.write(bytes(40 << 20))
    done = job.run(f"head -c 9000000 /dev/zero >data; for i in $(seq 50); do ln data link$i; done; ln -s {big} away; ln -s / root; "
                   "truncate -s 10G hole; mkdir sub; mv data sub; sleep 3; echo alive")
    ended(done, 0, "alive")
    os.unlink(big)


def closed_directories(live, script):
    job = Job(live, GRACE, disk="4MiB", disk_interval="100ms")
    done = job.run(script + "; sleep 600")
    ended(done, -signal.SIGTERM)
    hit, _ = recorded(job, "disk")
    return hit


def case_disk_in_closed_directories(live):
    """A directory without any right, its owner's included, is counted."""
    hit = closed_directories(live, "mkdir -p a/b; head -c 9000000 /dev/zero >a/b/data; chmod 0 a/b a")
    require(not hit["uncounted"] and hit["used"] > 4 << 20, str(hit))


def case_disk_in_a_tree_too_deep(live):
    """What can't be counted is as good as too much."""
    dig = "import os\nfor _ in range(3000):\n  os.mkdir('d'); os.chdir('d')\nopen('data', 'wb').write(bytes(9000000))"
    hit = closed_directories(live, f"/usr/bin/python3 -c \"{dig}\"")
    require(hit["uncounted"], str(hit))


def case_disk_while_the_tree_moves(live):
    """Directories that are renamed and removed under the count."""
    stir = ("import os, signal\nfor n in range(200): os.makedirs(f'a/{n}/x')\nif os.fork() == 0:\n  while True:\n"
            "    for n in range(200):\n      os.rename(f'a/{n}', f'b{n}'); os.rmdir(f'b{n}/x'); os.mkdir(f'b{n}/x'); os.rename(f'b{n}', f'a/{n}')\n")
    hit = closed_directories(live, f"/usr/bin/python3 -c \"{stir}\"; head -c 9000000 /dev/zero >data")
    require(not hit["uncounted"], str(hit))


def case_disk_with_very_many_files(live):
    """A tree that takes long to count holds nobody up: the keeper passes signals on meanwhile."""
    job = Job(live, disk="1GiB", disk_interval="100ms")
    make = "import os\nfor d in range(100):\n  os.mkdir(str(d))\n  for f in range(1000): os.close(os.open(f'{d}/{f}', os.O_CREAT))"
    process = live.start("exec", *job.options(), "/", "/bin/bash", "-c", f": {job.mark}\ntrap 'exit 7' USR1; /usr/bin/python3 -c \"{make}\"; echo made; while :; do sleep 0.05; done")
    require(process.stdout.readline() == b"made\n", "no tree was made")
    os.kill(process.pid, signal.SIGUSR1)
    require(process.wait(30) == 7, f"{process.returncode}")
    job.end()


def case_disk_without_the_counter(live):
    """Somebody kills the process that counts: the limit can't be kept any more, so the payload ends."""
    job = Job(live, GRACE, disk="1GiB", disk_interval="1h")
    process = live.start("exec", *job.options(), "/", "/bin/bash", "-c", f": {job.mark}\necho up; exec sleep 600")
    require(process.stdout.readline() == b"up\n", "no start")
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as stream:
        children = [int(pid) for pid in stream.read().split()]
    require(len(children) == 2, f"children {children}")
    os.kill(children[0], signal.SIGKILL)
    require(process.wait(30) == -signal.SIGTERM, f"{process.returncode}")
    hit, _ = recorded(job, "disk")
    require(hit["uncounted"], str(hit))
    job.end()


def case_disk_needs_a_directory(live):
    """Without a scratch directory there is nothing of the job's on a disk."""
    job = Job(live, disk="4MiB", disk_interval="100ms")
    done = live.run("exec", "--explain", "--policy", job.policy, "/", "true")
    ended(done, 0)
    require(" disk " not in done.stdout, done.stdout)
    job.end()
