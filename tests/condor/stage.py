# SPDX-License-Identifier: Apache-2.0
"""What the pools need, made ready: HTCondor's root, nestbox as a package would install it, the jobs' program."""
import fcntl
import hashlib
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get("NESTBOX_TEST_CACHE", "/var/cache/nestbox-tests")


def condor_root():
    return subprocess.run([HERE + "/mkroot"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def build_directory():
    """One a source tree: two clones don't build over each other."""
    return f"{CACHE}/condor-build-{hashlib.sha256(SOURCE.encode()).hexdigest()[:12]}"


def install(stage):
    """nestbox with prefix /usr in the directory `stage`; one build at a time."""
    build = build_directory()
    os.makedirs(CACHE, exist_ok=True)
    with open(build + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(build + "/build.ninja"):
            subprocess.run(["meson", "setup", "--prefix=/usr", "-Dtests=false", build, SOURCE], check=True,
                           stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", build, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["meson", "install", "-C", build, "--quiet", "--no-rebuild", "--destdir", stage], check=True)
    return stage


def payload(directory):
    """A static program: the box need not have a C library."""
    os.makedirs(directory, exist_ok=True)
    path = directory + "/payload"
    subprocess.run(["musl-gcc" if shutil.which("musl-gcc") else "cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                    "-Werror", "-static", HERE + "/payload.c", "-o", path], check=True)
    return path
