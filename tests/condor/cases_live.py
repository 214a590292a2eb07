# SPDX-License-Identifier: Apache-2.0
"""What is done to a running job: removal, hold, vacate, suspension, kills. Jobs without file transfer: their output file
is written in place and can be read meanwhile."""
import os
import time

from harness import EVICTED, EXECUTE, HELD, Case, require
from pool import until

IN_PLACE = {"should_transfer_files": "NO", "when_to_transfer_output": None}
REMOVED = {"JobStatus": 3}


def remove(run):
    run.said("ready")
    run.command("condor_rm")


def hold(run):
    run.said("ready")
    run.command("condor_hold")
    run.event(HELD)
    ad = run.queued()
    require((ad["JobStatus"], ad["HoldReasonCode"]) == (5, 1), f"held with {ad['HoldReasonCode']}: {ad['HoldReason']}")
    run.gone()
    run.command("condor_rm")


def vacate(*options):
    def steps(run):
        run.said("ready")
        run.pool.run(["condor_vacate_job", *options, str(run.cluster)], user="alice")
        run.event(EVICTED)
        run.open_gate(run.case.name)
        run.event(EXECUTE, 2)
    return steps


def suspend(run):
    """Seen by the output standing still: without cgroup accounting the starter does not report a suspension."""
    run.said("tick 3")
    run.command("condor_suspend")
    until(lambda: stands_still(run), 20, "the payload's standstill")
    require("tick 59" not in run.output(), "the payload ran on to its end")
    require(run.processes(), "the job's processes are gone")
    run.command("condor_continue")


def stands_still(run):
    before = run.output()
    time.sleep(1)
    return run.output() == before


def kill_keeper(run):
    run.said("ready")
    require(len(run.processes()) >= 2, f"no box: {len(run.processes())} process")
    os.kill(run.keeper(), 9)


def kill_payload(run):
    run.said("ready")
    payload = [pid for pid in run.processes() if argument0(pid).endswith("/payload")]
    require(len(payload) == 1, f"payloads: {payload}")
    os.kill(payload[0], 9)


def argument0(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")[0]


def ended(run):
    """SIGTERM's handler ended the payload, and the record was written before HTCondor lost patience."""
    told("signal 15")(run)
    found = until(lambda: run.ends().get(0), 5, "the end record")["process"]["exit_code"]
    require(found == 40, f"recorded exit code {found}")


def told(*words):
    def check(run):
        for word in words:
            require(word in run.output().splitlines(), f"the payload did not say '{word}'")
    return check


def untold(run):
    require("signal 15" not in run.output(), "the payload had a SIGTERM")


def limits(run):
    """The memory limit in force is the slot's, less what the keeper keeps; the record says the same."""
    run.said("ready")
    slot = run.queued()["MemoryProvisioned"] << 20
    limit = memory_limit(run, max(run.processes()))
    require(slot - (64 << 20) <= limit <= slot, f"memory limit {limit}, slot {slot}")
    recorded = run.audit()[0]["nestbox"]["effective"]["limits"]["memory_limit_in_bytes"]
    require(recorded == str(limit), f"recorded limit {recorded}, in force {limit}")
    run.open_gate(run.case.name)


def memory_limit(run, pid):
    """The least of the process' own cgroup and those above it, within the worker container's."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as lines:
        path = next(line.rstrip("\n").split(":", 2)[2] for line in lines if ":memory:" in line)
    found, inside = [], False
    while run.pool.container in path:
        with open(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes", encoding="ascii") as file:
            found.append(int(file.read()))
        inside = inside or "/htcondor/" in path
        path = os.path.dirname(path)
    require(inside or run.pool.mode == "user", "the box is not in the cgroup that HTCondor made for the job")
    return min(found)


def provisioned(cpus, memory):
    def check(run):
        ad = run.ads[0]
        require(ad["CpusProvisioned"] == cpus, f"CpusProvisioned {ad['CpusProvisioned']}")
        require(ad["MemoryProvisioned"] == memory, f"MemoryProvisioned {ad['MemoryProvisioned']}")
    return check


def case(name, why, args, expect, steps, **more):
    submit = {**IN_PLACE, **more.pop("submit", {})}
    return Case(name, why, args, expect, submit, steps=steps, **more)


READY = ("say", "ready", "gate")
CASES = [
    case("remove", "condor_rm: the payload gets SIGTERM and may end itself", ("trap", 15, *READY, "/srv/test/gate/none"),
         REMOVED, remove, check=ended),
    case("remove-deaf", "condor_rm of a payload that ignores SIGTERM: nothing of it is left after the vacate time",
         ("ignore", 15, "daemon", *READY, "/srv/test/gate/none"), REMOVED, remove, submit={"job_max_vacate_time": "2"}),
    case("hold", "condor_hold: SIGTERM, then held", ("trap", 15, *READY, "/srv/test/gate/none"), REMOVED, hold,
         check=told("signal 15")),
    case("kill-signal", "the signal that the job chose reaches the payload in place of SIGTERM",
         ("note", 15, "trap", 10, *READY, "/srv/test/gate/none"), REMOVED, hold, submit={"kill_sig": "SIGUSR1"},
         check=lambda run: (told("signal 10")(run), untold(run))),
    case("vacate", "condor_vacate_job: the job ends, starts again, and its second end counts",
         ("trap", 15, *READY, "/srv/test/gate/vacate", "exit", 9), {"ExitCode": 9, "NumShadowStarts": 2}, vacate()),
    case("vacate-fast", "a fast vacate kills without asking, and nothing is left",
         ("note", 15, "daemon", *READY, "/srv/test/gate/vacate-fast", "exit", 9), {"ExitCode": 9, "NumShadowStarts": 2},
         vacate("-fast"), check=untold),
    case("suspend", "a suspended payload stands still, then goes on and ends as itself", ("tick", 60, "exit", 7),
         {"ExitCode": 7, "ExitBySignal": False}, suspend, check=told("tick 59")),
    case("keeper-killed", "SIGKILL of the keeper ends the box with it, and the job as killed",
         ("daemon", *READY, "/srv/test/gate/none"), {"ExitBySignal": True, "ExitSignal": 9}, kill_keeper),
    case("payload-killed", "SIGKILL of the payload is the job's end",
         (*READY, "/srv/test/gate/none"), {"ExitBySignal": True, "ExitSignal": 9}, kill_payload),
    case("request-literal", "limits in force are those of the slot", (*READY, "/srv/test/gate/request-literal"),
         {"ExitCode": 0}, limits, submit={"request_memory": "200", "request_cpus": "2"}, check=provisioned(2, 256), cgroups=("v1",)),
    case("request-expression", "so they are when the requests were expressions",
         (*READY, "/srv/test/gate/request-expression"), {"ExitCode": 0}, limits,
         submit={"request_memory": "ifThenElse(JobUniverse == 5, 150, 1)", "request_cpus": "1 + 1"},
         check=provisioned(2, 256), cgroups=("v1",)),
]
