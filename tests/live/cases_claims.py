# SPDX-License-Identifier: Apache-2.0
"""What a job says of its worker, in its environment and its ad: recorded as claimed, and nothing else changes."""
import base64
import contextlib
import glob
import json
import os
import subprocess
import uuid

from box import ended, require
from cases_check import mounted
from cases_record import parsed, records, wrapped

# claim: the attribute that root's file knows, and the variables with which runtimes and manifests say the same
TRUTH = {
    "mesos_task_id": ("MesosTaskID", "MESOS_TASK_ID", "mesos_task_id"),
    "mesos_container_id": ("MesosContainerID",),
    "mesos_container_name": ("MesosContainerName", "MESOS_CONTAINER_NAME"),
    "mesos_agent_id": ("MesosAgentID", "MESOS_SLAVE_ID", "MESOS_AGENT_ID"),
    "mesos_framework_id": ("MesosFrameworkID", "MESOS_FRAMEWORK_ID"),
    "mesos_executor_id": ("MesosExecutorID", "MESOS_EXECUTOR_ID"),
    "marathon_app_id": ("MarathonAppID", "MARATHON_APP_ID"),
    "marathon_app_version": ("MarathonAppVersion", "MARATHON_APP_VERSION"),
    "container_id": ("WorkerContainerID", "container_uuid"),
    "container_image": ("WorkerContainerImage", "WORKER_CONTAINER_IMAGE", "MARATHON_APP_DOCKER_IMAGE"),
    "container_image_id": ("WorkerContainerImageID", "WORKER_CONTAINER_IMAGE_ID"),
    "physical_host": ("WorkerPhysicalHost", "WORKER_PHYSICAL_HOST", "PHYSICAL_HOSTNAME"),
    "task_id": ("WorkerTaskID", "NOMAD_ALLOC_ID", "SWARM_TASK_ID", "DOCKER_TASK_ID"),
    "k8s_pod_name": ("K8SPodName", "K8S_POD_NAME", "POD_NAME", "MY_POD_NAME", "KUBERNETES_POD_NAME"),
    "k8s_pod_uid": ("K8SPodUID", "K8S_POD_UID", "POD_UID", "MY_POD_UID"),
    "k8s_namespace": ("K8SNamespace", "K8S_NAMESPACE", "POD_NAMESPACE", "MY_POD_NAMESPACE", "KUBERNETES_NAMESPACE"),
    "k8s_node_name": ("K8SPhysicalHostName", "K8S_NODE_NAME", "NODE_NAME", "MY_NODE_NAME", "KUBERNETES_NODE_NAME"),
}
ALONE = {"ecs_metadata_uri": "ECS_CONTAINER_METADATA_URI_V4", "apptainer_container": "APPTAINER_CONTAINER", "panda_id": "PANDAID",
         "dirac_job_id": "DIRACJOBID", "hostname": "HOSTNAME"}


@contextlib.contextmanager
def known(text):
    """A worker whose identity file has this text; "": it has none."""
    os.makedirs("/run/nestbox", exist_ok=True)
    with mounted("/run/nestbox", "-o", "mode=755"):
        if text:
            with open("/run/nestbox/identity", "w", encoding="ascii") as stream:
                stream.write(text)
        yield


def start_of(mark):
    lines = [one for name in glob.glob("/var/log/nestbox/*.jsonl") for one in parsed(name) if mark in json.dumps(one.get("process", {}))]
    return lines[0]


def forged_job(live, ad, variables):
    """The start record of a job whose ad and environment lie."""
    mark, path = uuid.uuid4().hex, live.path("forged.ad")
    with open(path, "w", encoding="ascii") as stream:
        stream.write("".join(f'{name} = "{value}"\n' for name, value in ad.items()))
    ended(wrapped(live, ["/bin/echo", mark], {**live.env, **variables, "_CONDOR_JOB_AD": path}), 0)
    return start_of(mark)


def only_claimed(start):
    rest = {**start, "nestbox": {**start["nestbox"], "claimed": None}}
    require("forged" not in json.dumps(rest), f"a forgery is attested: {rest}")
    return start["nestbox"].get("claimed", {})


