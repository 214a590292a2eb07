# SPDX-License-Identifier: Apache-2.0
"""nestbox check: each of its answers produced and seen, in every form, and that nothing makes it hang."""
import contextlib
import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
import uuid

from box import Skip, ended, refused, require

NO_LIMITS = {"memory": "none", "cpu": "none", "pids": "none"}


@contextlib.contextmanager
def mounted(target, *options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


@contextlib.contextmanager
def world(live, identity=True, cgroups=None):
    """A directory for the case; /run/nestbox of our own. cgroups: the whole of /sys/fs/cgroup, in every hierarchy
    these directories below our own; None: the worker's own."""
    top = live.path("check-" + uuid.uuid4().hex[:8])
    os.makedirs("/run/nestbox", exist_ok=True)
    os.makedirs(top + "/log")
    os.chmod(top + "/log", 0o1733)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, top)
        stack.enter_context(mounted("/run/nestbox", "-o", "mode=755"))
        if identity:
            with open("/run/nestbox/identity", "w", encoding="ascii") as stream:
                stream.write('WorkerPhysicalHost = "here"\n')
        if cgroups is not None:
            stack.enter_context(mounted("/sys/fs/cgroup", "-o", "mode=755"))
            with open("/proc/self/cgroup", encoding="ascii") as stream:
                for _, controllers, path in (line.rstrip("\n").split(":", 2) for line in stream):
                    for name in cgroups:
                        os.makedirs(f"/sys/fs/cgroup/{controllers}{path}/{name}", exist_ok=True)
        yield top


def policy(top, **keys):
    """What is well here, but for these keys."""
    keys.setdefault("limits", NO_LIMITS)
    keys.setdefault("cvmfs", {"path": top + "/cvmfs", "required": False})
    keys.setdefault("audit", {"sinks": [{"type": "file", "path": top + "/log"}], "on_failure": "refuse"})
    path = top + "/policy.json"
    with open(path, "w", encoding="ascii") as stream:
        json.dump({"version": 1, **keys}, stream)
    return path


def says(live, file, check, level, *words, options=(), **how):
    """This row, with this level; it is the worst, so it is the exit status too and what the other forms say."""
    status = {"ok": 0, "warn": 1, "fail": 2}[level]
    done = live.run("check", "--json", "--policy", file, *options, **how)
    require(done.returncode == status, f"status {done.returncode}, not {status}: {done.stdout} {done.stderr}")
    told = json.loads(done.stdout)
    row = [r for r in told["rows"] if r["check"] == check and r["status"] == level]
    require(row and told["status"] == level and told["healthy"] is (level != "fail"), done.stdout)
    for word in words:
        require(word in row[0]["what"], f"no {word!r} in {row[0]}")
    require(level == "ok" or row[0]["remedy"], str(row[0]))


def case_all_is_well(live):
    with world(live) as top:
        file = policy(top)
        for check in ("policy", "userns", "mountns", "seccomp", "proc", "cgroups", "identity", "audit", "cvmfs"):
            says(live, file, check, "ok")
        done = live.run("check", "--policy", file)
        ended(done, 0)
        require(done.stdout.splitlines()[0] == "nestbox: ok", done.stdout)


def case_without_standard_input(live):
    """HTCondor's STARTD_CRON closes it."""
    with world(live) as top:
        done = live.run("-c", 'exec "$@" <&-', "sh", live.nestbox, "check", "--policy", policy(top), program="/bin/sh")
        ended(done, 0)


def case_as_classad(live):
    with world(live, identity=False) as top:
        worse = policy(top, cvmfs={"path": top + "/cvmfs", "required": True})
        for option, names, well in (("--classad", ("NESTBOX_HEALTHY", "NESTBOX_STATUS"), "ok"),
                                    ("--classad=node", ("NODE_IS_HEALTHY", "NODE_STATUS"), "All_OK")):
            done = live.run("check", option, "--policy", worse)
            ended(done, 2)
            lines = done.stdout.splitlines()
            require(lines[0] == f"{names[0]} = False" and lines[2:] == ["-"], done.stdout)
            require(lines[1].startswith(f'{names[1]} = "') and "cvmfs" in lines[1] and lines[1].count('"') == 2, done.stdout)
            done = live.run("check", option, "--policy", policy(top))
            ended(done, 1)
            require(done.stdout.startswith(f"{names[0]} = True\n{names[1]} = \"identity"), done.stdout)
            policy(top, cvmfs={"path": top + "/cvmfs", "required": True})
            with world(live) as other:
                done = live.run("check", option, "--policy", policy(other))
                ended(done, 0)
                require(done.stdout == f'{names[0]} = True\n{names[1]} = "{well}"\n-\n', done.stdout)


