# SPDX-License-Identifier: Apache-2.0
"""What is remembered of starts that were refused, and of the policy that refused them."""
import json
import os
import subprocess

from box import ended, refused, require

WHOLE = 10  # refusals that one uid gets recorded in full in ten minutes


class Log:
    """An empty directory for logs; mounted over the site's own where a policy can't name another (wrapper mode)."""

    def __init__(self, live, over=None):
        self.live, self.over = live, over
        self.uid = 0 if live.caller.is_root else live.caller.payload_uid
        self.dir = over or live.path("log-of-refusals")

    def __enter__(self):
        if self.over:
            os.makedirs(self.over, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1733", "tmpfs", self.over], check=True)
        else:
            subprocess.run(["rm", "-rf", self.dir], check=True)
            os.mkdir(self.dir)
            os.chmod(self.dir, 0o1733)
        return self

    def __exit__(self, *_):
        if self.over:
            subprocess.run(["umount", self.over], check=True)

    def policy(self, name="policy.json", **keys):
        path = self.live.path(name)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "audit": {"sinks": [{"type": "file", "path": self.dir}]}, **keys}, stream, indent=1)
        return path

    def path(self):
        return os.path.join(self.dir, f"audit-{self.uid}.jsonl")

    def records(self, action=None):
        """Without those of boxes that other cases lost: whoever starts next tells of them."""
        if not os.path.exists(self.path()):
            return []
        with open(self.path(), encoding="utf-8") as stream:
            everything = [r for r in map(json.loads, stream) if r["event"]["action"] != "sandbox-lost"]
        return [r for r in everything if action in (None, r["event"]["action"])]

    def verify(self):
        """By root: an ordinary user can't list the directory."""
        done = subprocess.run([self.live.nestbox, "audit", "verify", "--from", self.path()], capture_output=True, text=True, check=False)
        require(done.returncode == 0, done.stdout + done.stderr)


def case_policy_says_no(live):
    with Log(live) as log:
        policy = log.policy(images=["/cvmfs"])
        refused(live.run("exec", "--policy", policy, "--memory", "64MiB", live.image, "true", "mark"), live.image, "policy.json:")
        require([r["event"]["action"] for r in log.records()] == ["config-loaded", "policy-denied"], str(log.records()))
        record = log.records()[1]
        require(record["event"]["outcome"] == "failure" and live.image in record["event"]["reason"], str(record["event"]))
        with open(policy, encoding="utf-8") as stream:
            line = 1 + [n for n, text in enumerate(stream) if "/cvmfs" in text][0]
        require(record["nestbox"]["refusal"] == {"class": "policy", "source": f"{policy}:{line}", "exit_code": 125}, str(record))
        asked = record["nestbox"]["requested"]
        require((asked["image"], asked["verb"], asked["memory_bytes"]) == (live.image, "exec", 64 << 20), str(asked))
        require(record["user"]["id"] == str(log.uid) and record["process"]["args"] == ["true", "mark"], str(record))
        log.verify()
        found = subprocess.run([live.nestbox, "audit", "find", "--from", log.path(), "--action", "policy-denied"], capture_output=True,
                               text=True, check=False)
        require(found.returncode == 0 and "refused" in found.stdout and "no end recorded" not in found.stdout, found.stdout)


def case_every_class_is_recorded(live):
    """Whether a start record came before or not: one record says class and sentence."""
    with Log(live) as log:
        cases = [("request", [], ["--bind", "/nowhere:/mnt"], "/nowhere"), ("request", [], ["--pwd", "/nowhere"], "/nowhere"),
                 ("host", {"cvmfs": {"repositories": ["nowhere.cern.ch"], "required": True}}, [], "nowhere.cern.ch"),
                 ("policy", {"profile": "strict"}, ["--profile", "nested"], "strict")]
        for name, keys, options, word in cases:
            before = len(log.records())
            refused(live.run("exec", "--policy", log.policy(**dict(keys)), *options, live.image, "true"), word)
            told = [r for r in log.records()[before:] if "refusal" in r["nestbox"]]
            require(len(told) == 1 and told[0]["nestbox"]["refusal"]["class"] == name, f"{name}: {told}")
            said = told[0]["event"].get("reason") or told[0]["nestbox"]["exit"]["message"]
            require(word in said and told[0]["nestbox"]["refusal"].get("source"), f"{said} {told[0]['nestbox']['refusal']}")
        before = len(log.records())
        ended(live.run("exec", "--policy", log.policy(), live.image, "/no/such/command"), 127)
        end = log.records()[before:][-1]
        require((end["event"]["action"], end["nestbox"]["exit"]["kind"]) == ("sandbox-end", "not-started"), str(end))
        require("exit_code" not in end["process"], f"of a payload that never was: {end['process']}")
        require(end["nestbox"]["refusal"]["exit_code"] == 127 and "/no/such/command" in end["nestbox"]["exit"]["message"], str(end))
        log.verify()


def case_explaining_refuses_nobody(live):
    with Log(live) as log:
        refused(live.run("exec", "--explain", "--policy", log.policy(images=["/cvmfs"]), live.image, "true"), live.image)
        require(not log.records(), str(log.records()))


