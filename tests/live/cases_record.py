# SPDX-License-Identifier: Apache-2.0
"""What is remembered: a start and an end record of each box, chained, found again by the search tool."""
import glob
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import threading
import time
import uuid

from box import UID, ended, refused, require
from cases_check import mounted


def log_of(live):
    name = "audit-0.jsonl" if live.caller.is_root else f"audit-{live.caller.payload_uid}.jsonl"
    return os.path.join("/var/log/nestbox", name)


def parsed(path):
    """A log's records. A line that a killed keeper left torn is no record (the next writer closes it)."""
    found = []
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            try:
                found.append(json.loads(line))
            except ValueError:
                require(not line.endswith("}\n"), f"damaged, and not torn: {line}")
    return found


def records(live, mark):
    lines = parsed(log_of(live))
    ids = {r["nestbox"]["id"] for r in lines if mark in json.dumps(r.get("process", {}).get("args", ""))}
    return [r for r in lines if r["nestbox"].get("id") in ids]


def case_two_records(live):
    mark = uuid.uuid4().hex
    ended(live.sh(f": {mark}; exit 3"), 3)
    found = records(live, mark)
    require([r["event"]["action"] for r in found] == ["sandbox-start", "sandbox-end"], str(found))
    start, end = found
    require(end["process"]["exit_code"] == 3 and end["event"]["outcome"] == "failure", str(end))
    require(start["user"]["id"] == str(live.caller.payload_uid), str(start["user"]))
    trust = "root" if live.caller.is_root else "same-uid"
    require(start["nestbox"]["trust"] == trust and start["nestbox"]["ns"]["pid"].isdigit(), str(start["nestbox"]))
    require(start["nestbox"]["effective"]["proc_mode"] == "fresh", str(start["nestbox"]["effective"]))


def case_signal_in_the_record(live):
    mark = uuid.uuid4().hex
    ended(live.sh(f": {mark}; kill -9 $$"), -9)
    end = records(live, mark)[-1]
    require(end["nestbox"]["exit"] == {"kind": "signal", "signal": 9}, str(end["nestbox"]["exit"]))


def case_odd_arguments(live):
    mark = uuid.uuid4().hex
    ended(live.run("exec", live.image, "true", mark, "new\nline", '"quote"', "\x1b[2J", "‮", b"\xff\xfe".decode("latin1"), "x" * 100000), 0)
    require(len(records(live, mark)) == 2, "not two records")


def long_job(live, name, fill):
    """An ad and an environment in which every text that a record takes is as long as a job can make it."""
    ad = live.path(name + ".ad")
    names = ("GlobalJobId", "Owner", "User", "AccountingGroup", "JobBatchName", "RemoteHost", "ScheddName", "x509UserProxySubject",
             "x509UserProxyVOName", "x509UserProxyFirstFQAN", "AuthTokenSubject", "AuthTokenIssuer", "AuthTokenId")
    with open(ad, "wb") as stream:
        for one in names:
            stream.write(one.encode() + b' = "' + fill * 3000 + b'"\n')
    variables = ("MESOS_TASK_ID", "MESOS_CONTAINER_NAME", "K8S_POD_NAME", "PANDAID", "DIRACJOBID", "HOSTNAME")
    return {**{os.fsencode(k): os.fsencode(v) for k, v in live.env.items()}, b"_CONDOR_JOB_AD": os.fsencode(ad),
            **{one.encode(): fill * 20000 for one in variables}}


def wrapped(live, command, env):
    """As HTCondor's root does, it becomes the job's user."""
    if not live.caller.is_root:
        return live.run("wrap", *command, env=env)
    uid = str(UID)
    return live.run("--reuid", uid, "--regid", uid, "--clear-groups", live.nestbox, "wrap", *command, program="setpriv", env=env)


def case_texts_of_any_length(live):
    """What a job says of itself, however long and odd, neither ends it nor keeps it out of the log: texts are cut, and that is said."""
    for number, fill in enumerate((b"x", b"\x01", b"\xff", "\u202e".encode(), b"\xc3\xbc")):
        mark = uuid.uuid4().hex
        long_text = (fill * 40000)[:100000]
        ended(wrapped(live, ["/bin/echo", mark, *[long_text] * 3], long_job(live, f"long-{number}", fill)), 0)
        lines = [line for name in glob.glob("/var/log/nestbox/*.jsonl") for line in open(name, "rb") if mark.encode() in line]
        require(len(lines) == 2, f"{fill}: {len(lines)} records")
        for line in lines:
            require(len(line) <= 32768, f"{fill}: a line of {len(line)} bytes")
            one = json.loads(line.decode("utf-8"))
            require(0 < len(one["condor"]["owner"]) <= 1024 and one["condor"]["batch_name"], f"{fill}: {line[:300]}")
            require(len(one["nestbox"]["policy"]["sha256"]) == 64 and len(one["nestbox"]["id"]) == 36, f"{fill}: {line[:300]}")
            require(one["nestbox"]["truncated"] is True and one["process"]["args_count"] == 5, f"{fill}: {line[:300]}")
            if one["event"]["action"] == "sandbox-start":
                digests = one["nestbox"]["policy"]["sha256"], one["nestbox"]["effective"]["seccomp_sha256"]
                require([len(digest) for digest in digests] == [64, 64], f"{fill}: a digest was cut: {digests}")
            require("\x01" not in line.decode() and one["process"]["args"][1] == mark, f"{fill}: {line[:300]}")


