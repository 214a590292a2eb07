# SPDX-License-Identifier: Apache-2.0
"""What happens when the site's side is broken: no job is lost, and the sentence says who must act."""
import glob
import json
import os
import re

from cases_live import IN_PLACE, READY
from harness import EXECUTE, HELD, REMOTE_ERROR, Case, require
from pool import until

POLICY = "/etc/nestbox/policy.json"
BROKEN = '{"version": 1, "nosuchkey": true}\n'
NO_CVMFS = '{"version": 1, "cvmfs": {"required": true, "repositories": ["atlas.cern.ch"]}}\n'
INNER = '{"version": 1, "wrapper": {"inner": "/srv/test/bin/inner"}}\n'
SENTENCE = re.compile(r"policy\.json.*nosuchkey|nosuchkey.*policy\.json")
PREFLIGHT = {"+HookKeyword": '"NESTBOX"'}


def policy(text):
    """The site's policy for as long as the case lasts."""
    def write(run):
        os.makedirs(os.path.dirname(run.pool.path(POLICY)), exist_ok=True)
        with open(run.pool.path(POLICY), "w", encoding="ascii") as file:
            file.write(text)
    return write


def mend_policy(run):
    """As it was: without a policy of the site the built-in one serves."""
    path = run.pool.path(POLICY)
    if os.path.exists(path):
        os.unlink(path)


def requeued(run):
    """Back in the queue with the sentence, as often as it is tried; done as soon as the policy is right again."""
    run.event(REMOTE_ERROR)
    ad = until(lambda: idle(run), 30, "the job idle again")
    require(SENTENCE.search(ad["VacateReason"]), f"VacateReason: {ad['VacateReason']}")
    mend_policy(run)


def unexecutable(run):
    """The program is refused before anything is taken for its result."""
    run.event(REMOTE_ERROR)
    ad = until(lambda: idle(run), 30, "the job idle again")
    require("garbage" in ad["VacateReason"], f"VacateReason: {ad['VacateReason']}")
    run.command("condor_rm")


def idle(run):
    ad = run.queued()
    return ad if ad.get("JobStatus") == 1 and ad.get("VacateReason") else None


def held(run):
    run.event(HELD)
    ad = run.queued()
    require(ad["HoldReasonCode"] == 19, f"HoldReasonCode {ad['HoldReasonCode']}: {ad['HoldReason']}")
    require(1 <= ad["HoldReasonSubCode"] < 300, f"HoldReasonSubCode {ad['HoldReasonSubCode']}")
    require(SENTENCE.search(ad["HoldReason"]), f"HoldReason: {ad['HoldReason']}")
    require(not run.events(EXECUTE), "the payload was started")
    mend_policy(run)
    run.command("condor_release")


def held_program(run):
    """As HTCondor itself does without a wrapper."""
    run.event(HELD)
    ad = run.queued()
    require((ad["HoldReasonCode"], ad["HoldReasonSubCode"]) == (19, 101), f"held with {ad['HoldReasonCode']}.{ad['HoldReasonSubCode']}")
    require("garbage" in ad["HoldReason"] and "the user must" in ad["HoldReason"], f"HoldReason: {ad['HoldReason']}")
    require(not run.events(EXECUTE), "it was started")
    run.command("condor_rm")


def record_hook(run):
    """The hook as it is, but for the program that it starts."""
    with open(run.pool.path("/usr/libexec/nestbox/prepare-job"), encoding="utf-8") as file:
        text = file.read()
    require(text.count("/usr/bin/nestbox ") == 1, "the hook does not call /usr/bin/nestbox")
    path = run.pool.path("/usr/libexec/nestbox/prepare-record")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("/usr/bin/nestbox ", "/srv/test/bin/recorder "))
    os.chmod(path, 0o755)


