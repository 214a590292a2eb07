# SPDX-License-Identifier: Apache-2.0
"""What a job sees, leaves and forges."""
import json
import os

from harness import EXECUTE, Case, require
from pool import until

CHIRP = "/usr/libexec/condor/condor_chirp"
SECRETS = ("/etc/condor/condor_config", "/etc/condor/config.d/10-test.conf", "/etc/condor/tokens.d/pool",
           "/var/log/condor/MasterLog", "/var/log/condor/StartLog", "/var/spool/condor/job_queue.log",
           "/srv/test/log/smoke")
PRIVATE = ("/etc/condor", "/var/log/condor", "/var/spool/condor", "/run/condor", "/run/lock/condor", "/var/log/nestbox")
TASK = "grid-wn.5030b218-53bb-ce49-f4e6-02f60e3afe70"
IMAGE = "registry.example.org/grid/wn:sl6-20160601"


def steps_of(verb, paths):
    return tuple(word for path in paths for word in (verb, path))


def nothing_private(run):
    seen = [line for line in run.lines("probe ") if line.endswith(("content", "empty")) and "/srv/test" not in line]
    require(not seen, f"readable: {seen}")
    listed = [line for line in run.lines("list ") if not line.endswith((":", "No such file or directory",
                                                                       "Permission denied"))]
    require(not listed, f"listed: {listed}")
    require(any(line == "/srv/test/log/smoke: content" for line in run.lines("probe ")), "the probe itself does not work")


def plain_process(run):
    me = run.lines("self ")[0].split()
    values = dict(zip(me[0::2], me[1::2]))
    require(values["nnp"] == "1" and values["seccomp"] == "2", f"no_new_privs and seccomp: {values}")
    require(values["uid"] != "0", "the payload is uid 0")
    require(run.lines("fd ") == ["0", "1", "2"], f"descriptors {run.lines('fd ')}")
    require(len(run.lines("proc ")) == 2, f"processes: {run.lines('proc ')}")


def scratch_clean(run):
    names = {name for line in run.lines("list .:") for name in line.split()}
    known = {".job.ad", ".machine.ad", ".chirp.config", ".update.ad", "_condor_stdout", "_condor_stderr", "payload",
             "tmp", "var", "data", "result"}
    require(names and names <= known, f"in scratch: {sorted(names - known)}")
    left = sorted(os.listdir(run.shared("iwd")))
    require("result" in left and not [name for name in left if name.startswith(".")], f"transferred back: {left}")


def boxed(run):
    require(" nnp 1 seccomp 2" in run.lines("self ")[0], f"no box: {run.lines('self ')}")


def in_place(run):
    require(run.lines("cwd ") == ["/srv/test/iwd"], f"cwd {run.lines('cwd ')}")



def over_limit(run):
    found = run.ends()[0]["nestbox"]["exit"]
    require((found["kind"], found["signal"], found["reason"]) == ("oom", 9, "memory"), f"recorded end: {found}")


def both_at_gate(run):
    """Each job has made its file in its own /tmp."""
    run.event(EXECUTE, 2)

    def made(proc):
        return any(os.path.exists(f"/proc/{pid}/root/tmp/mine-{proc}") for pid in run.processes())
    until(lambda: made(0) and made(1), 20, "two jobs at their gates")
    run.open_gate(run.case.name)


def strangers(run):
    for proc, other in ((0, 1), (1, 0)):
        text = "\n".join(run.lines("list ", proc) + run.lines("proc ", proc))
        require(f"mine-{proc}" in text, f"job {proc} does not see its own files")
        require(f"mine-{other}" not in text, f"job {proc} sees files of job {other}")
        require(len(run.lines("proc ", proc)) == 2, f"job {proc} sees processes {run.lines('proc ', proc)}")
        siblings = next(line for line in text.splitlines() if line.startswith("/var/lib/condor/execute:"))
        require(siblings.count("dir_") <= 1, f"job {proc} sees {siblings}")


def forged(run):
    ad = run.ads[0]
    require(ad.get("ChirpMesosTaskID") == "forged", "the attribute that a job may set was not set: nothing was tried")
    require(ad.get("MachineAttrMesosTaskID0") == TASK, f"MachineAttrMesosTaskID0 {ad.get('MachineAttrMesosTaskID0')!r}")
    require(ad.get("MachineAttrWorkerContainerID0") == run.pool.container, "the submit file's forgery stands")
    tried = run.lines("run: ")
    require(tried == ["exit 0", "exit 255"], f"setting a Chirp attribute and the machine's: {tried}")
    require(not ad.get("VacateReason"), f"VacateReason {ad.get('VacateReason')!r}")
    require("write .job_wrapper_failure: done" in run.output(), "the error file was not forged: nothing was tried")
    require(not os.path.exists(run.shared("iwd", ".job_wrapper_failure")), ".job_wrapper_failure came back")


