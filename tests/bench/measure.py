# SPDX-License-Identifier: Apache-2.0
"""From the table of contenders to the harness's observations."""
import fnmatch
import os
import subprocess

import figures
from prepare import CONTROLLERS, UID, Bench, say

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = ["sync", "sync,audit", "cgroup", "cgroupns", "init", "dev", "proc", "report", "sysctl", "sys", "run", "tmp", "cvmfs",
         "scratch", "landlock", "keyring", "caps", "seccomp", "death"]


def lines_of(words):
    """{name: line} of the table with the words put in."""
    with open(f"{HERE}/contenders", encoding="utf-8") as file:
        lines = [line for line in file if line.strip() and not line.startswith("#")]
    return {line.split(";")[0].strip(): line.format_map(words) for line in lines}


def commands_of(bench, payload):
    """{name: argument vector} for those who launch a contender themselves."""
    lines = lines_of(bench.words(payload))
    return {name: line.split(";")[2].replace("%P", f"/bin/{payload}").split() for name, line in lines.items()}


def write_table(bench, payload, patterns):
    path = bench.path(f"table-{payload}")
    with open(path, "w", encoding="utf-8") as out:
        for name, line in lines_of(bench.words(payload)).items():
            left_out = name in bench.absent or any(fnmatch.fnmatch(name, p) for p in bench.left_out)
            if not left_out and any(fnmatch.fnmatch(name, p) for p in patterns):
                out.write(line)
    return path


def write_steps(bench):
    """The floor with everything, and the same without one of its steps."""
    floor = " ".join(commands_of(bench, "nothing")["floor+all"]).removesuffix("-- /bin/nothing")
    path = bench.path("table-steps")
    with open(path, "w", encoding="utf-8") as out:
        for step in ["", *STEPS]:
            name = f"without {step}" if step else "floor+all"
            out.write(f"{name} ; user ; {floor} {'-w ' + step if step else ''} -- %P\n")
    return path


def enter_cgroups():
    """A cgroup per controller that belongs to the ordinary user, as a batch system hands it over; returns what it made."""
    made = []
    for controller in CONTROLLERS if Bench.v1() else []:
        path = f"/sys/fs/cgroup/{controller}/{Bench.cgroup()}"
        os.makedirs(path, exist_ok=True)
        for name in ("", "/tasks", "/cgroup.procs"):
            os.chown(path + name, UID, UID)
        made.append(path)
    return made


def join_cgroups(paths):
    for path in paths:
        with open(f"{path}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")


def leave_cgroups(paths):
    for path in paths:
        for directory, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(directory)
            except OSError as error:
                say(f"left behind: {directory}: {error.strerror}")


def observe(bench, cgroups, mode, payload, options, table):
    """The harness's lines."""
    command = [bench.path("tools/harness"), "-m", mode, "-t", table, "-P", f"/bin/{payload}", "-r", bench.world,
               "-b", bench.cache, "-u", str(UID), *options.split()]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=lambda: join_cgroups(cgroups))
    return figures.parse(run.stdout)


def leave_out_absent(bench, cgroups, patterns):
    """Launch everything twice; whoever fails both times is left out, and said so."""
    rows = observe(bench, cgroups, "latency", "nothing", "-n 2 -w 0", write_table(bench, "nothing", patterns))
    for name, entry in figures.summary(rows).items():
        if entry["failed"] == 2:
            say(f"SKIP {name}: does not start a payload here")
            bench.absent.append(name)