def case_for_prometheus(live):
    with world(live, identity=False) as top:
        done = live.run("check", "--prometheus", "--policy", policy(top))
        ended(done, 1)
        lines = done.stdout.splitlines()
        require('nestbox_check_ok{check="identity"} 0' in lines and 'nestbox_check_ok{check="policy"} 1' in lines, done.stdout)
        series = [line.split("}")[0] for line in lines if not line.startswith("#")]
        require(len(series) == len(set(series)) and "# TYPE nestbox_check_ok gauge" in lines, done.stdout)


def case_no_identity(live):
    with world(live, identity=False) as top:
        says(live, policy(top), "identity", "warn", "/run/nestbox/identity")


def case_policy_is_wrong(live):
    with world(live) as top:
        says(live, policy(top, nosuchkey=1), "policy", "fail", "nosuchkey", "policy.json")
        open_to_all = policy(top)
        os.chmod(open_to_all, 0o666)
        says(live, open_to_all, "policy", "fail", "policy.json")


def case_no_user_namespaces(live):
    with world(live) as top:
        within = ["unshare", "-U", "--map-root-user", "sh", "-c",
                  'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"', live.nestbox]
        done = subprocess.run([*live.caller.prefix, *within, "check", "--json", "--user", "0", "--policy", policy(top)],
                              capture_output=True, text=True, timeout=60, check=False)
        ended(done, 2)
        row = [r for r in json.loads(done.stdout)["rows"] if r["check"] == "userns"][0]
        require(row["status"] == "fail" and "max_user_namespaces" in row["what"] + row["remedy"], str(row))


def case_no_cgroups(live):
    limits = {"memory": "slot", "cpu": "slot", "pids": 64}
    with world(live, cgroups=[]) as top:
        says(live, policy(top, limits={**limits, "required": True}), "cgroups", "fail", "memory", "pids", "cpu")
        says(live, policy(top, limits={**limits, "required": "slot"}), "cgroups", "fail")
        says(live, policy(top, limits={**limits, "required": False}), "cgroups", "warn")
        says(live, policy(top, limits={**NO_LIMITS, "required": True}), "cgroups", "ok")
    with world(live, cgroups=["nestbox/4711"]) as top:
        says(live, policy(top, limits={**limits, "required": True}), "cgroups", "ok")
    with world(live, cgroups=["nestbox"]) as top:
        says(live, policy(top, limits={**limits, "required": True}), "cgroups", "fail")


def case_no_cvmfs(live):
    with world(live) as top:
        where = {"path": top + "/cvmfs", "repositories": ["a.example.org", "b.example.org"]}
        os.makedirs(top + "/cvmfs/a.example.org")
        says(live, policy(top, cvmfs={**where, "required": True}), "cvmfs", "fail", "b.example.org", "requires")
        says(live, policy(top, cvmfs={**where, "required": False}), "cvmfs", "warn", "b.example.org")
        os.makedirs(top + "/cvmfs/b.example.org")
        says(live, policy(top, cvmfs={**where, "required": True}), "cvmfs", "ok", "2 repositories")


class DeadFuse:
    """A file system whose server takes every request and answers none: who asks can't even be killed."""

    def __init__(self, target):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.target, self.asked = target, threading.Event()
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR)
        except OSError as e:
            raise Skip(f"FUSE: {e}") from e
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self.libc.mount(b"dead", target.encode(), b"fuse", 6, options) != 0:
            os.close(self.fd)
            raise Skip("FUSE: " + os.strerror(ctypes.get_errno()))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            request = os.read(self.fd, 1 << 17)
            number = struct.unpack_from("<IIQ", request)[2]
            # FUSE_INIT, <linux/fuse.h>: length, error, unique; then version 7.19 and limits
            os.write(self.fd, struct.pack("<IiQ", 16 + 24, 0, number) + struct.pack("<IIIIHHI", 7, 19, 0, 0, 4, 3, 4096))
            while True:
                os.read(self.fd, 1 << 17)
                self.asked.set()
        except OSError:
            pass  # unmounted

    def close(self):
        self.libc.umount2(self.target.encode(), 3)  # MNT_FORCE | MNT_DETACH
        os.close(self.fd)