def identity(run):
    ad = run.ads[0]
    wanted = {"MesosTaskID": TASK, "WorkerContainerID": run.pool.container, "WorkerContainerImage": IMAGE}
    for name, value in wanted.items():
        found = ad.get(f"MachineAttr{name}0")
        require(found == value, f"MachineAttr{name}0 is {found!r}, not {value!r}")
    machine = run.pool.ads(["condor_status"])[0]
    require(machine.get("HasNestbox") is True and machine.get("NestboxVersion"), "the machine ad lacks nestbox's version")
    health = machine.get("NESTBOX_HEALTHY"), machine.get("NESTBOX_STATUS")
    require(health == (True, "ok"), f"the worker runs jobs, and its ad says {health}")


def edit(run):
    run.event(EXECUTE)
    done = run.pool.run(["condor_qedit", str(run.cluster), "MachineAttrMesosTaskID0", '"forged"'], user="alice", check=False)
    require(done.returncode != 0, f"condor_qedit: {done.stdout}")
    run.open_gate(run.case.name)


def streamed(run):
    require(run.output().splitlines() == ["input", "run: exit 0"], f"output {run.output()!r}")


def audited(run):
    records = run.audit()
    actions = [record["event"]["action"] for record in records]
    require(actions == ["sandbox-start", "sandbox-end"], f"records of the job: {actions}")
    text = json.dumps(records[0])
    for name, value in (("task", TASK), ("container", run.pool.container), ("image", IMAGE)):
        require(value in text, f"the start record lacks the {name} {value}")
    require(records[1]["process"]["exit_code"] == 23, f"end record: {records[1]['process']}")
    done = run.pool.run(["nestbox", "audit", "verify"], check=False)
    require(done.returncode == 0, f"nestbox audit verify: {done.stdout}{done.stderr}")


CASES = [
    Case("process", "the payload: its own uid, no_new_privs, a filter, three descriptors, alone with pid 1",
         ("self", "procs"), {"ExitCode": 0}, check=plain_process),
    Case("hidden", "HTCondor's configuration, tokens, logs, queue and nestbox's log can't be read or listed",
         (*steps_of("probe", SECRETS), *steps_of("list", PRIVATE)), {"ExitCode": 0}, check=nothing_private),
    Case("neighbours", "two jobs see neither scratch, tmp, shared memory nor processes of each other",
         ("write", "mine-$(ProcId)", "x", "write", "/dev/shm/mine-$(ProcId)", "x", "write", "/tmp/mine-$(ProcId)", "x",
          "gate", "/srv/test/gate/neighbours", "list", ".", "list", "/tmp", "list", "/dev/shm", "list",
          "/var/lib/condor/execute", "procs"), {"ExitCode": 0}, queue="queue 2", steps=both_at_gate, check=strangers),
    Case("files", "input and output files move as ever, and nothing of nestbox's with them",
         ("run", 2, "/bin/cat", "data", "list", ".", "write", "result", "text"), {"ExitCode": 0},
         {"transfer_input_files": "/srv/test/input/data"}, check=scratch_clean),
    Case("in-place", "a job without file transfer runs in its submit directory", ("self",), {"ExitCode": 0},
         {"should_transfer_files": "NO", "when_to_transfer_output": None}, check=in_place),
    Case("local-universe", "so does one beside the schedd, which is in no slot", ("self", "exit", 4), {"ExitCode": 4, "NumShadowStarts": 1},
         {"universe": "local", "should_transfer_files": None, "when_to_transfer_output": None}, check=boxed),
    Case("daemons", "daemons that left session and parent are gone with the job", ("daemon", "daemon", "exit", 3),
         {"ExitCode": 3, "ExitBySignal": False}),
    Case("memory", "a payload over its memory limit is killed by SIGKILL", ("alloc", 400, "exit", 0),
         {"ExitBySignal": True, "ExitSignal": 9, "ChirpNestboxOom": True, "ChirpNestboxReason": "memory"}, check=over_limit,
         cgroups=("v1",)),
    Case("chirp", "Chirp works from within the box", ("run", 4, CHIRP, "set_job_attr_delayed", "ChirpX", "7"),
         {"ExitCode": 0, "ChirpX": 7}),
    Case("forgery", "ads, error file and attributes that a job forges change neither its end nor its identity",
         ("write", ".job.ad", 'ClusterId = 1', "write", ".machine.ad", "Memory = 1", "write", ".job_wrapper_failure", "no",
          "run", 4, CHIRP, "set_job_attr_delayed", "ChirpMesosTaskID", '"forged"', "say", "now the machine's", "run", 4, CHIRP,
          "set_job_attr", "MachineAttrMesosTaskID0", '"forged"', "exit", 0),
         {"ExitCode": 0, "NumShadowStarts": 1}, {"+WantIOProxy": "true", "+MachineAttrWorkerContainerID0": '"forged"'},
         check=forged),
    Case("owner-forgery", "nor can the job's owner overwrite that identity", ("gate", "/srv/test/gate/owner-forgery"),
         {"ExitCode": 0}, steps=edit, check=identity, modes=("root",)),
    Case("streams", "standard input and streamed output pass", ("run", 1, "/bin/cat"), {"ExitCode": 0},
         {"input": "/srv/test/input/data", "stream_output": "true"}, check=streamed),
    Case("identity", "condor_history knows the task, container and image that the job ran in", ("exit", 0),
         {"ExitCode": 0}, check=identity),
    Case("audit", "so does the audit log, with the job's end", ("exit", 23), {"ExitCode": 23}, check=audited),
]
