# SPDX-License-Identifier: Apache-2.0
"""One machine's HTCondor pool in a simulated worker container: start, commands inside, stop without a trace."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from container_cgroups import Cgroups

HERE = os.path.dirname(os.path.abspath(__file__))
# All deadlines are multiplied by this: an emulated machine is some ten times slower.
SLOWER = float(os.environ.get("NESTBOX_TEST_SLOWER", "1"))
READY = "Setting ready state 'Ready' for STARTD"


# A job that says the digest of its proxy whenever it is another one, until the gate $2 is open.
WATCH = """#!/bin/sh
env | sed -n 's/^X509_USER_PROXY=/env &/p'
last=
while [ ! -e "$2" ]; do
	now=$(sha256sum <"$X509_USER_PROXY")
	[ "$now" = "$last" ] || echo "proxy ${now%% *}"
	last=$now
	sleep 0.2
done
"""
# What jobs need from the submit side, in /srv/test.
FILES = {"input/data": "input\n", "bin/garbage": "no program\0",
         "bin/inner": '#!/bin/sh\nINNER=yes exec "$@"\n',
         "bin/watch": WATCH,
         "bin/recorder": '#!/bin/sh\n(printf "arg %s\\n" "$@"; env; ls -l /proc/$$/fd) >/srv/test/out/recorded\n'}


class PoolError(Exception):
    pass


def until(test, seconds, what):
    """Polls until test() is true, answers what it answered. It pauses as long as the test took: in a slow machine HTCondor's
    own programs, asked again and again, would leave nothing for the daemons."""
    end = time.monotonic() + seconds * SLOWER
    while True:
        asked = time.monotonic()
        value = test()
        now = time.monotonic()
        if value:
            return value
        if now > end:
            raise PoolError(f"{what}: not within {seconds * SLOWER:g} s")
        time.sleep(max(0.05, now - asked))


def net_of(pid):
    """The network namespace of a process: the container's boxes share the container's."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


class Pool:
    def __init__(self, mode, root, stage, files, private=True):
        """files: {path: text} that come on top of the stage's; private: with cgroup v2 the container has a cgroup namespace
        of its own, as Docker and podman make it."""
        self.mode = mode
        self.private = private
        self.state = tempfile.mkdtemp(prefix=f"nestbox-condor-{mode}.")
        self.shared = self.state + "/shared"
        self.container = os.urandom(32).hex()
        self.cgroups = Cgroups(self.container)
        self.root = root
        self.unshare = None
        self.pid = None
        self.net = None
        self.net_fd = None
        os.chmod(self.state, 0o755)
        os.mkdir(self.state + "/mnt")
        self._make_stage(stage, files)
        self._make_shared()

    def _make_stage(self, stage, files):
        self.stage = self.state + "/stage"
        shutil.copytree(stage, self.stage, symlinks=True)
        for name, text in files.items():
            path = self.stage + name
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)

    def _make_shared(self):
        for name in ("out", "log", "gate", "iwd", "input", "bin"):
            os.makedirs(f"{self.shared}/{name}")
            os.chmod(f"{self.shared}/{name}", 0o1777)
        for name, text in FILES.items():
            with open(f"{self.shared}/{name}", "w", encoding="ascii") as file:
                file.write(text)
            os.chmod(f"{self.shared}/{name}", 0o755)
        shutil.copy(HERE + "/entrypoint", self.shared)

    def start(self):
        self.cgroups.make()
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MODE": self.mode, "ROOT": self.root, "STAGE": self.stage,
               "STATE": self.state, "CONTAINER": self.container,
               "PRIVATE": "yes" if self.private else "",
               "CGROUPS": "\n".join(f"{name} {path}" for name, path in self.cgroups.dirs)}
        with open(self.state + "/worker.log", "wb") as log:
            self.unshare = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child",
                 "--propagation", "private", HERE + "/worker"],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.pid = until(self._first_child, 5, "the worker container's first process")
        self.net = until(lambda: net_of(self.pid), 5, "its network namespace")
        self.net_fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)  # its number is not given to another
        until(lambda: os.path.exists(self.shared + "/ready") or self.unshare.poll() is not None, 20, "entrypoint")
        until(self._ready, 40, "the pool")

    def _first_child(self):
        with open(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        return int(children[0]) if children else None

    def _ready(self):
        if self.unshare.poll() is not None:
            raise PoolError("the worker container ended at its start: " + self.worker_log())
        try:
            with open(self.path("/var/log/condor/MasterLog"), encoding="utf-8", errors="replace") as log:
                started = READY in log.read()
        except OSError:
            started = False
        return (started and self.run(["condor_status", "-schedd", "-af", "Name"], check=False).stdout and
                self.run(["condor_status", "-af", "Name"], check=False).stdout)

    def worker_log(self):
        with open(self.state + "/worker.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def path(self, name):
        """A path of the container, as seen from here."""
        return f"/proc/{self.pid}/root{name}"

    def run(self, argv, user=None, check=True, text=None):
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-r", "-w", "env", "-i", "LANG=C",
                 "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"HOME=/home/{user}" if user else "HOME=/root"]
        if user:
            enter += ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        done = subprocess.run(enter + argv, input=text, capture_output=True, text=True, errors="surrogateescape",
                              timeout=60 * SLOWER, check=False)
        if check and done.returncode != 0:
            raise PoolError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
        return done

    def ads(self, argv):
        out = self.run(argv + ["-json"]).stdout
        return json.loads(out) if out.strip() else []

    def submit(self, text):
        """The cluster's number."""
        out = self.run(["condor_submit", "-terse", "-"], user="alice", text=text).stdout
        return int(re.match(r"(\d+)\.", out).group(1))

    def processes(self, marker):
        """Pids, as seen from here, of the container's processes with the marker among their arguments."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                if marker.encode() in words and self._inside(pid):
                    found.append(int(pid))
            except OSError:
                continue
        return sorted(found)

    def _inside(self, pid):
        return self.net is not None and net_of(pid) == self.net

    def stop(self):
        """Stops the container; answers what it left behind, which should be nothing."""
        if self.unshare and self.unshare.poll() is None and self.pid:
            os.kill(self.pid, 15)
            try:
                self.unshare.wait(20 * SLOWER)
            except subprocess.TimeoutExpired:
                self.unshare.kill()
                self.unshare.wait()
        left = self.cgroups.remove()
        left += [f"process {pid}" for pid in filter(str.isdigit, os.listdir("/proc")) if self._inside(pid)]
        if self.net_fd is not None:
            os.close(self.net_fd)
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            left += ["mount " + line.split()[4] for line in lines if self.state in line]
        return left

    def discard(self):
        shutil.rmtree(self.state, ignore_errors=True)