IDENTITY = {"WorkerContainerID": "c" * 64, "WorkerContainerRuntime": "containerd", "WorkerContainerImage": "registry:5000/grid/wn:el9@sha256:ab",
            "WorkerPhysicalHost": "node7.example.org", "WorkerOrchestrator": "kubernetes", "K8SPodUID": "uid-1", "K8SPodName": "wn-0",
            "K8SNamespace": "grid", "K8SContainerName": "wn"}


def case_where_a_box_was_made(live):
    """The machine below the worker, the pod, the user's name, the parent, the image's inode, what could be written, CVMFS' revisions."""
    top, mark = live.path("place"), uuid.uuid4().hex
    image, scratch = top + "/cvmfs/images.example.org/el9", top + "/scratch"
    shutil.copytree(live.image, image, symlinks=True)
    os.makedirs(top + "/cvmfs/sw.example.org")
    os.mkdir(scratch)
    os.chown(scratch, live.caller.payload_uid, live.caller.payload_uid)
    for name, number in (("images.example.org", b"41"), ("sw.example.org", b"1795")):
        os.setxattr(f"{top}/cvmfs/{name}", "user.revision", number)
        os.setxattr(f"{top}/cvmfs/{name}", "user.root_hash", b"0a" * 20)
    with open(top + "/policy.json", "w", encoding="ascii") as stream:
        json.dump({"version": 1, "cvmfs": {"path": top + "/cvmfs", "repositories": ["sw.example.org"]}}, stream)
    os.makedirs("/run/nestbox", exist_ok=True)
    with mounted("/run/nestbox", "-o", "mode=755"):
        with open("/run/nestbox/identity", "w", encoding="ascii") as stream:
            stream.write("".join(f'{name} = "{value}"\n' for name, value in IDENTITY.items()))
        ended(live.run("exec", "--policy", top + "/policy.json", "--job-dir", scratch, image, "true", mark), 0)
    start, end = records(live, mark)
    box, at = start["nestbox"], os.stat(image)
    require(box["attested"]["physical_host"] == "node7.example.org", str(box["attested"]))
    require(start["orchestrator"] == {"type": "kubernetes", "namespace": "grid", "resource": {"type": "pod", "id": "uid-1", "name": "wn-0"}},
            str(start["orchestrator"]))
    require(start["container"]["image"] == {"name": IDENTITY["WorkerContainerImage"], "tag": ["el9"]} and start["container"]["name"] == "wn",
            str(start["container"]))
    named = [one.pw_name for one in pwd.getpwall() if one.pw_uid == live.caller.payload_uid]
    require(start["user"].get("name") == (named[0] if named else None) == end["user"].get("name"), f"{start['user']} {named}")
    require(start["process"]["parent"]["name"].startswith("python"), str(start["process"]["parent"]))
    require(start["process"]["entity_id"] == box["id"], str(start["process"]))
    require(box["image"] == {"path": image, "dev": f"{os.major(at.st_dev)}:{os.minor(at.st_dev)}", "ino": str(at.st_ino)}, str(box["image"]))
    require(f"{scratch}:{scratch}" in box["mounts"], str(box["mounts"]))
    want = [{"repo": name, "revision": number, "root_hash": "0a" * 20} for name, number in (("sw.example.org", "1795"), ("images.example.org", "41"))]
    require(start.get("cvmfs") == want, str(start.get("cvmfs")))
    if live.caller.is_root:
        ended(live.run("audit", "find", "--from", "/var/log/nestbox", "--image", image, "--host", "node7"), 0, "uid-1")
        for where in ("cvmfs.repo=images.example.org", "cvmfs.revision=41"):
            ended(live.run("audit", "find", "--from", "/var/log/nestbox", "--image", image, "--where", where), 0, "uid-1")


