# SPDX-License-Identifier: Apache-2.0
"""Why a box ended: on stderr, in the end record, in the job's ad; and what the box knows of itself."""
import json
import os
import signal
import socket
import threading
import time
import uuid

from box import ended, require
from cases_limits import Delegated
from cases_record import records

EAT = "x = bytearray(200 << 20)"
FORKS = "import os, time\nfor n in range(50):\n  if os.fork() == 0: time.sleep(30); os._exit(0)"


def end_of(live, mark):
    return records(live, mark)[-1]["nestbox"]["exit"]


def case_memory_is_the_reason(live):
    mark = uuid.uuid4().hex
    with Delegated(live):
        done = live.run("exec", "--memory", "64MiB", "/", "/usr/bin/python3", "-c", EAT, mark)
    ended(done, -9)
    for word in ("nestbox: the payload went over its memory limit of 64 MiB (peak 6", "--memory", "the command line"):
        require(word in done.stderr, f"no {word!r} in {done.stderr!r}")
    told = end_of(live, mark)
    require((told["kind"], told["reason"], told["limit"]) == ("oom", "memory", 64 << 20), str(told))


def case_killed_child_is_told_too(live):
    """The kernel may take a child alone: the payload's own status says nothing of memory."""
    mark = uuid.uuid4().hex
    with Delegated(live):
        done = live.run("exec", "--memory", "64MiB", "/", "/bin/sh", "-c", f"/usr/bin/python3 -c '{EAT}'; exit 4", mark)
    ended(done, 4, "over its memory limit")
    told = end_of(live, mark)
    require((told["kind"], told["reason"]) == ("code", "memory"), str(told))


def case_payload_goes_before_the_keeper(live):
    """When the whole worker is out of memory; and what the payload may lower is not below the keeper's."""
    script = "cat /proc/self/oom_score_adj; echo -1000 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj"
    with open("/proc/self/oom_score_adj", encoding="ascii") as stream:
        own = int(stream.read())
    done = live.sh(script)
    ended(done, 0)
    first, lowered = [int(word) for word in done.stdout.split()]
    require(first == min(own + 100, 1000) and lowered >= own, f"keeper {own}, payload {first}, lowered {lowered}")


def case_tasks_are_the_reason(live):
    mark = uuid.uuid4().hex
    with Delegated(live):
        done = live.run("exec", "--pids-limit", "20", "/", "/usr/bin/python3", "-c", FORKS, mark)
    ended(done, 1, "its limit is 20 at once")
    told = end_of(live, mark)
    require((told["reason"], told["limit"]) == ("pids", 20), str(told))


def case_no_reason_without_a_limit(live):
    mark = uuid.uuid4().hex
    done = live.sh(f": {mark}; exit 3")
    require(done.stderr == "" and end_of(live, mark) == {"kind": "code"}, f"{done.stderr} {end_of(live, mark)}")


def case_stopped_from_outside(live):
    mark = uuid.uuid4().hex
    process = live.start("exec", live.image, "sh", "-c", f": {mark}; echo up; exec sleep 60")
    require(process.stdout.readline() == b"up\n", "no start")
    process.terminate()
    require(process.wait() == -signal.SIGTERM and process.stderr.read() == b"", "not quiet, or not by SIGTERM")
    told = end_of(live, mark)
    require(told["reason"] == "stopped" and told["by"] == {"signal": 15, "pid": os.getpid(), "uid": "0"}, str(told))


def case_killed_from_outside(live):
    mark = uuid.uuid4().hex
    process = live.start("exec", live.image, "sh", "-c", f": {mark}; echo up; exec sleep 60")
    require(process.stdout.readline() == b"up\n", "no start")
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as stream:
        os.kill(int(stream.read().split()[0]), 9)
    require(process.wait() == -signal.SIGKILL, "not by SIGKILL")
    require(end_of(live, mark)["reason"] == "killed", str(end_of(live, mark)))


def case_status_in_the_box(live):
    with Delegated(live):
        done = live.run("exec", "--memory", "64MiB", "--pids-limit", "20", live.image, "cat", "/run/nestbox/status.json")
    ended(done, 0)
    status = json.loads(done.stdout)
    require(status["limits"] == {"memory_bytes": 64 << 20, "pids": 20} and status["profile"] == "nested", str(status))
    require("21" in status["in_force"].values() and str(64 << 20) in status["in_force"].values(), str(status))
    require(uuid.UUID(status["id"]).version == 7, str(status))
    ended(live.sh("echo x >/run/nestbox/status.json; rm -f /run/nestbox/status.json; cat /run/nestbox/status.json"), 0, '"id"')


class Starter:
    """HTCondor's Chirp proxy, as far as a box talks to it; silent: takes the connection and never answers."""

    def __init__(self, live, silent=False):
        self.live, self.silent, self.lines = live, silent, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.path = live.path("chirp." + uuid.uuid4().hex)
        with open(self.path, "w", encoding="ascii") as stream:
            stream.write(f"127.0.0.1 {self.server.getsockname()[1]} cookie-{os.getpid()}")
        os.chmod(self.path, 0o644)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection = self.server.accept()[0]
            with connection, connection.makefile("rwb", buffering=0) as stream:
                for line in stream:
                    self.lines.append(line.decode().rstrip("\n"))
                    if not self.silent:
                        stream.write(b"0\n")

    def run(self, *command):
        return self.live.run("wrap", *command, env={"_CONDOR_CHIRP_CONFIG": self.path})

    def attributes(self):
        return dict(line.split(" ", 2)[1:] for line in self.lines if line.startswith("set_job_attr_delayed "))


def case_job_ad_is_told(live):
    if live.caller.name != "user":
        return
    starter = Starter(live)
    with Delegated(live):
        ended(starter.run("/bin/sh", "-c", "kill -9 $$"), -9)
    require(starter.lines[0] == f"cookie cookie-{os.getpid()}", str(starter.lines))
    told = starter.attributes()
    require(uuid.UUID(told["ChirpNestboxBoxId"].strip('"')).version == 7, str(told))
    require((told["ChirpNestboxOom"], told["ChirpNestboxReason"]) == ("false", '""'), str(told))
    require(float(told["ChirpNestboxCpuSeconds"]) < 30, str(told))


def case_silent_starter_delays_little(live):
    if live.caller.name != "user":
        return
    starter, before = Starter(live, silent=True), time.monotonic()
    ended(starter.run("/bin/true"), 0)
    require(starter.lines and time.monotonic() - before < 20, f"{starter.lines}")