def case_forged_identity_is_named(live):
    """Every variable of every runtime, one name after the other: claims beside what root's file says, and show warns."""
    text = "".join(f'{row[0]} = "real-{claim}"\n' for claim, row in TRUTH.items()) + 'WorkerOrchestrator = "mesos"\n'
    for turn in range(1, max(map(len, TRUTH.values()))):
        forged = {row[turn]: f"forged-{claim}" for claim, row in TRUTH.items() if len(row) > turn}
        alone = {variable: f"forged-{claim}" for claim, variable in ALONE.items()}
        with known(text):
            start = forged_job(live, {"Owner": "x"}, {**forged, **alone})
        claims = only_claimed(start)
        require(start["mesos"]["executor_id"] == "real-mesos_executor_id" and start["mesos"]["task_id"] == "real-mesos_task_id", str(start))
        require(start["marathon"] == {"app_id": "real-marathon_app_id", "app_version": "real-marathon_app_version"}, str(start))
        for claim, row in TRUTH.items():
            require(start["nestbox"]["attested"][claim] == f"real-{claim}", f"{claim}: {start['nestbox']['attested']}")
            require(claims.get(claim) == (f"forged-{claim}" if len(row) > turn else None), f"{row}: {claims}")
        require(all(claims[claim] == f"forged-{claim}" for claim in ALONE), str(claims))
        if os.geteuid() == 0:
            done = subprocess.run([live.nestbox, "audit", "show", "--from", "/var/log/nestbox", start["nestbox"]["id"]], env=live.env,
                                  capture_output=True, text=True, check=False)
            ended(done, 0, f"WARNING: the job claimed {len(forged)} thing")


def case_forged_ad_is_named(live):
    """Attributes of the machine that a job writes into its ad, and Chirp's: claims, and where the environment says something else, both."""
    ad = {f"MachineAttr{row[0]}0": f"forged-{claim}" for claim, row in TRUTH.items()}
    text = "".join(f'{row[0]} = "real-{claim}"\n' for claim, row in TRUTH.items())
    with known(text):
        start = forged_job(live, {**ad, "Owner": "x", "ChirpNestboxBoxId": "forged-box"}, {"MESOS_TASK_ID": "forged-too"})
    claims = only_claimed(start)
    require(claims["chirp_box"] == "forged-box" and claims["mesos_task_id"] == "forged-too", str(claims))
    require(claims["mesos_task_id_in_ad"] == "forged-mesos_task_id", str(claims))
    require(all(claims[claim] == f"forged-{claim}" for claim in TRUTH if claim != "mesos_task_id"), str(claims))


def case_forgery_on_a_worker_that_knows_nothing(live):
    """Without a file of root's the job's words are still no more than claims."""
    forged = {variable: f"forged-{claim}" for claim, row in TRUTH.items() for variable in row[1:]}
    with known(""):
        start = forged_job(live, {f"MachineAttr{row[0]}0": f"forged-{claim}" for claim, row in TRUTH.items()}, forged)
    claims = only_claimed(start)
    require(set(TRUTH) <= set(claims) and not {"mesos", "marathon", "k8s"} & set(start), str(start))


def case_texts_that_are_no_utf8(live):
    """Beside the text, in which U+FFFD stands for what is none, the bytes: of arguments, paths, variables."""
    mark, odd = uuid.uuid4().hex, b"\xff\xc3(\n"
    top = os.fsencode(live.path("odd-")) + odd
    os.mkdir(top)
    os.chown(top, live.caller.payload_uid, live.caller.payload_uid)
    env = {**{os.fsencode(k): os.fsencode(v) for k, v in live.env.items()}, b"PANDAID": odd, b"HOSTNAME": b"plain"}
    ended(live.run("exec", "--bind", top + b":/tmp/" + odd, live.image, b"true", mark, odd, "\u00fc", env=env, cwd=top), 0)
    start = records(live, mark)[0]
    raw = [base64.b64decode(one) for one in start["process"]["args_b64"]]
    require(raw == [b"true", mark.encode(), odd, "\u00fc".encode()] and start["process"]["args"][2] == "\ufffd\ufffd(\n", str(start["process"]))
    require(base64.b64decode(start["process"]["working_directory_b64"]) == top, str(start["process"]))
    require(base64.b64decode(start["nestbox"]["claimed"]["panda_id_b64"]) == odd, str(start["nestbox"]["claimed"]))
    require("hostname_b64" not in start["nestbox"]["claimed"] and "executable_b64" not in start["process"], str(start))
    require([base64.b64decode(one) for one in start["nestbox"]["mounts_b64"]] == [top + b":/tmp/" + odd], str(start["nestbox"]))
    mark = uuid.uuid4().hex
    ended(live.run("exec", live.image, "true", mark), 0)
    require("_b64" not in json.dumps(records(live, mark)), "bytes of what is text")
