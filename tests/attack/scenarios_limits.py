# SPDX-License-Identifier: Apache-2.0
"""Attacks on the limits that the keeper watches. Each goes on where the step is left out."""
import json
import os
import signal
import subprocess

from scenarios import as_user, environment, expect, shown, text, user_option
from world import Skip


def ended_by_limit(world, step, limits, command):
    """It goes on where the step is left out, and is ended in a box."""
    if not world.left_out:
        raise Skip(f"needs a launcher that leaves out {step} (--left-out)")
    policy = world.path(f"{step}.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "kill_grace": "300ms", "limits": limits,
                   "audit": {"sinks": [{"type": "file", "path": world.path("log")}]}}, stream)
    world.compile(policy)
    options = [*user_option(world)[:-1], policy, "--job-dir", world.scratch]

    def run(launcher, seconds, **how):
        return subprocess.run([launcher, "exec", *options, "/", "/bin/sh", "-c", f"{command}; sleep {seconds}; exit 9"], timeout=300,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=as_user(world),
                              check=False, **how)
    left_out = run(world.left_out, 2, env=environment(world, "none", NESTBOX_LEAVE_OUT=step))
    shown(left_out.returncode == 9, f"status {left_out.returncode}: {text(left_out)}")
    done = run(world.nestbox, 250)
    return expect(done.returncode == -signal.SIGTERM, f"status {done.returncode}: {text(done)}")


def over_disk(world):
    flood = os.path.join(world.scratch, "flood")
    return ended_by_limit(world, "disk", {"disk": "16MiB", "disk_interval": "100ms"}, f"head -c 40000000 /dev/zero >{flood}")


def over_time(world):
    return ended_by_limit(world, "wall-time", {"wall_time": "1s"}, "trap : USR1")


SCENARIOS = [
    ("over-disk", "G12", "any", over_disk),
    ("over-time", "G13", "any", over_time),
]
