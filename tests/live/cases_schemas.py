# SPDX-License-Identifier: Apache-2.0
"""What --json prints, and what boxes and logs hold, is what the installed schemas say: no member more, none of another kind."""
import copy
import glob
import json
import os
import re
import subprocess
import sys
import time
import uuid

import jsonschema

from box import UID, ended, require
from cases_check import mounted
from cases_record import log_of
from collect_lab import collector
from secretsite import LEASED, PROXY, agent, said, site, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

import ecs  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data")


def schema(live, name):
    prefix = os.path.dirname(os.path.dirname(live.nestbox))
    with open(f"{prefix}/share/nestbox/schemas/{name}.json", encoding="utf-8") as stream:
        read = json.load(stream)
    jsonschema.Draft202012Validator.check_schema(read)
    return jsonschema.Draft202012Validator(read)


def fits(validator, value, what):
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    require(not wrong, f"{what}: {wrong[:5]}")


def asked(live, name, *args, statuses=(0,)):
    """The answer of a verb, by its schema; and that the schema would see a member more."""
    done = live.run(*args)
    require(done.returncode in statuses, f"{args}: status {done.returncode}: {done.stderr}")
    validator, value = schema(live, name), json.loads(done.stdout)
    fits(validator, value, " ".join(args))
    require(value["schema_version"] == 1, done.stdout)
    require(not validator.is_valid({**value, "undocumented": 1}), f"{name}: the schema takes whatever comes")
    return value


def policy(live, **keys):
    top = live.path("schemas-" + uuid.uuid4().hex[:8])
    os.makedirs(top + "/log")
    os.chmod(top + "/log", 0o1777)
    path = top + "/policy.json"
    with open(path, "w", encoding="ascii") as stream:
        json.dump({"version": 1, "audit": {"sinks": [{"type": "file", "path": top + "/log"}]}, **keys}, stream)
    return path, top + "/log"


def case_plan(live):
    asked(live, "explain", "exec", "--explain", "--json", "/", "true")
    if not live.caller.is_root:  # no job is root's
        asked(live, "explain", "--explain", "--json", "wrap", "/bin/true", "--explain")
    asked(live, "explain", "exec", "--explain", "--json", "--profile", "strict", "--net", "-B", "/etc:/mnt:ro", live.image, "true")


def case_running_boxes(live):
    box = live.start("exec", live.image, "sleep", "600")
    try:
        for _ in range(3000):
            lines = [json.loads(line) for line in live.run("ps", "--json").stdout.splitlines()]
            if [one for one in lines if one.get("keeper_pid") == box.pid and one.get("state") == "running"]:
                break
            time.sleep(0.02)
        own = [one for one in lines if one.get("keeper_pid") == box.pid]
        require(own, f"the box is not among {lines}")
        validator = schema(live, "ps")
        for one in lines:
            fits(validator, one, "ps --json")
        require(not validator.is_valid({**own[0], "undocumented": 1}), "the schema takes whatever comes")
    finally:
        box.terminate()
        box.communicate()


def case_worker(live):
    for captured in sorted(glob.glob(f"{DATA}/identity/**/", recursive=True)):
        if os.path.exists(captured + "cgroup"):
            asked(live, "identity", "identity", "--format", "json", "--from", captured)
    asked(live, "identity", "identity", "--format", "json")
    asked(live, "doctor", "doctor", "--json", statuses=(0, 1, 2))
    asked(live, "check", "check", "--json", statuses=(0, 1, 2))


def case_policies(live):
    shown = asked(live, "policy-show", "policy", "show", "--json")
    keys = json.loads(live.run("policy", "schema").stdout)["properties"]
    require(shown["policy"] and set(shown["policy"]) <= set(keys), f"{sorted(set(shown['policy']) - set(keys))}")
    path, _ = policy(live)
    asked(live, "policy-check", "policy", "check", "--json", path)
    path, _ = policy(live, nosuchkey=1)
    asked(live, "policy-check", "policy", "check", "--json", path, statuses=(1,))


def case_inside_a_box(live):
    done = live.run("exec", live.image, "cat", "/run/nestbox/status.json")
    ended(done, 0)
    validator, value = schema(live, "status"), json.loads(done.stdout)
    fits(validator, value, "status.json")
    require(not validator.is_valid({**value, "undocumented": 1}), "the schema takes whatever comes")


