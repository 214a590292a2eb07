# SPDX-License-Identifier: Apache-2.0
"""Machine/Job Features: provided from the limits in force, passed on from the worker, or kept away."""
import json
import os

from box import ended, require

SHOW = "env | grep FEATURES=; for d in $MACHINEFEATURES $JOBFEATURES; do grep -r . $d; done; true"


def policy(live, word):
    path = live.path(f"features-{word}.json")
    with open(path, "w", encoding="ascii") as stream:
        json.dump({"version": 1, "features": word, "limits": {"cpu": 2, "required": False}}, stream)
    os.chown(path, 0 if live.caller.is_root else live.caller.payload_uid, -1)
    return path


def workers(live):
    """What a worker's own service provides, and the variables that lead there."""
    path = live.path("worker-features")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "hs06"), "w", encoding="ascii") as stream:
        stream.write("1234.5\n")
    return dict(live.env, MACHINEFEATURES=path, JOBFEATURES="../relative")


def case_provided(live):
    done = live.sh(SHOW, "--policy", policy(live, "provide"), env=workers(live))
    ended(done, 0, "/run/nestbox/jobfeatures/allocated_cpu:2\n")
    require("JOBFEATURES=/run/nestbox/jobfeatures\n" in done.stdout, done.stdout)
    require("worker-features" not in done.stdout and "relative" not in done.stdout, done.stdout)
    done = live.sh("echo 9 > $JOBFEATURES/allocated_cpu", "--policy", policy(live, "provide"))
    require(done.returncode != 0 and "Read-only" in done.stderr, done.stdout + done.stderr)


def case_provided_as_planned(live):
    """The plan says what is written; what nothing enforces is not promised."""
    args = ("--policy", policy(live, "provide"), "--memory", "100MiB")
    plan = live.run("exec", "--explain", *args, live.image, "true")
    if plan.returncode != 0:  # no memory cgroup for this caller
        ended(plan, 125, "memory")
        return
    ended(plan, 0, "write '104857600' to /run/nestbox/jobfeatures/max_rss_bytes")
    ended(live.sh(SHOW, *args), 0, "max_rss_bytes:104857600\n")


def case_passed_into_an_image(live):
    """From where the site has them mounted; the variable alone, which a job can set, opens no directory of the worker."""
    env, path = workers(live), policy(live, "pass")
    ended(live.run("exec", "--policy", path, live.image, "ls", env["MACHINEFEATURES"], env=env), 1, "No such file")
    for other in ("/run", "/dev", "/proc", "/home", "/etc"):
        done = live.run("exec", "--policy", path, "--explain", "--json", live.image, "true", env=dict(env, MACHINEFEATURES=other, JOBFEATURES=other))
        ended(done, 0)
        rows = [r for r in json.loads(done.stdout)["rows"] if r["step"] == "mount"]
        require(not [r for r in rows if other in r.values() or f"{other} " in json.dumps(r)], f"{other}: {rows}")
    with open(path, encoding="ascii") as stream:
        words = json.load(stream)
    with open(path, "w", encoding="ascii") as stream:
        json.dump({**words, "mounts": [{"source": env["MACHINEFEATURES"]}]}, stream)
    ended(live.sh(SHOW, "--policy", path, env=env), 0, "worker-features/hs06:1234.5\n")
    done = live.sh("touch $MACHINEFEATURES/x", "--policy", path, env=env)
    require(done.returncode != 0 and "Read-only" in done.stderr, done.stdout + done.stderr)


def case_off(live):
    done = live.sh("env", "--policy", policy(live, "off"), env=workers(live))
    ended(done, 0)
    require("FEATURES" not in done.stdout, done.stdout)
