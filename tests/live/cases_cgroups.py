# SPDX-License-Identifier: Apache-2.0
"""Where a box's cgroups are made on v1 (v2: tests/vm): below the caller's own, whatever it is called, and nowhere else; and what
`nestbox delegate` hands out."""
import contextlib
import glob
import json
import os
import subprocess
import uuid

from box import Skip, ended, refused, require
from cases_metrics import metrics
from cases_record import records
from cases_registry import limit_in_force, started

ROOT = "/sys/fs/cgroup"
LIMITING = {"cpu", "cpuacct", "memory", "pids", "freezer"}
NAMES = ["nestbox-test plain", r"nestbox-test\x2dsystemd.slice", 'nestbox-test "quoted", with: commas and\\', "nestbox-test-ünïcödé"]


def hierarchies():
    """The directories of this process, by the controllers of their hierarchy."""
    found = {}
    for line in open("/proc/self/cgroup", encoding="utf-8"):
        _, controllers, path = line.rstrip("\n").split(":", 2)
        own = f"{ROOT}/{controllers}{path}".rstrip("/")
        if LIMITING & set(controllers.split(",")) and os.path.isdir(own):
            found[controllers] = own
    if "memory" not in found or "pids" not in found:
        raise Skip("no cgroup v1 memory and pids controllers")
    return found


@contextlib.contextmanager
def place(live, name):
    """A cgroup of that name in each hierarchy, the job's user's; gives what a process does to start in it."""
    made = [f"{own}/{name}" for own in hierarchies().values()]
    for path in made:
        os.mkdir(path)
        if not live.caller.is_root:
            os.chown(path, live.caller.payload_uid, live.caller.payload_uid)

    def become():
        for path in made:
            with open(f"{path}/cgroup.procs", "w", encoding="ascii") as stream:
                stream.write("0")
    try:
        yield made, become
    finally:
        for path in made:
            for left in sorted(glob.glob(glob.escape(path) + "/**/", recursive=True), reverse=True):
                os.rmdir(left)


def case_any_name(live):
    """Names as systemd and people make them: the box is limited, listed with its use, measured, ended, and gone."""
    for name in NAMES:
        with place(live, name) as (made, become):
            process, box = started(live, "echo up; exec sleep 60", "--memory", "64MiB", "--pids-limit", "20", become=become)
            own = next(path for path in made if "/memory/" in path)
            require(os.path.dirname(box.get("cgroup", "")) == own, f"the box' cgroup in {own!r}: {box}")
            require(limit_in_force(box) == 64 << 20 and 0 < box["memory_bytes"] < 64 << 20 and box["pids"] == 2, str(box))
            info = [dict(key[1:])["cgroup"] for key in metrics(live)[1] if key[0] == "nestbox_box_info" and ("box", box["id"]) in key]
            shown = "".join(c if " " <= c <= "~" else "?" * len(c.encode()) for c in box["cgroup"])
            require(info == [shown], f"label {info}, not {shown!r}")
            ended(live.run("kill", box["id"]), 0)
            process.wait()
            require(not [path for path in made if glob.glob(glob.escape(path) + "/nestbox-*")], "a cgroup is left")


def case_not_in_anothers_tree(live):
    """A container with a cgroup namespace of its own that was given the host's cgroup file systems: its "/" is not theirs."""
    if live.caller.name == "root-without-sys-admin":
        return
    with place(live, NAMES[0]) as (_, become):
        done = subprocess.run(["unshare", "-C", *live.command("exec", "--memory", "64MiB", "/", "sh", "-c", "echo ran")],
                              preexec_fn=become, capture_output=True, text=True, check=False, env=live.env, cwd="/",
                              stdin=subprocess.DEVNULL)
        refused(done, "not visible", "cannot limit memory")
        if live.caller.is_root:
            done = subprocess.run(["unshare", "-C", live.nestbox, "delegate", "--user", "2001"], preexec_fn=become,
                                  capture_output=True, text=True, check=False)
            require(done.returncode == 125 and "no cgroup v1 hierarchy" in done.stderr and not done.stdout, str(done))