def members(value):
    """Every object in it."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from members(inner)


def records(path):
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                yield json.loads(line)
            except ValueError:
                continue  # torn by a case on purpose: verify's business


def case_records(live):
    path, log = policy(live)
    ended(live.run("exec", "--policy", path, live.image, "sh", "-c", "exit 3"), 3)
    ended(live.run("exec", "--policy", path, live.image, "sh", "-c", "kill -9 $$"), -9)
    ended(live.run("exec", "--policy", path, "-B", "/nowhere:/mnt", live.image, "true"), 125)
    found = asked(live, "audit-find", "audit", "find", "--json", "--since", "1h", "--from", log)
    require(len(found["boxes"]) >= 2, str(found))
    asked(live, "audit-verify", "audit", "verify", "--json", "--from", log)
    with open(glob.glob(log + "/*.jsonl")[0], encoding="ascii") as stream:
        whole = stream.read()
    with open(live.path("damaged.jsonl"), "w", encoding="ascii") as stream:
        stream.write(whole.replace('"kind":"event"', '"kind":"Event"', 1))
    wrong = asked(live, "audit-verify", "audit", "verify", "--json", "--from", live.path("damaged.jsonl"), statuses=(1,))
    require(wrong["faults"] == len([one for one in wrong["findings"] if one["severity"] == "fault"]) > 0, str(wrong))
    validator = schema(live, "audit-record")
    own = [one for name in glob.glob(log + "/*.jsonl") for one in records(name)]
    require({"sandbox-start", "sandbox-end", "config-loaded"} == {one["event"]["action"] for one in own}, f"{len(own)} records")
    for one in own:
        fits(validator, one, one["event"]["action"])
    for number in range(sum(1 for _ in members(own[0]))):
        more = copy.deepcopy(own[0])
        at = list(members(more))[number]
        at["Undocumented"] = 1
        require(not validator.is_valid(more), f"the schema takes whatever comes in {at}")


def documented_actions():
    """The kinds of records that docs/audit-log.md lists."""
    with open(os.path.join(HERE, "..", "..", "docs", "audit-log.md"), encoding="utf-8") as stream:
        table = stream.read().split("<!-- actions -->")[1].split("<!-- /actions -->")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))


def made(live, path):
    """One record at least of every kind but those of secrets and of nestbox kill, in the log that the policy names."""
    box = live.start("exec", "--policy", path, live.image, "sleep", "600")
    for _ in range(500):
        running = [one for one in map(json.loads, live.run("ps", "--json").stdout.splitlines()) if one["keeper_pid"] == box.pid]
        if running and live.run("enter", running[0]["id"], "true").returncode == 0:
            break
        time.sleep(0.02)
    ended(live.run("kill", "--grace", "0", running[0]["id"]), 0)
    box.wait()
    ended(live.run("exec", "--policy", path, live.image, "sleep", "600"), -15)  # wall time
    for _ in range(12):
        ended(live.run("exec", "--policy", path, "/nowhere", "true"), 125)
    require(live.run("exec", "--policy", path, live.image, "true", program=live.broken, env={**live.env, "NESTBOX_DIE": "after:sync"}).returncode == -9,
            "not killed")
    ended(live.run("exec", "--policy", path, live.image, "true"), 0)


def case_every_kind_of_record(live):
    """One at least of each kind that the page lists, as it is made: the schema and Elastic's field types take it, and no member more."""
    path, log = policy(live, limits={"wall_time": "2s"})
    subprocess.run([live.nestbox, "policy", "compile", path], check=True, stdout=subprocess.DEVNULL)  # the broken launcher has no compiler
    kept = len(list(records(log_of(live)))) if os.path.exists(log_of(live)) else 0
    made(live, path)
    name = glob.glob(log + "/*.jsonl")[0]
    with open(name, "ab") as stream:
        stream.write(b'{"torn')
    ended(live.run("exec", "--policy", path, live.image, "true"), 0)
    found = list(records(name)) + [one for one in list(records(log_of(live)))[kept:] if one["event"]["action"] == "sandbox-kill"]
    gone = {**PROXY, "name": "gone", "path": "secret/data/none", "env": "GONE", "required": False}
    with site(live, {**PROXY, "renew": True, "refresh": "1s"}, gone, LEASED, ttl=600) as s:
        running = s.start("echo up; exec sleep 600")
        said(running, b"up\n")
        s.agent.kv2["grid/proxy"].append(agent.kv2({"proxy": "the second"}, version=2))
        until("a renewal", lambda: s.events("secret-renewed"))
        running.terminate()
        running.wait()
        found += [json.loads(line) for line in s.log().splitlines()]
    kinds = {one["event"]["action"] for one in found}
    require(kinds == documented_actions(), f"{kinds ^ documented_actions()}")
    validator = schema(live, "audit-record")
    for one in found:
        fits(validator, one, one["event"]["action"])
        require(not validator.is_valid({**one, "undocumented": 1}), "the schema takes whatever comes")
    ecs.check(found)


WORKER = ("MesosTaskID", "MesosContainerID", "MesosContainerName", "MesosAgentID", "MesosFrameworkID", "WorkerContainerRuntime",
          "WorkerContainerID", "WorkerContainerImage", "WorkerContainerImageID", "WorkerPhysicalHost", "WorkerOrchestrator",
          "WorkerTaskID", "K8SPodName", "K8SNamespace", "K8SPhysicalHostName", "K8SPodUID", "K8SContainerName")
