# SPDX-License-Identifier: Apache-2.0
"""The worker container's own cgroups, below this process': one directory a hierarchy in v1, one in v2."""
import os
import time

ROOT = "/sys/fs/cgroup"
# cpu and cpuacct may be one hierarchy or two; what this machine lacks is left out.
V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "cpu,cpuacct", "pids", "freezer", "devices")
V2 = "cgroup2"
V2_CONTROLLERS = ("cpu", "memory", "pids", "io")


def is_v2():
    return os.path.exists(ROOT + "/cgroup.controllers")


def own_cgroups():
    """{controller: path of this process in its hierarchy}; v2's controller is called ''."""
    found = {}
    with open("/proc/self/cgroup", encoding="ascii") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            found.update((name, path) for name in [controllers, *controllers.split(",")])
    return found


def removed(path, seconds=5):
    """rmdir of a cgroup; its last process may still be on its way out."""
    for _ in range(seconds * 20):
        try:
            os.rmdir(path)
            return True
        except FileNotFoundError:
            return True
        except OSError:
            time.sleep(0.05)
    return False


class Cgroups:
    """dirs: (controller, directory); v2 has the one, and its 'controller' is V2."""

    def __init__(self, container):
        below = f"/docker/{container}"
        if is_v2():
            self.dirs = [(V2, ROOT + below)]  # from the top: only there may a process be beside cgroups with controllers
            return
        own = own_cgroups()
        self.dirs = [(name, f"{ROOT}/{name}{own[name].rstrip('/')}{below}") for name in V1_CONTROLLERS
                     if name in own and os.path.isdir(f"{ROOT}/{name}") and not os.path.islink(f"{ROOT}/{name}")]

    def make(self):
        for name, path in self.dirs:
            os.makedirs(path)
            if name == V2:
                with open(os.path.dirname(path) + "/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write(" ".join(f"+{controller}" for controller in V2_CONTROLLERS))

    def tree(self):
        """Every cgroup of the container, as paths from its own directories."""
        return sorted({os.path.relpath(entry[0], path) for _, path in self.dirs for entry in os.walk(path)})

    def remove(self):
        """Answers the directories that would not go."""
        left = []
        for _, path in self.dirs:
            self._thaw(path)
            for dirpath, _, _ in os.walk(path, topdown=False):
                if not removed(dirpath):
                    left.append("cgroup " + dirpath)
            try:
                os.rmdir(os.path.dirname(path))  # "docker": another run may be using it
            except OSError:
                pass
        return left

    @staticmethod
    def _thaw(path):
        """HTCondor freezes a job to kill it; what is frozen when its starter goes can't even be killed."""
        for dirpath, _, files in os.walk(path, topdown=False):
            for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                if name in files:
                    with open(f"{dirpath}/{name}", "w", encoding="ascii") as file:
                        file.write(word)
