# SPDX-License-Identifier: Apache-2.0
"""limits.delegate on cgroup v1 (v2: tests/vm): a payload divides its share, and neither raises nor leaves it."""
import glob
import json
import os
import signal
import time
import uuid

from box import ended, refused, require
from cases_limits import Delegated
from cases_record import records

MEMORY = "/sys/fs/cgroup/memory"
LIMIT = ["--memory", "64MiB", "--pids-limit", "50"]
EAT = "/usr/bin/python3 -c 'x = bytearray(int(__import__(\"sys\").argv[1]) << 20); print(\"had it\")' "


def policy(live, **more):
    """A policy file that delegates."""
    limits = {"delegate": True, **more.pop("limits", {})}
    path = live.path(f"policy-{uuid.uuid4().hex}.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "limits": limits, **more}, stream)
    os.chmod(path, 0o644)
    return path


def sh(live, script, *options, **more):
    return live.run("exec", "--policy", policy(live, **more), *LIMIT, *options, "/", "/bin/sh", "-c", script)


def case_share_is_divided(live):
    mark = uuid.uuid4().hex
    script = (f": {mark}; cat /run/nestbox/status.json; mkdir {MEMORY}/one && echo 32M >{MEMORY}/one/memory.limit_in_bytes &&"
              f"echo $$ >{MEMORY}/one/cgroup.procs && grep :memory: /proc/self/cgroup; cat {MEMORY}/one/memory.limit_in_bytes")
    with Delegated(live):
        done = sh(live, script)
    ended(done, 0, "memory:/one\n33554432\n")
    directories = json.loads(done.stdout.splitlines()[0])["delegated"]["directories"]
    require(directories["memory"] == MEMORY and {"cpu", "pids"} <= directories.keys(), str(directories))
    effective = records(live, mark)[0]["nestbox"]["effective"]
    require(set(effective["cgroup_delegated"].split(",")) == directories.keys(), str(effective))


def case_images_have_it_too(live):
    with Delegated(live):
        done = live.run("exec", "--policy", policy(live), *LIMIT, live.image, "mkdir", MEMORY + "/one", MEMORY + "/one/two")
    ended(done, 0)


def case_end_below_is_the_payloads_own(live):
    """A job of a pilot's went over the limit that the pilot gave it: the pilot goes on, and its end is its own."""
    mark = uuid.uuid4().hex
    script = (f": {mark}; mkdir {MEMORY}/one; echo 16M >{MEMORY}/one/memory.limit_in_bytes;"
              f"(echo 0 >{MEMORY}/one/cgroup.procs; exec {EAT} 40); echo child $?; exit 3")
    with Delegated(live):
        done = sh(live, script)
    ended(done, 3, "child 137")
    require("memory limit" not in done.stderr, done.stderr)
    require("reason" not in records(live, mark)[-1]["nestbox"]["exit"], str(records(live, mark)[-1]))


def case_limit_above_holds(live):
    mark = uuid.uuid4().hex
    script = (f": {mark}; mkdir {MEMORY}/one; echo 0 >{MEMORY}/one/cgroup.procs; for f in $(find /sys/fs/cgroup -name '*limit_in_bytes'"
              f" -o -name pids.max -o -name cpu.shares); do echo 999999999999 >$f; done 2>/dev/null; exec {EAT} 200")
    with Delegated(live):
        done = sh(live, script)
    ended(done, -9, "over its memory limit of 64 MiB")
    told = records(live, mark)[-1]["nestbox"]["exit"]
    require((told["reason"], told["limit"]) == ("memory", 64 << 20), str(told))


def case_nothing_above_is_reached(live):
    """By any file that takes processes, and by mounts of the payload's own."""
    script = ("import glob, os, subprocess\n"
              "own = [f'/sys/fs/cgroup/{c}' for c in ('cpu', 'memory', 'pids', 'cpu,cpuacct')]\n"
              "os.makedirs('/tmp/c')\n"
              "if subprocess.run(['mount', '-t', 'cgroup', '-o', 'memory', 'x', '/tmp/c']).returncode == 0: own.append('/tmp/c')\n"
              "print('mounted', len(own))\n"
              "for top in ['/tmp/c', *glob.glob('/sys/fs/cgroup/*')]:\n"
              "  for path, below, files in os.walk(top):\n"
              "    if top not in own:\n"
              "      for f in {'cgroup.procs', 'tasks'} & set(files):\n"
              "        try:\n"
              "          open(f'{path}/{f}', 'w').write('0'); print('LEFT', path)\n"
              "        except OSError: pass\n"
              "    elif [b for b in below if b.startswith('nestbox-')]: print('SEES', path, below)\n"
              "before = open('/proc/self/cgroup').read()\n"
              "print('END', before.count('..'), flush=True)\n"
              "x = bytearray(200 << 20)\n")
    with Delegated(live):
        done = live.run("exec", "--policy", policy(live), *LIMIT, "/", "/usr/bin/unshare", "-UrmC", "/usr/bin/python3", "-c", script)
    require("LEFT" not in done.stdout and "SEES" not in done.stdout and "END 0" in done.stdout, f"{done.stdout} {done.stderr}")
    ended(done, -9)


def case_deep_and_wide_trees_go(live):
    """What stays of them the runner finds."""
    script = (f"import os\nfor n in range(100): os.mkdir(f'{MEMORY}/wide{{n}}')\nos.chdir('{MEMORY}')\n"
              "for n in range(200):\n  os.mkdir('deep'); os.chdir('deep')\nopen('cgroup.procs', 'w').write('0')\nprint('made')\n")
    with Delegated(live):
        done = live.run("exec", "--policy", policy(live), *LIMIT, "/", "/usr/bin/python3", "-c", script)
    ended(done, 0, "made")


def case_without_a_pid_namespace_all_end(live):
    """Pid 1 was killed; what the payload moved into cgroups of its own, in sessions of their own, ends too."""
    script = (f"mkdir -p {MEMORY}/a/b; for d in a a/b; do (echo 0 >{MEMORY}/$d/cgroup.procs; exec setsid sleep 1000) & done;"
              "sleep 0.3; echo up; exec sleep 1000")
    with Delegated(live):
        process = live.start("exec", "--policy", policy(live, namespaces={"proc": ["shared"]}), *LIMIT, "/", "/bin/sh", "-c", script)
        require(process.stdout.readline() == b"up\n", f"no start: {process.stderr.read() if process.poll() else ''}")
        below = descendants(process.pid)
        require(len(below) >= 4, str(below))
        os.kill(below[0], signal.SIGKILL)
        require(process.wait() == -signal.SIGKILL, f"{process.returncode}")
        for _ in range(200):
            left = [pid for pid in below if alive(pid)]
            if not left:
                return
            time.sleep(0.02)
    raise AssertionError(f"left: {left}")


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        with open(f"/proc/{todo[0]}/task/{todo.pop(0)}/children", encoding="ascii") as stream:
            children = [int(word) for word in stream.read().split()]
        found += children
        todo += children
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def case_refused_where_it_cannot_be_had(live):
    required = policy(live, limits={"required": True, "memory": "none", "cpu": "none", "pids": "none"})
    if live.caller.name == "user" and not glob.glob(f"/sys/fs/cgroup/*/**/nestbox/{live.caller.payload_uid}", recursive=True):
        refused(live.run("exec", "--policy", required, "/", "/bin/true"), "to divide", "the site must act")
        done = live.run("exec", "--policy", policy(live), live.image, "cat", "/run/nestbox/status.json")
        ended(done, 0)
        require("delegated" not in json.loads(done.stdout), done.stdout)
    with Delegated(live):
        ended(live.run("exec", "--policy", required, "/", "/bin/mkdir", MEMORY + "/one"), 0)


def case_off_unless_the_policy_says_so(live):
    with Delegated(live):
        done = live.run("exec", *LIMIT, "/", "/bin/sh", "-c", f"mkdir {MEMORY}/one; cat /run/nestbox/status.json")
    ended(done, 0)
    require("Read-only" in done.stderr and "delegated" not in json.loads(done.stdout), f"{done.stdout} {done.stderr}")