def case_dead_cvmfs(live):
    with world(live) as top:
        os.makedirs(top + "/cvmfs/dead.example.org")
        dead = DeadFuse(top + "/cvmfs/dead.example.org")
        try:
            file = policy(top, cvmfs={"path": top + "/cvmfs", "repositories": ["dead.example.org"], "required": False})
            says(live, file, "cvmfs", "fail", "dead.example.org", "hangs", options=("--timeout", "1"), timeout=50)
            require(dead.asked.is_set(), "the file system was not asked")
            sinks = {"sinks": [{"type": "file", "path": top + "/cvmfs/dead.example.org"}], "on_failure": "refuse"}
            says(live, policy(top, audit=sinks), "audit", "fail", "timed out", options=("--timeout", "1"), timeout=50)
        finally:
            dead.close()


def case_no_log(live):
    with world(live) as top:
        def sinks(failure="refuse", required=True):
            return {"sinks": [{"type": "file", "path": top + "/closed", "required": required}], "on_failure": failure}
        says(live, policy(top, audit=sinks()), "audit", "fail", "No such file")
        os.mkdir(top + "/closed", 0o700)
        says(live, policy(top, audit=sinks()), "audit", "fail", "Permission denied")
        says(live, policy(top, audit=sinks("warn")), "audit", "warn", "Permission denied")


def case_full_disk(live):
    with world(live) as top:
        with mounted(top + "/log", "-o", "mode=1733,size=1m"):
            sinks = [{"type": "file", "path": top + "/log"}]
            says(live, policy(top, audit={"sinks": sinks, "reserve": "2MiB"}), "audit", "fail", "reserve")
            says(live, policy(top, audit={"sinks": sinks, "reserve": "512KiB"}), "audit", "ok")
            with open(top + "/log/x", "wb") as stream:
                stream.write(bytes(900 << 10))
            says(live, policy(top, audit={"sinks": sinks, "reserve": "512KiB"}), "audit", "fail", "reserve")


def listener(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, 0o666)
    server.listen()
    return server


def case_no_collector(live):
    with world(live) as top:
        path = top + "/collect.sock"
        file = policy(top, audit={"sinks": [{"type": "collector", "path": path}], "on_failure": "refuse"})
        says(live, file, "audit", "fail", "No such file")
        server = listener(path)
        says(live, file, "audit", "ok")
        server.close()
        says(live, file, "audit", "fail", "refused")
        os.remove(path)
        with open(path, "w", encoding="ascii"):
            pass
        says(live, file, "audit", "fail", "ocket")


def case_no_vault(live):
    with world(live) as top:
        os.mkdir(top + "/agent")
        path = top + "/agent/agent.sock"

        def secrets(required):
            return {"vault": {"socket": path},
                    "secrets": [{"name": "x", "from": "vault", "path": "secret/data/x", "required": required}]}
        says(live, policy(top, **secrets(True)), "vault", "fail", "agent.sock")
        says(live, policy(top, **secrets(False)), "vault", "warn", "agent.sock")
        server = listener(path)
        says(live, policy(top, **secrets(True)), "vault", "ok")
        os.chmod(path, 0o600)
        says(live, policy(top, **secrets(True)), "vault", "fail", "Permission denied")
        os.chmod(path, 0o660)
        os.chown(path, 0, 12347)
        if live.caller.is_root:  # a health check as root: no job's user is known, and the worker is not called sick for that
            says(live, policy(top, **secrets(True)), "vault", "warn", "lets group 12347 in")
        else:
            says(live, policy(top, **secrets(True)), "vault", "fail", "Permission denied")
        os.chmod(path, 0o666)
        server.close()
        says(live, policy(top, **secrets(True)), "vault", "fail", "refused")


def case_options(live):
    refused(live.run("check", "--classad=other"), "--classad=other")
    refused(live.run("check", "--timeout", "0"), "--timeout")
    refused(live.run("check", "--timeout", "601"), "--timeout")
    refused(live.run("check", "--timeout"), "--timeout")
    refused(live.run("check", "now"), "now")
    refused(live.run("check", "--nosuch"), "--nosuch")
    if not live.caller.is_root:
        refused(live.run("check", "--user", "0"), "only root")