def case_digest_of_an_image_in_cvmfs(live):
    """Of what an unpacker put there by its digest, and of no directory that merely has such a name."""
    top, hexed = live.path("digest"), "ab" + "1" * 62
    with open(live.path("digest.json"), "w", encoding="ascii") as stream:
        json.dump({"version": 1, "cvmfs": {"path": top + "/cvmfs"}}, stream)
    names = {f"cvmfs/unpacked.example.org/.flat/ab/{hexed}": "sha256:" + hexed, f"cvmfs/unpacked.example.org/.flat/ac/{hexed}": None,
             f"cvmfs/unpacked.example.org/.flat/ab/{hexed}2": None, f"elsewhere/.flat/ab/{hexed}": None}
    for name, want in names.items():
        shutil.copytree(live.image, f"{top}/{name}", symlinks=True)
        os.makedirs(top + "/cvmfs", exist_ok=True)
        mark = uuid.uuid4().hex
        link = live.path("digest-link")
        os.symlink(f"{top}/{name}", link)
        ended(live.run("exec", "--policy", live.path("digest.json"), link, "true", mark), 0)
        os.unlink(link)
        require(records(live, mark)[0]["nestbox"]["image"].get("digest") == want, f"{name}: {records(live, mark)[0]['nestbox']['image']}")


def case_grace_that_was_used(live):
    """From the first signal that asks the payload to end to its end."""
    mark = uuid.uuid4().hex
    running = live.start("exec", live.image, "sh", "-c", f": {mark}; trap '' TERM; trap 'sleep 0.5; exit 4' INT; echo up; while :; do sleep 0.1; done")
    require(running.stdout.readline() == b"up\n", "the box did not start")
    running.terminate()
    time.sleep(0.5)
    running.send_signal(2)
    require(running.wait() == 4, f"status {running.returncode}")
    end = records(live, mark)[-1]["nestbox"]
    require(end["exit"]["by"]["signal"] == 2 and 1000 <= end["killed"]["grace_used_ms"] < 20000, str(end))


def case_groups_of_the_payload(live):
    """An ordinary user's box keeps his supplementary groups; root's has none."""
    mark, uid = uuid.uuid4().hex, str(UID)
    if live.caller.name != "user":
        ended(live.sh(f": {mark}"), 0)
        require("supplemental_groups" not in records(live, mark)[0]["process"], str(records(live, mark)[0]))
        return
    command = ["setpriv", "--reuid", uid, "--regid", uid, "--groups", "4711,4712", live.nestbox, "exec", live.image, "true", mark]
    ended(subprocess.run(command, env=live.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False), 0)
    require(records(live, mark)[0]["process"]["supplemental_groups"] == {"id": ["4711", "4712"]}, str(records(live, mark)[0]["process"]))


