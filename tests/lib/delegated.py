# SPDX-License-Identifier: Apache-2.0
"""cgroup v1 directories that `nestbox delegate` gives an ordinary user; what was not there before is gone afterwards."""
import contextlib
import glob
import os
import subprocess


def present():
    return os.path.isdir("/sys/fs/cgroup/memory")


def delegate(nestbox, uid):
    """Returns the directories that this adds, for `undo`."""
    added = []
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            own = f"/sys/fs/cgroup/{controllers}{path}"
            if controllers and os.path.isdir(own):
                added += [place for place in (f"{own}/nestbox", f"{own}/nestbox/{uid}") if not os.path.isdir(place)]
    subprocess.run([nestbox, "delegate", "--user", str(uid)], stdout=subprocess.DEVNULL, check=True)
    return added


def undo(added):
    """Removes them, and the cgroups that killed boxes left in them. A box that lives is another run's, or the runner finds it."""
    for place in reversed(added):
        for left in [*glob.glob(place + "/nestbox-*/payload"), *glob.glob(place + "/nestbox-*"), place]:
            with contextlib.suppress(OSError):
                os.rmdir(left)
