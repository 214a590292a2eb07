# SPDX-License-Identifier: Apache-2.0
"""nestbox itself: built and installed below the cache, its policies compiled, and the filter that it loads put into a file."""
import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# What the peers do, and everything.
POLICIES = {
    "plain": {"audit": {"sinks": []}, "limits": {"memory": "none", "cpu": "none", "pids": "none", "required": False}},
    "all": {"audit": {"sinks": [{"type": "file", "path": "{log}"}], "on_failure": "refuse"}},
}


def build(bench):
    """An optimised build as the README's, from this tree; only what a launch needs."""
    directory = bench.path("build")
    if not os.path.exists(f"{directory}/build.ninja"):
        subprocess.run(["meson", "setup", "-Dtests=false", directory, TOP], check=True, stdout=subprocess.DEVNULL)
    targets = ["runtime/commands/nestbox", "runtime/policy/nestbox-policy"]
    subprocess.run(["ninja", "--quiet", "-C", directory, *targets], check=True, stdout=subprocess.DEVNULL)
    return [f"{directory}/{target}" for target in targets]


def install(bench):
    """A relocated tree for each policy, as a site has it on CVMFS."""
    launcher, compiler = build(bench)
    log = bench.path("data/log/nestbox")
    os.makedirs(log, exist_ok=True)
    os.chmod(log, 0o1733)
    for name, policy in POLICIES.items():
        tree = bench.path(f"nestbox-{name}")
        for directory in ("bin", "etc/nestbox", "libexec/nestbox"):
            os.makedirs(f"{tree}/{directory}", exist_ok=True)
        shutil.copy2(launcher, f"{tree}/bin/nestbox")
        shutil.copy2(compiler, f"{tree}/libexec/nestbox/nestbox-policy")
        with open(f"{tree}/etc/nestbox/policy.json", "w", encoding="ascii") as file:
            file.write(json.dumps({"version": 1, **policy}).replace("{log}", log))
        # A policy that was written in this very second is read again at each start; a site's is older.
        os.utime(f"{tree}/etc/nestbox/policy.json", (1, 1))
        subprocess.run([f"{tree}/libexec/nestbox/nestbox-policy", "compile", "--sysconfdir", f"{tree}/etc/nestbox"],
                       check=True, stdout=subprocess.DEVNULL)
    ready_worker(bench)
    extract_filter(bench)


def ready_worker(bench):
    """What container-init leaves at a worker's start, in the world: the identity file and the directory of running boxes."""
    run = f"{bench.world}/run/nestbox"
    os.makedirs(f"{run}/boxes", exist_ok=True)
    os.chmod(f"{run}/boxes", 0o1733)
    with open(f"{run}/identity", "w", encoding="ascii") as file:
        file.write('MesosTaskID = "grid-wn.5030b218-53bb-ce49-f4e6-02f60e3afe70"\nWorkerContainerRuntime = "docker"\n')


def extract_filter(bench):
    """The seccomp program of the policy, for the floor and for the peers that take one."""
    tool = bench.path("tools/filter")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I", f"{TOP}/runtime",
                    "-I", bench.path("build"), f"{HERE}/filter.c", "-o", tool], check=True)
    with open(bench.filter, "wb") as out:
        subprocess.run([tool, bench.path("nestbox-plain/etc/nestbox/policy.compiled")], stdout=out, check=True)


def profile():
    """The containers-common profile that the filter is made from."""
    return f"{TOP}/policies/seccomp-nested.json"
