# SPDX-License-Identifier: Apache-2.0
"""cgroup v1 directories that an ordinary user may use, as `nestbox delegate` makes them at a worker's start."""
import glob
import os

CONTROLLERS = ("cpu", "memory", "pids", "cpu,cpuacct")


def present():
    return os.path.isdir("/sys/fs/cgroup/memory")


def delegate(uid):
    """Below each of our own cgroups a directory of the user's. Returns what was made, for `undo`."""
    made = []
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            own = f"/sys/fs/cgroup/{controllers}{path}"
            if controllers not in CONTROLLERS or not os.path.isdir(own):
                continue
            for place in (f"{own}/nestbox", f"{own}/nestbox/{uid}"):
                if not os.path.isdir(place):
                    os.mkdir(place)
                    made.append(place)
            os.chown(f"{own}/nestbox/{uid}", uid, uid)
    return made


def undo(made):
    """Removes what `delegate` made, and the cgroups that killed boxes left in it."""
    for place in reversed(made):
        for left in glob.glob(place + "/nestbox-*"):
            for inner in glob.glob(left + "/payload"):
                os.rmdir(inner)
            os.rmdir(left)
        os.rmdir(place)
