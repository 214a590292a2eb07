# SPDX-License-Identifier: Apache-2.0
"""A case, and one run of it on a pool: submit, watch the job's event log, compare what HTCondor's history says."""
import dataclasses
import glob
import json
import os
import re
import time
import typing

from pool import PoolError, until

# Event numbers of HTCondor's job log (condor_utils/condor_event.h).
EXECUTE, EVICTED, TERMINATED, SHADOW_ERROR, ABORTED = "001", "004", "005", "007", "009"
HELD, REMOTE_ERROR = "012", "021"
SECONDS = 60


class Failed(Exception):
    """The case failed: what was expected, and what there was."""


@dataclasses.dataclass
class Case:
    name: str
    why: str                                   # what holds when it passes
    args: tuple                                # the payload's steps
    expect: dict = dataclasses.field(default_factory=dict)   # history attribute: value, pattern or test
    submit: dict = dataclasses.field(default_factory=dict)   # further submit commands
    queue: str = "queue"
    steps: typing.Optional[typing.Callable] = None           # drives the job while it runs
    check: typing.Optional[typing.Callable] = None           # looks at what it left
    modes: tuple = ("root", "user")
    cgroups: tuple = ("v1", "v2")              # where it holds
    before: typing.Optional[typing.Callable] = None          # readies the worker
    after: typing.Optional[typing.Callable] = None           # puts the worker right again, in any case
    seconds: int = SECONDS                     # until it is over, on a busy machine
    alone: bool = False                        # changes the worker: no other case at the same time


def require(condition, message):
    if not condition:
        raise Failed(message)


def quoted(args):
    """The `arguments` of a submit description, new syntax."""
    words = [re.sub("'", "''", str(arg)) for arg in args]
    words = [f"'{word}'" if re.search(r"[\s']", word) or not word else word for word in words]
    return '"' + " ".join(words).replace('"', '""') + '"'


def matches(wanted, found):
    if isinstance(wanted, re.Pattern):
        return isinstance(found, str) and wanted.search(found) is not None
    if callable(wanted):
        return wanted(found)
    return type(wanted) is type(found) and wanted == found


