# SPDX-License-Identifier: Apache-2.0
"""Limits of cgroup v1 on this kernel (v2: tests/vm), from the command line and from a slot's ad."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

import delegated  # noqa: E402
from box import Skip, ended, refused, require  # noqa: E402


class Delegated:
    """Directories that the ordinary user may use."""

    def __init__(self, live):
        self.live, self.made = live, []

    def __enter__(self):
        if not delegated.present():
            raise Skip("no cgroup v1 memory controller")
        if self.live.caller.name == "user":
            self.made = delegated.delegate(self.live.nestbox, self.live.caller.payload_uid)
        return self

    def __exit__(self, *_):
        delegated.undo(self.made)


def case_not_delegated(live):
    if live.caller.name == "user":
        refused(live.run("exec", "--memory", "64MiB", "/", "true"), "memory", "nestbox delegate")


def case_memory(live):
    with Delegated(live):
        eat = "x = bytearray(int(__import__('sys').argv[1]) << 20); print('had it')"
        ended(live.run("exec", "--memory", "64MiB", "/", "/usr/bin/python3", "-c", eat, "30"), 0, "had it")
        ended(live.run("exec", "--memory", "64MiB", "/", "/usr/bin/python3", "-c", eat, "200"), -9)


def case_tasks(live):
    script = "import os, time\nn = 0\ntry:\n  while n < 100:\n    if os.fork() == 0: time.sleep(30); os._exit(0)\n    n += 1\nexcept OSError: pass\nprint('forked', n)"
    with Delegated(live):
        ended(live.run("exec", "--pids-limit", "20", "/", "/usr/bin/python3", "-c", script), 0, "forked 19")


def case_cpu_share_is_set(live):
    with Delegated(live):
        ended(live.run("exec", "--cpus", "0.5", "/", "true"), 0)


def slot(live, **attributes):
    path = live.path("machine.ad")
    with open(path, "w", encoding="utf-8") as stream:
        for name, value in attributes.items():
            stream.write(f"{name} = {value}\n")
    return path


def case_slot_limits(live):
    if live.caller.name != "user":
        return
    ad = slot(live, Cpus=1, Memory=128)
    refused(live.run("wrap", "/bin/echo", "RAN", env={"_CONDOR_MACHINE_AD": ad}), "memory")
    with Delegated(live):
        done = live.run("wrap", "/usr/bin/python3", "-c", "x = bytearray(119 << 20)", env={"_CONDOR_MACHINE_AD": ad})
        ended(done, -9)  # 128 MiB of the slot less the margin, which is at most a sixteenth
        ended(live.run("wrap", "/usr/bin/python3", "-c", "x = bytearray(60 << 20)", env={"_CONDOR_MACHINE_AD": ad}), 0)


def case_payload_cannot_reach_its_limits(live):
    """The limit files are one level above what the payload can mount, and the worker's view is read-only."""
    with Delegated(live):
        script = ("mkdir /tmp/c; mount -t cgroup -o memory x /tmp/c && cat /tmp/c/memory.limit_in_bytes; "
                  "for f in $(find /tmp/c /sys/fs/cgroup -name memory.limit_in_bytes); do echo 9999999999 >$f && echo raised $f; done; echo end")
        done = live.run("exec", "--memory", "64MiB", "/", "/usr/bin/unshare", "-UrmC", "/bin/sh", "-c", script + "; exec /usr/bin/python3 -c 'x=bytearray(200<<20)'")
        require(done.returncode == -9, f"{done.returncode} {done.stdout} {done.stderr}")


def case_cgroups_of_the_payloads_own_are_removed(live):
    """A payload that nests may make cgroups below its own: they go with the box (the runner looks for what is left)."""
    script = "mount -t cgroup -o pids x /tmp && mkdir -p /tmp/sub/deeper /tmp/other; ls -d /tmp/sub/deeper; exit 3"
    with Delegated(live):
        done = live.run("exec", "--pids-limit", "50", "/", "/usr/bin/unshare", "-UrmC", "/bin/sh", "-c", script)
        ended(done, 3)
        require(live.caller.is_root or "/tmp/sub/deeper" in done.stdout, f"no cgroup was made: {done.stderr}")