def case_no_record_no_payload(live):
    policy = live.path("no-log.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "audit": {"sinks": [{"type": "file", "path": "/proc/nowhere"}], "on_failure": "refuse"}}, stream)
    done = live.run("exec", "--policy", policy, live.image, "sh", "-c", "echo RAN", env={"PATH": "/usr/bin:/bin"})
    if done.returncode == 0:  # the caller's own log may stand in by hand: then there is one
        require(not live.caller.is_root and "RAN" in done.stdout, "no record and a payload")
    else:
        ended(done, 125, "/proc/nowhere")


def case_found_again(live):
    mark = uuid.uuid4().hex
    ended(live.sh(f": {mark}"), 0)
    box = records(live, mark)[0]["nestbox"]["id"]
    done = live.run("audit", "find", "--from", "/var/log/nestbox", "--id", box, "--json") if live.caller.is_root else None
    if done is not None:
        ended(done, 0, box)
        ended(live.run("audit", "verify", "--from", log_of(live)), 0)


def case_own_log_of_an_ordinary_user(live):
    """Without access to the site's log, by hand, a user keeps his own; the payload doesn't see it."""
    if live.caller.name != "user":
        return
    state = live.path("state")
    os.mkdir(state)
    os.chown(state, live.caller.payload_uid, live.caller.payload_uid)
    policy = live.path("other-log.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "base": "none", "audit": {"sinks": [{"type": "file", "path": "/nowhere/log"}]}}, stream)
    done = live.run("exec", "--policy", policy, "/", "/bin/ls", state + "/nestbox", env={**live.env, "XDG_STATE_HOME": state})
    ended(done, 0)
    require(glob.glob(state + "/nestbox/*.jsonl") and done.stdout == "", f"{done.stdout} {os.listdir(state)}")


def sha256(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def case_hash_of_the_executable(live):
    """The start record's, however the executable is named; what can't be hashed isn't executed."""
    policy = live.path("hash.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "audit": {"hash_executable": True}}, stream)
    scratch = live.path("hash-scratch")
    os.mkdir(scratch)
    os.chown(scratch, live.caller.payload_uid, live.caller.payload_uid)
    script = os.path.join(scratch, "job.sh")
    with open(script, "w", encoding="utf-8") as stream:
        stream.write("#!/bin/sh\nexit 3\n")
    with open(os.path.join(scratch, "unreadable"), "w", encoding="utf-8") as stream:
        stream.write("#!/bin/sh\nexit 0\n")
    os.chmod(script, 0o755)
    os.chmod(os.path.join(scratch, "unreadable"), 0o711)
    busybox = sha256(os.path.join(live.image, "bin/busybox"))
    cases = [(["true"], 0, busybox), (["/bin/true"], 0, busybox), (["./job.sh"], 3, sha256(script)), ([script], 3, sha256(script)),
             (["./no-such-file"], 127, None), (["no-such-command"], 127, None), (["./unreadable"], 126, None), (["/etc"], 126, None)]
    for command, status, want in cases:
        mark = uuid.uuid4().hex
        ended(live.run("exec", "--policy", policy, "--job-dir", scratch, "--pwd", scratch, live.image, *command, mark), status)
        start = records(live, mark)[0]
        require(start["event"]["action"] == "sandbox-start" and start["process"].get("hash", {}).get("sha256") == want, f"{command}: {start}")
    mark = uuid.uuid4().hex
    ended(live.sh(f": {mark}"), 0)
    require("hash" not in records(live, mark)[0]["process"], "a hash that the policy doesn't ask for")


def case_executable_without_an_end(live):
    """A file of 8 TiB that is one hole: the job can be ended while it is read, and its wall time ends it too."""
    policy = live.path("hash-endless.json")
    scratch = live.path("hash-endless")
    os.mkdir(scratch)
    endless = os.path.join(scratch, "endless")
    with open(endless, "wb") as stream:
        stream.truncate(8 << 40)
    os.chmod(endless, 0o755)
    for path in (scratch, endless):
        os.chown(path, live.caller.payload_uid, live.caller.payload_uid)
    command = ["exec", "--policy", policy, "--job-dir", scratch, "--pwd", scratch, live.image, endless]
    for limits, words in (({"wall_time": 2}, "wall time"), ({}, "signal 15")):
        with open(policy, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "audit": {"hash_executable": True}, "limits": limits}, stream)
        process = live.start(*command)
        try:
            if not limits:
                time.sleep(1)  # earlier, and the signal may end nestbox before it listens
                process.terminate()
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        require(process.returncode == (125 if limits else process.returncode) and words in said.decode(), f"{process.returncode} {said}")
    os.unlink(endless)


def case_executable_that_changes_is_not_executed(live):
    policy = live.path("hash.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "audit": {"hash_executable": True}}, stream)
    big = os.path.join(live.image, "big")
    with open(big, "wb") as stream:
        stream.write(b"#!/bin/sh\necho RAN\nexit 0\n" + bytes(20 << 20))
    os.chmod(big, 0o755)
    ended(live.run("exec", "--policy", policy, live.image, "/big"), 0, "RAN")
    stop = threading.Event()

    def change():
        while not stop.is_set():
            os.chmod(big, 0o755)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        refused(live.run("exec", "--policy", policy, live.image, "/big"), "/big", "changed")
    finally:
        stop.set()
        thread.join()


def case_payload_is_found_by_its_pid(live):
    """Its number on the worker, which an IDS sees, stands in the end record."""
    mark = uuid.uuid4().hex
    process = live.start("exec", live.image, "sh", "-c", f": {mark}; echo up; sleep 60; exit 0")
    require(process.stdout.readline() == b"up\n", "no start")
    seen = None
    for _ in range(200):
        seen = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if mark in command_line(pid) and int(pid) != process.pid]
        if len(seen) == 1:
            break
        time.sleep(0.02)
    require(len(seen) == 1, f"the payload's processes: {seen}")
    process.terminate()
    process.wait()
    start, end = records(live, mark)
    attested = end["nestbox"]["attested"]
    require(attested["payload_pid"] == seen[0] and attested["keeper_pid"] == str(process.pid), f"{attested} {seen}")
    require(attested["init_pid"] == start["nestbox"]["attested"]["init_pid"], f"{attested}")
    require(start["@timestamp"] <= attested["payload_start"] <= end["process"]["end"], f"{attested}")
    if live.caller.is_root:
        ended(live.run("audit", "find", "--from", log_of(live), "--pid", seen[0], "--id", end["nestbox"]["id"]), 0, end["nestbox"]["id"])


def command_line(pid):
    """Of a payload: pid 1 of its box and its keeper have nestbox' own."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read().decode("latin1")
        return words if words.startswith("sh\0-c") else ""
    except (FileNotFoundError, ProcessLookupError):
        return ""