def nothing_of_the_starter(run):
    with open(run.shared("out", "recorded"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    require("arg exec" in lines, f"the recorder was not called as nestbox: {lines}")
    leaked = [line for line in lines if "CONDOR" in line or "socket:" in line]
    require(not leaked, f"of the starter's: {leaked}")


def turned_away(run):
    """The worker is at fault: the job waits for another one, and runs here as soon as this one is right."""
    run.event(REMOTE_ERROR)
    ad = until(lambda: idle(run), 30, "the job idle again")
    require("status 301" in ad["VacateReason"] and "/cvmfs/atlas.cern.ch" in ad["VacateReason"],
            f"VacateReason: {ad['VacateReason']}")
    require(not run.events(EXECUTE), "the payload was started")
    mend_policy(run)


def wrapped(run):
    require("env INNER=yes" in run.output().splitlines(), "the inner wrapper did not run")
    require(run.lines("arg ") == ["612062", ""], f"arguments {run.lines('arg ')}")


def boxes(run, action):
    return [record["nestbox"]["id"] for record in run.cluster_audit() if record["event"]["action"] == action]


def registered(run, box):
    return glob.glob(run.pool.path("/run/nestbox/boxes/*/" + box)) + glob.glob(run.pool.path("/tmp/nestbox-*/" + box))


def kill_a_registered_keeper(run):
    """The box is in the registry when its keeper dies, and stays there: nobody is left to take it out."""
    run.said("ready")
    require(len(boxes(run, "sandbox-start")) == 1, "no start record")
    until(lambda: registered(run, boxes(run, "sandbox-start")[0]), 20, "the box's entry in the registry")
    os.kill(run.keeper(), 9)


def lost_and_told(run):
    """No other job of this user came by, and yet its log tells of the loss."""
    box = boxes(run, "sandbox-start")[0]
    until(lambda: box in lost(run), 20, "the record of the lost box")
    require(not registered(run, box), "the entry of the lost box is still there")


def lost(run):
    found = []
    for path in glob.glob(run.pool.path("/var/log/nestbox/*.jsonl")):
        with open(path, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        found += [record["nestbox"]["id"] for record in records if record["event"]["action"] == "sandbox-lost"]
    return found


def starts(run):
    count = 0
    for path in glob.glob(run.pool.path("/var/log/nestbox/*.jsonl")):
        with open(path, encoding="utf-8") as file:
            count += sum('"action":"sandbox-start"' in line for line in file)
    return count


def count_starts(run):
    run.starts = starts(run)


def one_start(run):
    """The hook ran before HTCondor said that the job had ended."""
    require(starts(run) == run.starts + 1, f"{starts(run) - run.starts} boxes for one job")


CASES = [
    Case("refused", "a box that can't be made is no job's result: back to the queue with the sentence, then done",
         ("exit", 5), {"ExitCode": 5, "ExitBySignal": False}, before=policy(BROKEN), steps=requeued, after=mend_policy,
         alone=True),
    Case("inner", "the site's own wrapper runs inside the box, with the job's arguments", ("environ", "argv", "a b", ""),
         {"ExitCode": 0}, before=policy(INNER), check=wrapped, after=mend_policy, alone=True),
    Case("no-program", "a file that is no program is never taken for a job that ran", ("exit", 0), {"JobStatus": 3},
         {"executable": "/srv/test/bin/garbage"}, steps=unexecutable),
    Case("job-exit", "a killed keeper's box is recorded as lost right after its job, by the hook", (*READY, "/srv/test/gate/none"),
         {"ExitBySignal": True, "ExitSignal": 9}, {**IN_PLACE, "+HookKeyword": '"EXITED"'}, steps=kill_a_registered_keeper,
         check=lost_and_told, modes=("user",), alone=True),
    Case("job-exit-quiet", "after a job with an end of its own the hook makes no box", ("exit", 12), {"ExitCode": 12},
         {"+HookKeyword": '"EXITED"'}, before=count_starts, check=one_start, modes=("user",), alone=True),
    Case("preflight", "the trial box before the job changes nothing when it works", ("exit", 6), {"ExitCode": 6}, PREFLIGHT),
    Case("preflight-program", "a file that is no program is held before it is started", ("exit", 0), {"JobStatus": 3},
         {**PREFLIGHT, "executable": "/srv/test/bin/garbage"}, steps=held_program),
    Case("preflight-clean", "neither the starter's session keys nor its socket reach nestbox by way of the hook", ("exit", 0),
         {"ExitCode": 0}, {"+HookKeyword": '"RECORD"'}, before=record_hook, check=nothing_of_the_starter),
    Case("preflight-held", "the trial box puts the job on hold with the sentence before anything of it runs", ("exit", 7),
         {"ExitCode": 7}, PREFLIGHT, before=policy(BROKEN), steps=held, after=mend_policy, alone=True),
    Case("preflight-requeued", "or sends it back to the queue when this worker is at fault", ("exit", 8), {"ExitCode": 8},
         PREFLIGHT, before=policy(NO_CVMFS), steps=turned_away, after=mend_policy, alone=True),
]