def case_policy_that_is_not_to_be_trusted(live):
    """Then nobody says where the log is: the built-in policy's place serves."""
    if live.caller.name == "root-without-sys-admin":
        return
    with Log(live, "/var/log/nestbox") as log:
        policy = log.policy("loose.json")
        os.chmod(policy, 0o666)
        refused(live.run("exec", "--policy", policy, live.image, "true"), "not to be trusted")
        record = log.records()[-1]
        require(record["event"]["action"] == "policy-denied" and "not to be trusted" in record["event"]["reason"], str(record))
        require("policy" not in record["nestbox"] and record["nestbox"]["requested"]["policy_file"] == policy, str(record["nestbox"]))


def case_job_of_a_batch_system(live):
    ads = {"job.ad": 'GlobalJobId = "schedd#7.0#1"\nOwner = "alice"\n', "machine.ad": 'Memory = "much"\nCpus = 1\n', "bad.ad": "junk\n"}
    for name, text in ads.items():
        with open(live.path(name), "w", encoding="utf-8") as stream:
            stream.write(text)
    env = {**live.env, "_CONDOR_JOB_AD": live.path("job.ad"), "_CONDOR_MACHINE_AD": live.path("machine.ad")}
    with Log(live, "/var/log/nestbox") as log:
        ended(live.run("wrap", "/bin/true", "mark", env=env), 125)
        record = log.records("policy-denied")[-1]
        require(record["nestbox"]["refusal"]["class"] == "host" and record["process"]["args"] == ["/bin/true", "mark"], str(record))
        require(record["condor"]["global_job_id"] == "schedd#7.0#1" and record["condor"]["owner"] == "alice", str(record.get("condor")))
        require(record["nestbox"]["requested"]["verb"] == "wrap", str(record["nestbox"]))
        ended(live.run("wrap", "/bin/true", env={**env, "_CONDOR_JOB_AD": live.path("bad.ad")}), 125)
        record = log.records("policy-denied")[-1]
        require("bad.ad" in record["event"]["reason"] and record["process"]["executable"] == "/bin/true", str(record))
        log.verify()


def counted(log):
    told = [r["nestbox"]["suppressed"] for r in log.records("events-suppressed")]
    require(all(t["count"] == sum(t["by_class"].values()) for t in told), str(told))
    return sum(t["count"] for t in told)


def case_a_flood_is_counted(live):
    """A job that is refused over and over: few records, and none of the refusals is forgotten."""
    with Log(live) as log:
        policy = log.policy(images=["/cvmfs"])
        for _ in range(10):
            many = [live.start("exec", "--policy", policy, live.image, "true") for _ in range(6)]
            for process in many:
                process.communicate()
                require(process.returncode == 125, str(process.returncode))
        require(len(log.records("policy-denied")) == WHOLE, str(len(log.records("policy-denied"))))
        require(len(log.records("events-suppressed")) == 2 and counted(log) == 11, str(log.records("events-suppressed")))
        ended(live.run("exec", "--policy", log.policy("good.json"), live.image, "sleep", "1"), 0)
        require(WHOLE + counted(log) == 60, f"{WHOLE} + {counted(log)} of 60")
        record = log.records("events-suppressed")[-1]
        require(record["nestbox"]["suppressed"]["by_class"] == {"policy": 39} and record["user"]["id"] == str(log.uid), str(record))
        log.verify()


def case_a_link_in_place_of_the_count(live):
    """Whoever gets there first gains nothing: the file is not followed, the refusal is recorded."""
    with Log(live) as log:
        victim = live.path("victim")
        with open(victim, "w", encoding="utf-8") as stream:
            stream.write("as it was")
        os.chmod(victim, 0o666)
        os.symlink(victim, os.path.join(log.dir, f".refusals-{log.uid}"))
        policy = log.policy(images=["/cvmfs"])
        for _ in range(3):
            refused(live.run("exec", "--policy", policy, live.image, "true"), live.image)
        with open(victim, encoding="utf-8") as stream:
            require(stream.read() == "as it was", "it was followed")
        require(len(log.records("policy-denied")) == 3, str(log.records()))


def case_policy_that_comes_into_force(live):
    with Log(live) as log:
        one = log.policy("one.json")
        for _ in range(3):
            ended(live.run("exec", "--policy", one, live.image, "true"), 0)
        actions = [r["event"]["action"] for r in log.records()]
        require(actions == ["config-loaded"] + ["sandbox-start", "sandbox-end"] * 3, str(actions))
        record = log.records()[0]["nestbox"]["policy"]
        require(record["name"] == one and one in record["files"], str(record))
        require(record["sha256"] == log.records()[1]["nestbox"]["policy"]["sha256"], str(record))
        log.policy("one.json", limits={"pids": 500})
        ended(live.run("exec", "--policy", one, live.image, "true"), 0)
        ended(live.run("exec", "--policy", one, live.image, "true"), 0)
        require([r["event"]["action"] for r in log.records()[7:]] ==
                ["config-loaded"] + ["sandbox-start", "sandbox-end"] * 2, str(log.records()[7:]))
        require(log.records()[7]["nestbox"]["policy"]["sha256"] != record["sha256"], "the same sha256")
        log.verify()


def case_no_log_no_harm(live):
    """A refusal that can't be recorded is a refusal, with the same sentence."""
    policy = live.path("nowhere.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "images": ["/cvmfs"], "audit": {"sinks": [{"type": "file", "path": "/proc/nowhere"}]}}, stream)
    refused(live.run("exec", "--policy", policy, live.image, "true", env={"PATH": "/usr/bin:/bin"}), live.image)
