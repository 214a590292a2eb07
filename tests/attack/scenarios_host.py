# SPDX-License-Identifier: Apache-2.0
"""Attacks on what stays outside of the box: HTCondor's error file, the registry, what is hidden."""
import fcntl
import json
import os
import struct
import subprocess

from scenarios import as_user, box, expect, open_place, shown, text, user_option
from world import DENIED_GROUP, Skip, become

ERROR_FILE = ".job_wrapper_failure"
FORGERIES = ("touch {0}", "ln -s / {0}", "mkfifo {0}", "mkdir {0}", "mkdir -p {0}/in/it", "touch {0}; chmod 555 .",
             "touch {0}; chmod 111 .", "mkdir -p {0}/in; chmod 0 {0}; chmod 511 .")


def forged_failure(world):
    """A payload that leaves HTCondor's error file would be run again for ever, whatever it does to its directory."""
    wrong = []
    for number, forgery in enumerate(FORGERIES):
        seen = []
        for turn, boxed in enumerate((False, True)):
            place = os.path.join(open_place(world, "execute"), f"dir_{number}_{turn}")
            os.mkdir(place, 0o700)
            world.give(place)
            command = ["/bin/sh", "-c", forgery.format(ERROR_FILE) + "; exit 3"]
            env = {"PATH": "/usr/bin:/bin", "_CONDOR_SCRATCH_DIR": place, "_CONDOR_WRAPPER_ERROR_FILE": os.path.join(place, ERROR_FILE)}
            if boxed:
                done = box(world, command, verb="wrap", env=env, cwd=place)
            else:
                done = subprocess.run(command, preexec_fn=as_user(world), env=env, cwd=place, check=False)
            if done.returncode != 3:
                return "FAIL", f"{forgery}: status {done.returncode}: {text(done) if boxed else ''}"
            seen.append(os.path.lexists(os.path.join(place, ERROR_FILE)))
        shown(seen[0], f"{forgery} left nothing")
        if seen[1]:
            wrong.append(forgery)
    return expect(not wrong, f"left by {wrong}")