def state(tops):
    """Owner and mode of each directory and file below."""
    found = {}
    for top in tops:
        for directory, _, names in os.walk(top):
            for path in [directory, *(os.path.join(directory, name) for name in names)]:
                st = os.stat(path)
                found[path] = (st.st_uid, st.st_gid, oct(st.st_mode))
    return found


def case_delegate(live):
    """Several users and a group at once, twice: their directories, and nothing else, in each hierarchy that has a limit."""
    if live.caller.name != "root":
        return
    with place(live, NAMES[0]) as (made, become):
        before = state(made)
        command = [live.nestbox, "delegate", "--user", "2001", "--user=2002", "--group", "2003"]
        for _ in range(2):
            done = subprocess.run(command, preexec_fn=become, capture_output=True, text=True, check=False)
            require(done.returncode == 0 and done.stderr == "", str(done))
            after = state(made)
            for path, was in before.items():
                require(after[path] == was, f"{path} was {was}, is {after[path]}")
            new = {path: of for path, of in after.items() if path not in before}
            given = {path: of for path, of in new.items() if of[:2] != (0, 0)}
            require(sorted(given) == sorted(done.stdout.split("\n")[:-1]), f"{sorted(given)} {done.stdout}")
            require({os.path.basename(path): of[:2] + (of[2][-3:],) for path, of in given.items()} ==
                    {"2001": (2001, 0, "755"), "2002": (2002, 0, "755"), "g2003": (0, 2003, "770")}, str(given))
            have = {c for path in given for c in path.split("/")[4].split(",")}
            require({c for names in hierarchies() for c in names.split(",")} <= have, f"only {have}")
        for ids in (["--reuid", "2001", "--regid", "2001", "--clear-groups"], ["--reuid", "2002", "--regid", "2002", "--clear-groups"],
                    ["--reuid", "2004", "--regid", "2004", "--groups", "2003"]):
            done = subprocess.run(["setpriv", *ids, live.nestbox, "exec", "--memory", "64MiB", "--pids-limit", "20", "/", "cat",
                                   "/proc/self/cgroup"], preexec_fn=become, capture_output=True, text=True, check=False, env=live.env,
                                  cwd="/", stdin=subprocess.DEVNULL)
            ended(done, 0, ":memory:/")
        done = subprocess.run(["setpriv", "--reuid", "2005", "--regid", "2005", "--clear-groups", live.nestbox, "exec", "--memory",
                               "64MiB", "/", "true"], preexec_fn=become, capture_output=True, text=True, check=False, env=live.env,
                              cwd="/", stdin=subprocess.DEVNULL)
        refused(done, "nestbox delegate")


def case_delegate_is_roots(live):
    if not live.caller.is_root:
        done = live.run("delegate", "--user", str(live.caller.payload_uid))
        require(done.returncode == 125 and "only root" in done.stderr, str(done))


def case_quota_of_the_container(live):
    """An engine gave the container fewer CPUs than its slot has: the box gets what there is, and the record says so."""
    mark, policy = uuid.uuid4().hex, live.path("quota.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "limits": {"cpu_mode": "quota"}}, stream)
    os.chmod(policy, 0o644)
    with place(live, NAMES[0]) as (made, become):
        cpu = next(path for path in made if "cpu" in path.split("/")[4].split(","))
        for name, value in (("period", 50000), ("quota", 35001)):
            with open(f"{cpu}/cpu.cfs_{name}_us", "w", encoding="ascii") as stream:
                stream.write(str(value))
        for asked, got in (("2", "70002"), ("0.7", "70000"), ("0.25", "25000")):
            process = live.start("exec", "--policy", policy, "--cpus", asked, "/", "true", mark + asked, become=become)
            require(process.wait() == 0, process.stderr.read().decode())
            found = records(live, mark + asked)[0]["nestbox"]
            require(found["effective"]["limits"]["cpu_cfs_quota_us"] == got, f"{asked}: {found['effective']}")
            require(found["requested"]["milli_cpus"] == int(float(asked) * 1000), f"{asked}: {found['requested']}")
