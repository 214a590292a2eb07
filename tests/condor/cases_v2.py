# SPDX-License-Identifier: Apache-2.0
"""cgroup v2: HTCondor delegates the job's cgroup, the box is a child of it, and what HTCondor reads there is true."""
import os
import signal

from harness import HELD, Case, require
from pool import until

IN_PLACE = {"should_transfer_files": "NO", "when_to_transfer_output": None}
REMOVED = {"JobStatus": 3}
OUT_OF_RESOURCES = 34
MEMORY = 200                                   # asked for; the pool rounds it up
ROOT = "/sys/fs/cgroup"


def cgroup(pid):
    """The directory of a process' cgroup."""
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as lines:
        return ROOT + next(line.rstrip("\n")[3:] for line in lines if line.startswith("0::"))


def value(directory, name):
    with open(f"{directory}/{name}", encoding="ascii") as file:
        return file.read().strip()


def box_of(run):
    """The cgroup that limits the box: with HTCondor's own above it and, for the payload, one more below."""
    below = cgroup(max(run.processes()))
    return next(path for path in parents(below) if os.path.basename(path).startswith("nestbox-"))


def parents(path):
    while path.startswith(ROOT + "/"):
        yield path
        path = os.path.dirname(path)


def limited_above(box):
    """The job's own cgroup; with 24.8 and later it may be a slice with a scope of its user's between it and the box."""
    return next(path for path in list(parents(box))[1:] if value(path, "memory.max") != "max")


def limits(run):
    """In force in the box's own cgroup, which is below the one that HTCondor limited; the keeper is outside."""
    run.said("ready")
    slot = run.queued()["MemoryProvisioned"] << 20
    box = box_of(run)
    memory, above = int(value(box, "memory.max")), limited_above(box)
    require(slot - (32 << 20) <= memory < slot and memory >= slot * 0.9, f"memory.max {memory}, slot {slot}")
    require(value(above, "memory.max") == str(slot), f"HTCondor's own: {value(above, 'memory.max')}, slot {slot}")
    require((value(box, "cpu.weight"), value(box, "pids.max")) == ("200", "4097"),
            f"cpu.weight {value(box, 'cpu.weight')}, pids.max {value(box, 'pids.max')}")
    require("/htcondor/" in box and run.pool.container in box, f"the box is in {box}")
    keeper = cgroup(run.keeper())
    require(keeper.startswith(above) and not keeper.startswith(box), f"the keeper is in {keeper}, its box is {box}")
    recorded = run.audit()[0]["nestbox"]["effective"]["limits"]
    require((recorded["memory_max"], recorded["pids_max"]) == (str(memory), "4097"), f"recorded: {recorded}")
    run.open_gate(run.case.name)


def held(run):
    """HTCondor saw the kill in its cgroup and its job's process die of SIGKILL: hold, with the code for resources."""
    run.event(HELD)
    ad = run.queued()
    require((ad["JobStatus"], ad["HoldReasonCode"]) == (5, OUT_OF_RESOURCES), f"{ad['HoldReasonCode']}: {ad['HoldReason']}")
    require("cgroup memory limit" in ad["HoldReason"], ad["HoldReason"])
    require(ad["NumJobStarts"] == 1, f"started {ad['NumJobStarts']} times")
    run.command("condor_rm")


def told_of_memory(run):
    """On the job's standard error, and in the end record with limit and peak."""
    slot = run.ads[0]["MemoryProvisioned"]
    limit = slot - min(32, slot // 16)
    with open(run.shared("out", f"{run.case.name}.0.err"), encoding="utf-8") as file:
        said = file.read()
    require(f"over its memory limit of {limit} MiB" in said and "request_memory" in said, f"standard error: {said!r}")
    end = run.ends()[0]["nestbox"]
    found = {key: end["exit"].get(key) for key in ("kind", "signal", "reason", "limit")}
    require(found == {"kind": "oom", "signal": 9, "reason": "memory", "limit": limit << 20}, f"recorded end: {end['exit']}")
    peak = end["usage"]["mem_peak"]
    require(limit * 0.9 <= peak / (1 << 20) <= limit, f"recorded peak {peak}, limit {limit} MiB")


def no_hold(run):
    require(not run.events(HELD), f"held: {run.log_text()}")
    require(run.ends()[0]["nestbox"]["exit"].get("reason") != "memory", f"recorded end: {run.ends()[0]['nestbox']['exit']}")


def remove(run):
    run.said("ready")
    box = box_of(run)
    run.command("condor_rm")
    run.gone(30)
    until(lambda: not os.path.exists(box), 10, f"the end of {box}")


def kill_keeper(run):
    run.said("ready")
    os.kill(run.keeper(), signal.SIGKILL)
    run.gone(30)


def suspend(run):
    """HTCondor freezes its own cgroup, and the box with it."""
    run.said("ready")
    box = box_of(run)
    run.command("condor_suspend")
    until(lambda: "frozen 1" in value(box, "cgroup.events").splitlines(), 20, "the freezing of the box")
    run.command("condor_continue")
    until(lambda: "frozen 0" in value(box, "cgroup.events").splitlines(), 20, "its thawing")
    run.open_gate(run.case.name)


def no_box_left(run):
    """Of the job's cgroups none has a process, none is a box's."""
    def left():
        return [path for path in run.pool.cgroups.tree() if "nestbox-" in path]
    until(lambda: not left(), 10, f"the end of the job's cgroups {left()}")


def case(name, why, args, expect, **more):
    check = more.pop("check", None)

    def both(run):
        if check:
            check(run)
        no_box_left(run)
    return Case("v2-" + name, why, args, expect, {**IN_PLACE, "request_memory": str(MEMORY), **more.pop("submit", {})}, check=both,
                cgroups=("v2",), **more)


READY = ("say", "ready", "gate")
CASES = [
    case("limits", "the box has a cgroup of its own in the job's, with the slot's limits, and the record says the same",
         (*READY, "/srv/test/gate/v2-limits", "exit", 7), {"ExitCode": 7, "ExitBySignal": False}, steps=limits,
         submit={"request_cpus": "2"}),
    case("oom", "a payload over its memory limit: HTCondor itself holds the job, and the job's standard error says why",
         ("alloc", 400, "exit", 0), REMOVED, steps=held, check=told_of_memory),
    case("kill", "a payload that dies of SIGKILL by itself is not held", ("raise", 9), {"ExitBySignal": True, "ExitSignal": 9},
         check=no_hold),
    case("remove", "condor_rm: the payload gets SIGTERM, and nothing is left of box and cgroup",
         ("daemon", "trap", 15, *READY, "/srv/test/gate/none"), REMOVED, steps=remove),
    case("keeper", "SIGKILL of the keeper: the box ends, its cgroup goes with the job's",
         ("daemon", *READY, "/srv/test/gate/none"), {"ExitBySignal": True, "ExitSignal": 9}, steps=kill_keeper),
    case("suspend", "a suspended box is frozen, then goes on", (*READY, "/srv/test/gate/v2-suspend", "exit", 6),
         {"ExitCode": 6}, steps=suspend),
]
