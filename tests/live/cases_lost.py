# SPDX-License-Identifier: Apache-2.0
"""Boxes whose keepers are killed: each start has an end or a loss."""
import fcntl
import json
import os
import time
import uuid

from box import ended, require
from cases_record import log_of, parsed, records

MOMENTS = ("after:enter", "before:sandbox-start", "after:sandbox-start", "before:sync", "after:sync", "before:sandbox-end", "after:sandbox-end",
           "before:leave", "after:leave")


def registered(live, box):
    done = live.run("ps", "--json")
    return any(json.loads(line)["id"] == box for line in done.stdout.splitlines())


def until(holds, what, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        require(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.05)


def running_box(live, mark):
    """A box that runs, its start record, and it is in the registry."""
    running = live.start("exec", live.image, "sh", "-c", f": {mark}; echo up; exec sleep 600")
    require(running.stdout.readline() == b"up\n", "the box did not start")
    start = records(live, mark)[0]
    until(lambda: registered(live, start["nestbox"]["id"]), "the box's entry")
    return running, start


def case_processes_that_were_left(live):
    """How many the payload left behind, orphans and daemons too, is in the end record; none is 0, and unknown is nothing."""
    scripts = {"exit 0": 0, "sleep 600 & exit 0": 1, "sleep 600 & (sleep 600 &); sleep 600 & exit 3": 3, "(exit 0) & sleep 0.2; exit 0": 0,
               "sleep 600 & kill -9 $$": 1}
    for policy in ({}, {"namespaces": {"proc": ["shared"]}}):
        path = live.path("left.json")
        with open(path, "w", encoding="ascii") as stream:
            json.dump({"version": 1, **policy}, stream)
        for script, left in scripts.items():
            mark = uuid.uuid4().hex
            live.run("exec", "--policy", path, live.image, "sh", "-c", f": {mark}; {script}")
            end = records(live, mark)[-1]["nestbox"]
            require(end["killed"] == {"leftover_processes": left}, f"{policy} {script}: {end}")
    mark = uuid.uuid4().hex
    running = live.start("exec", live.image, "sh", "-c", f": {mark}; echo up; exec sleep 600")
    require(running.stdout.readline() == b"up\n", "the box did not start")
    os.kill(int(records(live, mark)[0]["nestbox"]["attested"]["init_pid"]), 9)
    running.wait()
    require("killed" not in records(live, mark)[-1]["nestbox"], str(records(live, mark)[-1]))


def case_lost_box(live):
    """The same user's next box says of a killed keeper's that it was lost, on which boot of which host."""
    mark = uuid.uuid4().hex
    running, start = running_box(live, mark)
    os.kill(start["process"]["pid"], 9)
    running.wait()
    ended(live.sh(":"), 0)
    lost = [one for one in parsed(log_of(live)) if one["nestbox"].get("id") == start["nestbox"]["id"]][-1]
    require(lost["event"]["action"] == "sandbox-lost" and lost["nestbox"]["exit"]["kind"] == "lost", str(lost))
    require(lost["event"]["start"] == start["event"]["start"] and lost["user"]["id"] == start["user"]["id"], str(lost))
    require("process" not in lost, "a process that is not the box's")
    require(all(lost["host"][name] == start["host"][name] for name in ("name", "id", "boot")), f"{lost['host']} {start['host']}")


def case_killed_at_every_moment(live):
    """Whenever a keeper is killed: a start has one end, or one loss by the same user's next box; an end has no loss beside it."""
    died = 0
    for moment in MOMENTS:
        mark = uuid.uuid4().hex
        done = live.run("exec", live.image, "sh", "-c", f": {mark}; exit 0", program=live.broken, env={**live.env, "NESTBOX_DIE": moment})
        died += done.returncode == -9
        starts = [one for one in records(live, mark) if one["event"]["action"] == "sandbox-start"]
        require(len(starts) == (moment not in ("after:enter", "before:sandbox-start")), f"{moment}: {starts}")
        for _ in range(2):
            ended(live.sh(":"), 0)
        for start in starts:
            of_box = [one["event"]["action"] for one in parsed(log_of(live)) if one["nestbox"].get("id") == start["nestbox"]["id"]]
            want = "sandbox-end" if moment in MOMENTS[6:] else "sandbox-lost"
            require(of_box == ["sandbox-start", want], f"{moment}: {of_box}")
    require(died == len(MOMENTS), f"killed at {died} of {len(MOMENTS)} moments")


def case_killed_while_it_tells_of_a_loss(live):
    """The next box is killed as well, before or after it has written of the loss: the one after that knows what is missing."""
    for moment in ("before:sandbox-lost", "after:sandbox-lost"):
        mark = uuid.uuid4().hex
        for die in ("after:sync", moment):
            done = live.run("exec", live.image, "sh", "-c", f": {mark}; exit 0", program=live.broken, env={**live.env, "NESTBOX_DIE": die})
            require(done.returncode == -9, f"{die}: {done}")
        ended(live.sh(":"), 0)
        for start in [one for one in records(live, mark) if one["event"]["action"] == "sandbox-start"]:
            of_box = [one["event"]["action"] for one in parsed(log_of(live)) if one["nestbox"].get("id") == start["nestbox"]["id"]]
            require(of_box == ["sandbox-start", "sandbox-lost"], f"{moment}: {of_box}")


def case_an_end_that_could_not_be_written(live):
    """The log's disk was full to the last byte, or the lock was held: the next box says that the end is missing."""
    mark = uuid.uuid4().hex
    running, start = running_box(live, mark)
    with open(log_of(live), "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        running.terminate()
        require(running.wait(60) == -15, f"status {running.returncode}")
    ended(live.sh(":"), 0)
    actions = [one["event"]["action"] for one in parsed(log_of(live)) if one["nestbox"].get("id") == start["nestbox"]["id"]]
    require(actions == ["sandbox-start", "sandbox-lost"], str(actions))
