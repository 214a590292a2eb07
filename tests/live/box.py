# SPDX-License-Identifier: Apache-2.0
"""What the live tests share: callers, an image, launches, and what must not be left behind."""
import glob
import os
import shutil
import signal
import subprocess
import tempfile

UID = 2001


class Skip(Exception):
    """Can't be shown here; the text names the feature."""


class Caller:
    """Somebody who starts nestbox: how to become him, and who the payload then is."""

    def __init__(self, name, prefix, payload_uid):
        self.name, self.prefix, self.payload_uid = name, prefix, payload_uid

    @property
    def is_root(self):
        return self.payload_uid == 65534


CALLERS = [
    Caller("root", [], 65534),
    Caller("root-without-sys-admin", ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"], 65534),
    Caller("user", ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"], UID),
]


class Live:
    """One caller's world: a directory that is gone afterwards, with an image of busybox in it."""

    def __init__(self, caller, nestbox, broken):
        self.caller, self.nestbox, self.broken = caller, nestbox, broken
        self.dir = tempfile.mkdtemp(prefix="nestbox-live.", dir="/srv")
        os.chmod(self.dir, 0o755)
        self.image = self.make_image("image", "proc", "dev", "tmp", "var/tmp", "run", "sys", "etc")
        self.env = {"PATH": "/usr/bin:/bin", "HOME": self.dir}

    def make_image(self, name, *dirs):
        root = os.path.join(self.dir, name)
        os.makedirs(os.path.join(root, "bin"))
        shutil.copy("/bin/busybox", os.path.join(root, "bin/busybox"))
        for applet in ("sh", "ls", "cat", "id", "mount", "sleep", "true", "touch", "mkdir", "grep", "kill", "stat", "env", "wc"):
            os.symlink("busybox", os.path.join(root, "bin", applet))
        for one in dirs:
            os.makedirs(os.path.join(root, one), exist_ok=True)
        return root

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def command(self, *args, program=None):
        return [*self.caller.prefix, program or self.nestbox, *args]

    def run(self, *args, program=None, env=None, **how):
        """A launch to its end: the finished process with text output."""
        how.setdefault("timeout", 60)
        how.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(*args, program=program), env=env or self.env, capture_output=True, text=True,
                              errors="replace", cwd=how.pop("cwd", "/"), **how)

    def start(self, *args, **how):
        program = how.pop("program", None)
        return subprocess.Popen(self.command(*args, program=program), env=how.pop("env", self.env), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                                preexec_fn=how.pop("become", None), **how)

    def sh(self, script, *options, **how):
        return self.run("exec", *options, self.image, "sh", "-c", script, **how)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def cgroups():
    return set(glob.glob("/sys/fs/cgroup/*/**/nestbox-0*", recursive=True))


def mounts():
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        return stream.read()


def boxes():
    """Processes in a pid namespace that isn't ours, by the name of what the tests run."""
    found = set()
    own = os.readlink("/proc/self/ns/pid")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") != own:
                    found.add(int(entry))
            except OSError:
                continue
    return found


def require(condition, text):
    if not condition:
        raise AssertionError(text)


def ended(done, status, output=None):
    """Exit status (negative: the signal), and a part of the output."""
    require(done.returncode == status, f"status {done.returncode}, not {status}: {done.stdout!r} {done.stderr!r}")
    if output is not None:
        require(output in done.stdout + done.stderr, f"no {output!r} in {done.stdout!r} {done.stderr!r}")


def refused(done, *words):
    """125, one sentence on stderr with these words, and no payload ran."""
    ended(done, 125)
    require(done.stdout == "", f"a payload ran: {done.stdout!r}")
    lines = done.stderr.strip().splitlines()
    require(len(lines) == 1 and lines[0].startswith("nestbox: "), f"not one sentence: {done.stderr!r}")
    for word in words:
        require(word in lines[0], f"no {word!r} in {lines[0]!r}")


def kill(process, number=signal.SIGKILL):
    os.kill(process.pid, number)
