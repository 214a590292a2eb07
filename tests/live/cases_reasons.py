# SPDX-License-Identifier: Apache-2.0
"""Each reason for which a box ends, in each place that tells of it: standard error, the limit's record, the end record, the
status descriptor, and for the job of a batch system, which starts as an ordinary user, the job's ad."""
import json
import os
import pwd
import shutil
import signal
import time
import uuid

from box import ended, require
from cases_life import EAT, FORKS, Starter
from cases_limits import Delegated
from cases_record import records

SLEEP = "echo up; exec sleep 600"
TRAP = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"


class Box:
    """A job of a batch system (wrap, in an installation with this policy), or what a person starts (exec, as root)."""

    def __init__(self, live, script, **limits):
        self.live, self.mark = live, uuid.uuid4().hex
        self.batch = live.caller.name == "user"
        self.scratch, self.tree = live.path("scratch-" + self.mark), live.path("tree-" + self.mark)
        os.makedirs(self.scratch)
        os.chown(self.scratch, live.caller.payload_uid, live.caller.payload_uid)
        shutil.copytree(os.path.dirname(os.path.dirname(live.nestbox)), self.tree, symlinks=True)
        os.makedirs(self.tree + "/etc/nestbox", exist_ok=True)
        policy = self.tree + "/etc/nestbox/policy.json"
        with open(policy, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "kill_grace": "300ms", "limits": limits}, stream)
        env = {**live.env, "_CONDOR_SCRATCH_DIR": self.scratch}
        how = ["exec", "--status-fd", "", "--policy", policy, "--job-dir", self.scratch, "--pwd", self.scratch, "/"]
        self.status, writer = os.pipe()
        how[2] = str(writer)
        if self.batch:
            self.starter = Starter(live)
            env["_CONDOR_CHIRP_CONFIG"] = self.starter.path
            how = ["wrap"]
        self.process = live.start(*how, "/bin/bash", "-c", f": {self.mark}\ncd {self.scratch}\n{script}", env=env,
                                  program=self.tree + "/bin/nestbox", pass_fds=(writer,))
        os.close(writer)

    def up(self):
        """Its payload runs, and it is listed."""
        while True:
            line = self.process.stdout.readline()
            require(line, "no start")
            if line == b"up\n":
                break
        for _ in range(500):
            for line in self.live.run("ps", "--json").stdout.splitlines():
                box = json.loads(line)
                if box.get("keeper_pid") == self.process.pid:
                    return box
            time.sleep(0.02)
        raise AssertionError("it is not listed")

    def told(self, reason, status, *words, limit=None, quiet=False):
        """Its end, in every place. limit: of the limit-hit record; quiet: a person is not told."""
        out, err = self.process.communicate(timeout=60)
        shutil.rmtree(self.tree)
        shutil.rmtree(self.scratch)
        require(self.process.returncode == status, f"status {self.process.returncode}: {out} {err}")
        found = records(self.live, self.mark)
        end = found[-1]["nestbox"]["exit"]
        require(found[-1]["event"]["action"] == "sandbox-end" and end["reason"] == reason, str(found[-1]))
        hits = [r["nestbox"]["limit"] for r in found if r["event"]["action"] == "limit-hit"]
        wanted = [] if limit is None else [(reason, True, limit)]
        require([(h["kind"], h["ends_payload"], h["value"]) for h in hits] == wanted, f"limit-hit {hits}")
        require(end.get("limit") == limit, str(end))
        for word in words:
            require(word in end["message"], f"no {word!r} in {end['message']!r}")
        lines = [line for line in err.decode().splitlines() if line.startswith("nestbox: ")]
        told = [] if quiet and not self.batch else ["nestbox: " + end["message"]]
        require([line.split(" (")[0] for line in lines] == [line.split(" (")[0] for line in told], f"{lines}, not {told}")
        if self.batch:
            attributes = self.starter.attributes()
            require(attributes["ChirpNestboxReason"] == f'"{reason}"', str(attributes))
            require(attributes["ChirpNestboxOom"] == ("true" if reason == "memory" else "false"), str(attributes))
        else:
            with os.fdopen(self.status, encoding="utf-8") as stream:
                last = json.loads(stream.read().splitlines()[-1])
            require(last["event"] == "exited" and last["reason"] == reason, str(last))
        return end