class Run:
    def __init__(self, pool, case):
        self.pool = pool
        self.case = case
        self.marker = "@" + case.name
        self.cluster = None
        self.ads = []

    # -- before

    def description(self):
        name = self.case.name
        commands = {
            "universe": "vanilla", "executable": "/srv/test/bin/payload", "arguments": quoted([self.marker, *self.case.args]),
            "initialdir": "/srv/test/iwd", "log": f"/srv/test/log/{name}", "output": f"/srv/test/out/{name}.$(ProcId)",
            "error": f"/srv/test/out/{name}.$(ProcId).err", "request_cpus": "1", "request_memory": "64",
            "request_disk": "1M", "should_transfer_files": "YES", "when_to_transfer_output": "ON_EXIT",
        }
        commands.update(self.case.submit)
        lines = [f"{key} = {value}" for key, value in commands.items() if value is not None]
        return "\n".join([*lines, self.case.queue, ""])

    def shared(self, *parts):
        return os.path.join(self.pool.shared, *parts)

    def submit(self):
        if self.case.submit.get("should_transfer_files") == "NO":
            self._make_output()
        self.cluster = self.pool.submit(self.description())

    def _make_output(self):
        """Files that any slot's user may write: without file transfer the job's own user opens them."""
        for suffix in ("", ".err"):
            path = self.shared("out", f"{self.case.name}.0{suffix}")
            with open(path, "wb"):
                os.chmod(path, 0o666)

    # -- meanwhile

    def events(self, code):
        try:
            with open(self.shared("log", self.case.name), encoding="utf-8", errors="replace") as file:
                return re.findall(rf"^{code} \({self.cluster:03}\.(\d+)\.", file.read(), re.M)
        except FileNotFoundError:
            return []

    def log_text(self):
        with open(self.shared("log", self.case.name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def event(self, code, count=1, seconds=SECONDS):
        until(lambda: len(self.events(code)) >= count, seconds, f"event {code} number {count}")

    def output(self, proc=0):
        with open(self.shared("out", f"{self.case.name}.{proc}"), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def lines(self, start, proc=0):
        return [line[len(start):] for line in self.output(proc).splitlines() if line.startswith(start)]

    def said(self, text, seconds=SECONDS):
        def heard():
            return os.path.exists(self.shared("out", f"{self.case.name}.0")) and text in self.output().splitlines()
        until(heard, seconds, f"the job's word '{text}'")

    def command(self, *argv):
        self.pool.run([*argv, str(self.cluster)], user="alice")

    def open_gate(self, name):
        with open(self.shared("gate", name), "wb"):
            pass

    def queued(self):
        """The job's ad in the queue, or an empty one."""
        ads = self.pool.ads(["condor_q", str(self.cluster)])
        return ads[0] if ads else {}

    def processes(self):
        return self.pool.processes(self.marker)

    def gone(self, seconds=10):
        until(lambda: not self.processes(), seconds, "end of the job's processes")

    def keeper(self):
        """The process that the starter started."""
        for pid in self.processes():
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                parent = file.read().rpartition(")")[2].split()[1]
            with open(f"/proc/{parent}/comm", encoding="ascii") as file:
                if file.read().strip() == "condor_starter":
                    return pid
        raise Failed("no process of the job is a child of condor_starter")

    # -- after

    def finish(self):
        wanted = self.job_count()

        def over():
            return len(set(self.events(TERMINATED) + self.events(ABORTED))) >= wanted
        until(over, self.case.seconds, "end of the job")
        until(lambda: self._history() >= wanted, 10, "the job in condor_history")

    def job_count(self):
        """How many jobs the cluster has: the submit events say."""
        return max(1, len(set(self.events("000"))))

    def _history(self):
        self.ads = sorted(self.pool.ads(["condor_history", str(self.cluster)]), key=lambda ad: ad["ProcId"])
        return len(self.ads)

    def compare(self):
        for ad in self.ads:
            for name, wanted in self.case.expect.items():
                found = ad.get(name)
                require(matches(wanted, found), f"job {ad['ClusterId']}.{ad['ProcId']}: {name} is {found!r}")

    def audit(self, proc=0):
        """The audit records of one job, in order."""
        return [record for record in self.cluster_audit() if record["condor"]["proc_id"] == str(proc)]

    def ends(self):
        """{proc: the last end record of that job}"""
        return {int(record["condor"]["proc_id"]): record for record in self.cluster_audit()
                if record["event"]["action"] == "sandbox-end"}

    def cluster_audit(self):
        records = []
        for path in sorted(glob.glob(self.pool.path("/var/log/nestbox/*.jsonl"))):
            with open(path, encoding="utf-8") as lines:
                records += [json.loads(line) for line in lines]
        return [record for record in records if record.get("condor", {}).get("cluster_id") == str(self.cluster)]

    def diagnosis(self):
        """The job as the queue has it, for a failure's report."""
        try:
            ad = self.queued()
        except (PoolError, ValueError):
            return ""
        names = ("JobStatus", "VacateReason", "HoldReason", "NumJobStarts")
        return "; ".join(f"{name} {ad[name]!r}" for name in names if name in ad)

    def perform(self):
        """Everything; a failure is an exception."""
        started = time.monotonic()
        try:
            self.perform_phases()
        except (Failed, PoolError, OSError, KeyError, IndexError, ValueError) as error:
            found = self.diagnosis()
            self.pool.run(["condor_rm", str(self.cluster)], user="alice", check=False)  # a user's pool obeys no root
            raise Failed(f"{error}{f' ({found})' if found else ''}") from error
        finally:
            self.phase(self.case.after)
        return time.monotonic() - started

    def phase(self, function):
        if function:
            function(self)

    def perform_phases(self):
        self.phase(self.case.before)
        self.submit()
        self.phase(self.case.steps)
        self.finish()
        self.compare()
        self.phase(self.case.check)
        self.gone()