JOB = ("GlobalJobId", "Owner", "User", "AccountingGroup", "JobBatchName", "RemoteHost", "ScheddName", "x509UserProxySubject",
       "x509UserProxyVOName", "x509UserProxyFirstFQAN", "AuthTokenSubject", "AuthTokenIssuer", "AuthTokenId", "ChirpNestboxBoxId",
       "SubmitterGlobalJobId")
RECORDED = ("MesosExecutorID", "MarathonAppID", "MarathonAppVersion")
CLAIMED = ("MESOS_TASK_ID", "MESOS_CONTAINER_NAME", "MESOS_SLAVE_ID", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID", "MARATHON_APP_ID",
           "MARATHON_APP_VERSION", "MARATHON_APP_DOCKER_IMAGE", "container_uuid", "WORKER_CONTAINER_IMAGE_ID", "PHYSICAL_HOSTNAME",
           "NOMAD_ALLOC_ID", "K8S_POD_NAME", "MY_POD_UID", "POD_NAMESPACE", "NODE_NAME", "ECS_CONTAINER_METADATA_URI", "APPTAINER_CONTAINER",
           "PANDAID", "DIRACJOBID", "HOSTNAME")


def case_records_of_a_known_job(live):
    """Everything that can be known of a worker and a job at once."""
    mark = uuid.uuid4().hex
    os.makedirs("/run/nestbox", exist_ok=True)
    with open(live.path("known.ad"), "w", encoding="latin1") as stream:
        stream.write("".join(f'{name} = "{mark}\xff"\n' for name in JOB) + "".join(f'MachineAttr{name}0 = "{mark}-ad"\n' for name in WORKER) + "ClusterId = 7\nProcId = 0\nNumShadowStarts = 1\n")
    env = {**live.env, "_CONDOR_JOB_AD": live.path("known.ad"), "_CONDOR_SLOT": "slot1_1", **{name: mark + "\udcff" for name in CLAIMED}}
    with mounted("/run/nestbox", "-o", "mode=755"):
        with open("/run/nestbox/identity", "w", encoding="ascii") as stream:
            stream.write("".join(f'{name} = "{name}"\n' for name in WORKER + RECORDED))
        job = ["wrap", "/bin/true"]
        if live.caller.is_root:  # whose jobs are refused: as HTCondor does, it becomes the job's user
            ended(live.run("--reuid", str(UID), "--regid", str(UID), "--clear-groups", live.nestbox, *job, program="setpriv",
                           env=env), 0)
        else:
            ended(live.run(*job, env=env), 0)
    validator = schema(live, "audit-record")
    found = [one for name in glob.glob("/var/log/nestbox/*.jsonl") for one in records(name) if mark in json.dumps(one)]
    require(len(found) == 2, f"{len(found)} records")
    for one in found:
        fits(validator, one, one["event"]["action"])
    require({"condor", "wlcg", "mesos", "marathon", "k8s", "container", "orchestrator"} <= set(found[0]), str(sorted(found[0])))
    never = unwritten(found, "attested", "claimed", "condor", "wlcg", "mesos", "marathon", "k8s", "container", "orchestrator")
    require(not never, f"the schema has what no record can hold: {never}")


# What is not the start's, or not the launcher's to say.
ELSEWHERE = {"attested": {"by", "received", "keeper_start", "payload_pid", "payload_start", "launcher", "executable", "reconnected", "parent", "ns"}}


def unwritten(found, *objects):
    """Members of these objects in the schema that not one of the records has."""
    with open(os.path.join(HERE, "..", "..", "schemas", "audit-record.json"), encoding="utf-8") as stream:
        top = json.load(stream)["properties"]
    never = []
    for name in objects:
        inner = name in ("attested", "claimed")
        named = (top["nestbox"]["properties"] if inner else top)[name]["properties"]
        held = set().union(*((one["nestbox"] if inner else one).get(name, {}) for one in found))
        never += [f"{name}.{one}" for one in set(named) - held - ELSEWHERE.get(name, set())]
    return sorted(never)


def case_records_of_other_cases(live):
    """What the cases before this one left in the log."""
    ended(live.run("exec", live.image, "true"), 0)
    validator, kinds = schema(live, "audit-record"), set()
    for name in glob.glob("/var/log/nestbox/*.jsonl*"):
        for one in records(name):
            if "nestbox" in one and one["nestbox"].get("version"):
                fits(validator, one, f"{name}: {one.get('event', {}).get('action')}")
                kinds.add(one["event"]["action"])
    require({"sandbox-start", "sandbox-end"} <= kinds, str(kinds))


def case_collected_records(live):
    with collector(live) as c:
        ended(c.sh("exit 3"), 3)
        validator, found = schema(live, "audit-record"), list(records(c.log + "/audit-collector.jsonl"))
        require({"config-loaded", "sandbox-start", "sandbox-end"} <= {one["event"]["action"] for one in found}, str(len(found)))
        for one in found:
            fits(validator, one, one["event"]["action"])