def case_memory(live):
    with Delegated(live):
        Box(live, f"exec /usr/bin/python3 -c '{EAT}'", memory="64MiB").told(
            "memory", -9, "limit of 64 MiB", limit=64 << 20)


def case_pids(live):
    with Delegated(live):
        Box(live, f"exec /usr/bin/python3 -c '{FORKS}'", pids=20).told("pids", 1, "its limit is 20", limit=20)


def case_disk(live):
    Box(live, "head -c 9000000 /dev/zero >data; exec sleep 600", disk="4MiB", disk_interval="100ms").told(
        "disk", -15, "limit of 4 MiB", limit=4 << 20)


def case_wall_time(live):
    Box(live, "exec sleep 600", wall_time="500ms").told("wall-time", -15, "split the work", limit=500000000)


def case_signal_of_the_batch_system(live):
    """As HTCondor's starter ends a job: a signal of the job's own user or of root to the keeper."""
    box = Box(live, SLEEP)
    box.up()
    box.process.terminate()
    end = box.told("stopped", -15, "by signal 15 of uid 0", quiet=True)
    require(end["by"] == {"signal": 15, "pid": os.getpid(), "uid": "0"}, str(end))


def by_administrator(live, script, status, *options):
    box = Box(live, script)
    known = box.up()
    ended(live.run("kill", known["id"], *options), 0)
    uid = 0 if live.caller.is_root else live.caller.payload_uid
    end = box.told("administrator", status, "killed by an administrator", f"uid {uid}")
    require(end["by"]["uid"] == str(uid) and end["by"]["pid"] > 0, str(end))
    require("name" not in end["by"] or end["by"]["name"] == pwd.getpwuid(uid).pw_name, str(end))
    require(uid != 0 or (end["by"]["name"] == "root" and "(root)" in end["message"]), str(end))


def case_administrator(live):
    by_administrator(live, SLEEP, -signal.SIGTERM)


def case_administrator_whatever_the_status(live):
    by_administrator(live, TRAP, 0)


def case_administrator_without_grace(live):
    by_administrator(live, SLEEP, -signal.SIGKILL, "--grace", "0")


def case_administrator_of_a_deaf_payload(live):
    by_administrator(live, "trap '' TERM; echo up; while :; do sleep 0.05; done", -signal.SIGKILL, "--grace", "200ms")


def case_killed_from_outside(live):
    box = Box(live, SLEEP)
    os.kill(box.up()["init_pid"], signal.SIGKILL)
    box.told("killed", -9, "killed from outside", quiet=True)


def case_limits_that_a_payload_survives(live):
    """The record is written, and the end is the payload's own."""
    with Delegated(live):
        box = Box(live, f"/usr/bin/python3 -c '{EAT}'; (/usr/bin/python3 -c '{FORKS}') 2>/dev/null; exit 0", memory="64MiB", pids=20)
        out, err = box.process.communicate(timeout=90)
        shutil.rmtree(box.tree)
        require(box.process.returncode == 0 and b"nestbox:" not in err, f"{box.process.returncode} {out} {err}")
        found = records(live, box.mark)
        hits = [r["nestbox"]["limit"] for r in found if r["event"]["action"] == "limit-hit"]
        require([(h["kind"], h["ends_payload"]) for h in hits] == [("memory", False), ("pids", False)], str(hits))
        require(hits[1]["refused"] > 0 and hits[0]["used"] > 60 << 20, str(hits))
        require("reason" not in found[-1]["nestbox"]["exit"], str(found[-1]))
