# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every step of keeper and collector: no payload that left its mark lacks a start record, and every box is closed afterwards."""
import json
import os
import shutil
import signal
import subprocess
import time
import uuid

from box import Skip, ended, require
from cases_sinks import logs, policy
from collect_lab import Collector


def strace(inject, *options):
    """Of whatever follows, a system call is answered by SIGKILL: `inject` says which."""
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    return ["strace", "-D", "-qq", "-o", "/dev/null", *options, "-e", "trace=all", "-e", f"inject={inject}"]


def marks_of(live):
    at = live.path(f"marks-{uuid.uuid4().hex[:8]}")
    os.mkdir(at)
    os.chmod(at, 0o1777)
    return at


def marking(live, at, marks, name):
    """A payload that leaves a mark outside of its box."""
    return live.command("exec", "--policy", at, "--bind", f"{marks}:/tmp", live.image, "touch", f"/tmp/{name}")


def records_of(directory):
    found = []
    for at, _, names in os.walk(directory):
        for name in names:
            if name.startswith("audit-"):
                with open(os.path.join(at, name), encoding="utf-8") as stream:
                    found += [json.loads(line) for line in stream if line.endswith("\n") and line.startswith("{")]
    return found


def of(records, *actions):
    return {r["nestbox"]["id"] for r in records if r["event"]["action"] in actions}


def judge(live, directory, marks):
    """Every mark has a start, and every start an end or a loss; the chains fit."""
    records = records_of(directory)
    started = {r["process"]["args"][-1]: r["nestbox"]["id"] for r in records if r["event"]["action"] == "sandbox-start"}
    left = {f"/tmp/{name}" for name in os.listdir(marks)}
    require(left <= started.keys(), f"marks without a start record: {sorted(left - started.keys())}")
    closed = of(records, "sandbox-end", "sandbox-lost")
    require(of(records, "sandbox-end") <= of(records, "sandbox-start"), "an end of what never began")
    still = {name for name, box in started.items() if box not in closed}
    require(not still, f"neither ended nor lost: {sorted(still)}")
    done = subprocess.run([live.nestbox, "audit", "verify", "--from", directory, "--json"], capture_output=True, text=True, check=False)
    require(not [f for f in json.loads(done.stdout)["findings"] if f["severity"] == "fault"], done.stdout)


def sweep(live, at):
    """The starts of others close what was left, once the kernel has ended it."""
    for _ in range(100):
        ended(live.run("exec", "--policy", at, live.image, "true"), 0)
        if not any(os.path.basename(where).startswith("nestbox-0") for where, _, _ in os.walk("/sys/fs/cgroup")):
            return
        time.sleep(0.05)


def calls_of(live, command):
    """The keeper's own system calls, in their order: (name, which of that name, the line)."""
    path, seen, calls = live.path("trace"), {}, []
    done = subprocess.run(["strace", "-qq", "-o", path, *command], capture_output=True, text=True, env=live.env, check=False, cwd="/")
    ended(done, 0)
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            name = line.partition("(")[0]
            if name.isidentifier():
                seen[name] = seen.get(name, 0) + 1
                calls.append((name, seen[name], line))
    return calls


def case_keeper_at_every_call(live):
    """From the opening of the log on: before that nothing has happened."""
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    directory, marks = logs(live), marks_of(live)
    at = policy(live, [{"type": "file", "path": directory}])
    ended(subprocess.run(marking(live, at, marks, "first"), capture_output=True, text=True, env=live.env, check=False, cwd="/"), 0)
    calls = calls_of(live, marking(live, at, marks, "traced"))
    first = next(i for i, (_, _, line) in enumerate(calls) if "/audit-" in line or '"audit-' in line)
    begun = next(i for i, (name, _, line) in enumerate(calls) if name == "write" and '"{\\"@timestamp' in line)
    for number in range(first, len(calls)):
        name, which, _ = calls[number]
        subprocess.run([*strace(f"{name}:signal=KILL:when={which}"), *marking(live, at, marks, number)], capture_output=True, env=live.env,
                       check=False, cwd="/", timeout=60)
    made = {int(name) for name in os.listdir(marks) if name.isdigit()}
    require(made and len(made) < len(calls) - first and min(made) > begun, f"marks of {len(made)} of {len(calls) - first}, from {min(made, default=0)}")
    sweep(live, at)
    judge(live, directory, marks)


# What the collector does to the world, or waits for.
COLLECTOR_CALLS = ("accept4", "recvmsg", "recvfrom", "sendto", "write", "fdatasync", "poll", "openat", "getsockopt")


class Killed(Collector):
    """A collector that dies at one of its system calls, both of its processes at theirs; inject: None: it lives."""
    inject = None

    def start(self):
        if self.inject is None:
            super().start()
            return
        before = len(self.ready())
        self.process = subprocess.Popen([*strace(self.inject, "-f"), self.live.nestbox, "collect", "--socket", self.socket, "--log", self.log,
                                         "--user", "2999", *self.options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(1200):
            if self.process.poll() is not None or len(self.ready()) > before:
                return
            time.sleep(0.01)

    def ready(self):
        return [r for r in records_of(self.log) if r["event"]["action"] == "config-loaded" and "collector" in r["nestbox"]]


def killed_at(live, collector, marks, inject):
    """Whether the collector lived on through a box."""
    name = inject.replace(":", "-").replace("=", "-")
    collector.inject = inject
    collector.start()
    done = subprocess.run(marking(live, collector.policy(), marks, name), capture_output=True, text=True, env=live.env, check=False, cwd="/",
                          timeout=60)
    require(done.returncode in (0, 125), f"{inject}: {done}")
    require(done.returncode == 125 or name in os.listdir(marks), f"{inject}: no mark")
    lives = collector.process.poll() is None
    collector.end(signal.SIGTERM)
    return lives


def case_collector_at_every_call(live):
    collector, marks = Killed(live), marks_of(live)
    collector.end()
    dead = 0
    for name in COLLECTOR_CALLS:
        for which in [*range(1, 9), *range(9, 60, 5)]:
            if killed_at(live, collector, marks, f"{name}:signal=KILL:when={which}"):
                break
            dead += 1
    require(dead > 15, f"killed {dead} times only")
    collector.inject = None
    collector.start()
    ended(collector.sh(":"), 0)
    for _ in range(200):
        if of(collector.records(), "sandbox-start") == of(collector.records(), "sandbox-end", "sandbox-lost"):
            break
        time.sleep(0.05)
    collector.end()
    judge(live, collector.log, marks)
