# SPDX-License-Identifier: Apache-2.0
"""What attacks run against: an image, a secret outside, victims, leaked descriptors, a terminal; and ways to launch.

Everything is below one directory of its own and is gone afterwards. The secret's file says 'nestbox-attack-secret'.
"""
import ctypes
import json
import os
import pty
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

import delegated  # noqa: E402

SECRET = b"nestbox-attack-secret\n"
OTHER_UID = 2001
DENIED_GROUP = 54545
DIRECTORIES = ("bin", "dev", "proc", "sys", "tmp", "etc", "var/tmp", "run", "usr", "home", "host-dir", "srv")


class Skip(Exception):
    """Can't be tried here; the text is the reason."""


class User:
    def __init__(self, name, uid):
        self.name, self.uid = name, uid


def users():
    """Root tries both ways to make a box; anybody else only the ordinary one."""
    if os.geteuid() == 0:
        return [User("root", 0), User("user", OTHER_UID)]
    return [User("user", os.geteuid())]


class World:
    def __init__(self, probe, user, nestbox=None):
        self.user, self.nestbox = user, nestbox
        parent = "/srv" if os.geteuid() == 0 else os.path.expanduser("~")
        self.dir = tempfile.mkdtemp(prefix="nestbox-attack.", dir=parent)
        os.chmod(self.dir, 0o755)
        self.source = probe
        self.image = self.make_other_image("image")
        self.bin = self.path("bin")
        os.mkdir(self.bin)
        self.probe = shutil.copy(probe, os.path.join(self.bin, "probe"))
        self.scratch = self.path("scratch")
        os.mkdir(self.scratch)
        shutil.copy(probe, os.path.join(self.scratch, "probe"))
        self.secret = self.path("secret")
        with open(self.secret, "wb") as stream:
            stream.write(SECRET)
        os.chmod(self.secret, 0o644)
        self.give(self.scratch, os.path.join(self.scratch, "probe"))
        self.plant()
        self.policy = self.make_policy()
        self.socket = self.make_socket()
        self.delegated = delegated.delegate(nestbox, user.uid) if os.geteuid() == 0 and delegated.present() and user.uid else []
        self.helpers = []
        self.offer_name = "nestbox-attack-" + os.path.basename(self.dir)
        self.key = 0x6e620000 | os.getpid() & 0xffff
        self.victim = self.helper("victim")
        self.helper("offer", self.offer_name, str(self.key), "/" + self.offer_name)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def give(self, *paths):
        for path in paths:
            if os.geteuid() == 0:
                os.chown(path, self.payload_uid(), self.payload_uid())

    def payload_uid(self):
        """Whom the payload runs as: root gives it the ordinary user."""
        return OTHER_UID if os.geteuid() == 0 else self.user.uid

    def make_other_image(self, name):
        image = self.path(name.replace("/", "-"))
        for entry in DIRECTORIES:
            os.makedirs(os.path.join(image, entry))
        os.chmod(os.path.join(image, "tmp"), 0o1777)
        shutil.copy(self.source, os.path.join(image, "bin/probe"))
        with open(os.path.join(image, "etc/passwd"), "w", encoding="ascii") as stream:
            stream.write("root:x:0:0::/:/bin/sh\n")
        return image

    def plant(self):
        """Files that only root can make: set-user-id and capable programs, a device node, a file that denies a group."""
        if os.geteuid() != 0:
            return
        suid = os.path.join(self.scratch, "suid")
        shutil.copy(self.probe, suid)
        os.chown(suid, 1, 1)
        os.chmod(suid, 0o6755)
        capable = os.path.join(self.scratch, "capable")
        shutil.copy(self.probe, capable)
        os.chmod(capable, 0o755)
        os.setxattr(capable, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        node = os.path.join(self.scratch, "zero")
        os.mknod(node, 0o20666, os.makedev(1, 5))
        os.chmod(node, 0o666)
        denied = os.path.join(self.scratch, "denied")
        with open(denied, "wb") as stream:
            stream.write(SECRET)
        os.chown(denied, 0, DENIED_GROUP)
        os.chmod(denied, 0o604)

    def helper(self, *words):
        """A probe of the user's that lives until we close its input."""
        process = subprocess.Popen([self.probe, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   preexec_fn=lambda: become(self.user.uid if words[0] != "offer" else 0))
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"probe {words[0]} did not get ready")
        self.helpers.append(process)
        return process

    def handle(self):
        done = subprocess.run([self.probe, "handle", self.secret], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False)
        return done.stdout.decode().strip() or "0:00"

    def make_policy(self):
        """A log of its own, and a directory that is hidden."""
        for name, mode in (("log", 0o1777), ("hidden", 0o755)):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), mode)
        os.symlink(self.dir, self.path("alias"))
        for name in ("hidden", "log"):
            with open(self.path(name, "secret"), "wb") as stream:
                stream.write(SECRET)
        policy = self.path("policy.json")
        with open(policy, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "hide": [self.path("hidden")],
                       "audit": {"sinks": [{"type": "file", "path": self.path("log")}]}}, stream)
        self.compile(policy)
        return policy

    def compile(self, policy):
        """For a launcher that has no compiler beside it."""
        compiler = os.path.join(os.path.dirname(self.nestbox), "../libexec/nestbox/nestbox-policy")
        if os.path.exists(compiler):
            subprocess.run([compiler, "compile", policy], check=True, stdout=subprocess.DEVNULL)

    def make_socket(self):
        """A daemon's socket in /run that anybody may connect to."""
        parent = "/run" if os.geteuid() == 0 else self.dir
        self.run_dir = tempfile.mkdtemp(prefix="nestbox-attack.", dir=parent)
        os.chmod(self.run_dir, 0o755)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.run_dir, "socket"))
        self.listener.listen(64)
        os.chmod(os.path.join(self.run_dir, "socket"), 0o777)
        return os.path.join(self.run_dir, "socket")

    def words(self):
        return {"dir": self.dir, "image": self.image, "scratch": self.scratch, "secret": self.secret,
                "probe": self.probe, "victim": str(self.victim.pid), "offer": self.offer_name, "key": str(self.key),
                "pidns": os.readlink("/proc/self/ns/pid"), "handle": self.handle(), "group": str(DENIED_GROUP),
                "socket": self.socket, "hidden": self.path("hidden"), "log": self.path("log"), "uid": str(self.payload_uid()),
                "dirname": os.path.basename(self.dir)}

    def end(self):
        for process in self.helpers:
            process.stdin.close()
            process.wait()
            process.stdout.close()
        self.listener.close()
        delegated.undo(self.delegated)
        shutil.rmtree(self.run_dir)
        shutil.rmtree(self.dir)