def weak_root(world):
    """What is hidden lies where root has no rights and the payload has: root's right to search was dropped, as in many
    containers; so it is with NFS and root_squash, and with FUSE."""
    private = world.path("private-to-payload")
    secret = os.path.join(private, "keys", "secret")
    os.makedirs(os.path.dirname(secret))
    with open(secret, "wb") as stream:
        stream.write(b"nestbox-attack-secret\n")
    world.give(private, os.path.dirname(secret), secret)
    os.chmod(private, 0o700)
    weak = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    plain = subprocess.run([world.probe, "secret", secret], preexec_fn=lambda: become(world.payload_uid()), stderr=subprocess.DEVNULL,
                           check=False)
    shown(plain.returncode == 0, f"status {plain.returncode}")
    policy = world.path("weak.json")
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "hide": [os.path.dirname(secret)], "audit": {"sinks": [{"type": "file", "path": world.path("log")}]}}, stream)
    world.compile(policy)
    user = f"{world.payload_uid()}:{world.payload_uid()}"
    statuses = [subprocess.run([*weak, world.nestbox, "exec", "--policy", of, "--user", user, "/", world.probe, "secret", secret],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode for of in (world.policy, policy)]
    shown(statuses[0] == 0, f"not seen in a box that hides nothing: {statuses[0]}")
    return expect(statuses[1] == 1, f"status {statuses[1]}")


def lock_of_a_stranger(world):
    """A user links a file that somebody else's daemon has locked into his directory of boxes: root's `nestbox kill` of
    that box must not end the daemon."""
    place = f"/run/nestbox/boxes/{world.payload_uid()}"
    mark = "01a1fe00-0000-7000-8000-00000000000a"
    made = [path for path in ("/run/nestbox", "/run/nestbox/boxes", place) if not os.path.isdir(path)]
    if "/run/nestbox/boxes" in made:
        os.makedirs("/run/nestbox/boxes")
        os.chmod("/run/nestbox/boxes", 0o1733)
    os.makedirs(place, mode=0o700, exist_ok=True)
    world.give(place)
    wrong = []
    for owner in (0, world.payload_uid()):
        lock = f"/run/nestbox-attack.{os.getpid()}.lock"
        script = "import fcntl,sys,time; f=open(sys.argv[1],'r+'); fcntl.lockf(f,fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
        with open(lock, "w", encoding="ascii") as stream:
            stream.write('{"schema_version":1}\n')
        os.chmod(lock, 0o666)
        os.chown(lock, owner, owner)
        entry = os.path.join(place, mark)
        daemon = subprocess.Popen(["/usr/bin/python3", "-c", script, lock], stdout=subprocess.PIPE)
        try:
            daemon.stdout.readline()
            linked = subprocess.run(["ln", lock, entry], preexec_fn=lambda: become(world.payload_uid()), stderr=subprocess.DEVNULL, check=False)
            if linked.returncode != 0:
                raise Skip("/run is not one file system")
            with open(entry, "rb") as stream:
                holder = struct.unpack("hhqqi4x", fcntl.fcntl(stream, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 4096, 0)))[4]
            shown(holder == daemon.pid, f"the lock is held by {holder}")
            listed = subprocess.run([world.nestbox, "ps", "--json"], stdout=subprocess.PIPE, check=False).stdout
            ended = subprocess.run([world.nestbox, "kill", "--grace", "0", mark], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if mark.encode() in listed or ended.returncode != 125 or daemon.poll() is not None:
                wrong.append(f"file of uid {owner}: {listed} {text(ended)}, daemon {daemon.poll()}")
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
            for path in (entry, lock):
                if os.path.exists(path):
                    os.unlink(path)
    for path in reversed(made):
        os.rmdir(path)
    return expect(not wrong, "; ".join(wrong))


def worker_proc(world):
    """The worker's /proc in a box of root's: another process of the payload's user is a way out, unless Landlock closes it."""
    if not world.left_out:
        raise Skip("needs a launcher that leaves out landlock (--left-out)")
    neighbour = subprocess.Popen([world.probe, "victim"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 preexec_fn=lambda: become(world.payload_uid()))
    neighbour.stdout.readline()
    way = f"/proc/{neighbour.pid}/root{world.path('hidden', 'secret')}"
    user = f"{world.payload_uid()}:{world.payload_uid()}"
    wrong = []
    try:
        for rung in ("bind", "shared"):
            statuses = []
            for scope, launcher, env in (("if-present", world.left_out, {"NESTBOX_LEAVE_OUT": "landlock"}), ("if-present", world.nestbox, {}),
                                         ("off", world.nestbox, {})):
                policy = world.path("proc.json")
                with open(policy, "w", encoding="utf-8") as stream:
                    json.dump({"version": 1, "namespaces": {"proc": [rung]}, "hide": [world.path("hidden")], "landlock": {"scope": scope},
                               "audit": {"sinks": [{"type": "file", "path": world.path("log")}]}}, stream)
                world.compile(policy)
                done = subprocess.run([launcher, "exec", "--policy", policy, "--user", user, "/", world.probe, "secret", way],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, check=False)
                statuses.append(done.returncode)
            shown(statuses[0] == 0, f"{rung}: status {statuses[0]} without Landlock")
            if statuses[1] not in (1, 125) or statuses[2] != 125:
                wrong.append(f"{rung}: {statuses}")
    finally:
        neighbour.communicate()
    return expect(not wrong, "; ".join(wrong))


def site_profile(world):
    """A system call filter of the site's that allows everything: nested boxes still make no network namespaces, strict ones none."""
    profile, policy = world.path("allow.json"), world.path("allow-policy.json")
    with open(profile, "w", encoding="utf-8") as stream:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}]}, stream)
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "seccomp": {"profile": profile, "strict": profile},
                   "audit": {"sinks": [{"type": "file", "path": world.path("log")}]}}, stream)
    world.compile(policy)
    new_net, new_user, both, net_and_mount = "0x40000000", "0x10000000", "0x50000000", "0x40020000"
    tries = [*(("both", attack, flags) for attack in ("unshare-nested", "clone-nested", "clone3-nested") for flags in (new_net, net_and_mount)),
             *(("strict", attack, flags) for attack in ("unshare", "clone", "clone3") for flags in (new_user, both))]
    user = user_option(world)[:-2]
    wrong = []
    for where, attack, flags in tries:
        plain = subprocess.run([world.probe, attack, flags], preexec_fn=as_user(world), stderr=subprocess.DEVNULL, check=False)
        shown(plain.returncode == 0, f"{attack} {flags}: status {plain.returncode}")
        for kind in ("strict",) if where == "strict" else ("nested", "strict"):
            done = subprocess.run([world.nestbox, "exec", *user, "--policy", policy, "--profile", kind, world.image, "/bin/probe", attack, flags],
                                  preexec_fn=as_user(world), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.returncode not in (1, 2):
                wrong.append(f"{kind} {attack} {flags}: {done.returncode} {text(done)}")
    allowed = subprocess.run([world.nestbox, "exec", *user, "--policy", policy, world.image, "/bin/probe", "unshare-nested", "0x20000"],
                             preexec_fn=as_user(world), stderr=subprocess.DEVNULL, check=False)
    if allowed.returncode != 0:
        wrong.append(f"a nested box makes no mount namespace: {allowed.returncode}")
    return expect(not wrong, "; ".join(wrong))


def many_groups(world):
    """A user in a group that the site refuses, and in a hundred others."""
    if os.geteuid() != 0:
        raise Skip("needs root, to give groups")
    secret, policy = world.path("of-a-group"), world.path("groups.json")
    with open(secret, "wb") as stream:
        stream.write(b"nestbox-attack-secret\n")
    os.chown(secret, 0, DENIED_GROUP)
    os.chmod(secret, 0o640)
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "identity": {"refuse_groups": [DENIED_GROUP]}, "audit": {"sinks": [{"type": "file", "path": world.path("log")}]}},
                  stream)
    world.compile(policy)
    statuses = []
    for groups in ([DENIED_GROUP], [*range(3000, 3100), DENIED_GROUP]):
        for of in (world.policy, policy):
            done = subprocess.run([world.nestbox, "exec", "--policy", of, "/", world.probe, "secret", secret], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, preexec_fn=lambda groups=groups: become(world.user.uid, groups), check=False)
            statuses.append(done.returncode)
    shown(statuses[0] == 0 and statuses[2] == 0, f"not read where the policy refuses no group: {statuses}")
    return expect(statuses[1] == 125 and statuses[3] == 125, f"statuses {statuses}")


SCENARIOS = [
    ("many-groups", "F01", "user", many_groups),
    ("site-profile", "E04", "any", site_profile),
    ("worker-proc", "D05", "root", worker_proc),
    ("forged-failure", "J01", "user", forged_failure),
    ("weak-root", "C15", "root", weak_root),
    ("lock-of-a-stranger", "B12", "root", lock_of_a_stranger),
]