def become(uid, groups=()):
    if os.geteuid() == 0:
        os.setgroups(list(groups))
        if uid != 0:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: the ids changed


class Launch:
    """One start, with what the row's `launch` column asks for."""

    def __init__(self, world, flags):
        self.world, self.flags = world, flags
        self.keep, self.pass_fds, self.sentinel, self.master = [], [], None, None

    def descriptors(self):
        """Descriptor 9 is the directory that holds the secret, 10 a listening socket."""
        os.dup2(os.open(self.world.dir, os.O_RDONLY | os.O_DIRECTORY), 9)
        listener = socket.socket(socket.AF_INET)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        os.dup2(listener.fileno(), 10)
        os.set_inheritable(9, True)
        os.set_inheritable(10, True)

    def in_child(self):
        if "tty" in self.flags:
            os.setsid()
        else:
            os.setpgid(0, self.sentinel.pid if self.sentinel else 0)
        if "core" in self.flags:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if "fds" in self.flags:
            self.descriptors()
        if "stdin-dir" in self.flags:
            os.dup2(os.open(self.world.dir, os.O_RDONLY | os.O_DIRECTORY), 0)
        if "signals" in self.flags:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        if "tty" in self.flags:
            slave = os.open(self.slave, os.O_RDWR)
            os.dup2(slave, 0)
        become(self.world.user.uid, [DENIED_GROUP] if "group" in self.flags else [])

    def run(self, command, env=None):
        """Exit status (negative: the signal), and what was said on standard error."""
        if "sentinel" in self.flags or "group-mate" in self.flags:
            self.sentinel = subprocess.Popen(["/bin/sleep", "100"],
                                             preexec_fn=lambda: (os.setpgid(0, 0), become(self.world.payload_uid())))
        if "tty" in self.flags:
            self.master, slave = pty.openpty()
            self.slave = os.ttyname(slave)
            os.chmod(self.slave, 0o666)
            self.keep.append(slave)
        if "key" in self.flags:
            command = [self.world.probe, "with-key", "nestbox-attack-key", *command]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  close_fds=False, preexec_fn=self.in_child, timeout=120, env=env, cwd="/", check=False)
            return self.verdict(done.returncode), done.stdout.decode("utf-8", "replace").strip()
        except subprocess.TimeoutExpired:
            return 999, "no end after 120 s"
        finally:
            self.end()

    def verdict(self, status):
        """With a sentinel it is its death that counts: 0 when the attack reached it, 1 when it lives."""
        if "sentinel" not in self.flags:
            return status
        try:
            self.sentinel.wait(0.3)
            return 0
        except subprocess.TimeoutExpired:
            return 1

    def end(self):
        if self.sentinel is not None:
            self.sentinel.kill()
            self.sentinel.wait()
        for fd in [self.master, *self.keep]:
            if fd is not None:
                os.close(fd)
