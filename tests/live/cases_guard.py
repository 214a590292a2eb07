# SPDX-License-Identifier: Apache-2.0
"""Who would misuse `nestbox enter`: strangers, the box's own user, the payload, the image."""
import fcntl
import json
import os
import signal
import socket
import subprocess
import time

from box import ended, refused, require
from cases_enter import SHOW, Box, wait_listed
from cases_registry import files


def case_what_is_left_out_is_missed(live):
    """The comparison sees it: a box without the row is entered without it."""
    process = subprocess.Popen(live.command("exec", live.image, "sh", "-c", "echo up; exec sleep 1000", program=live.broken),
                               env=dict(live.env, NESTBOX_LEAVE_OUT="seccomp"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               cwd="/")
    require(process.stdout.readline() == b"up\n", "no start")
    box = wait_listed(live, process.pid)
    done = live.run("enter", box["id"], "sh", "-c", SHOW)
    process.terminate()
    process.wait()
    require("Seccomp:\t0" in done.stdout, f"{done.stdout} {done.stderr}")


def case_only_three_descriptors(live):
    with Box(live) as box:
        directory = os.open("/", os.O_RDONLY)
        done = box.run("sh", "-c", "ls /proc/self/fd", pass_fds=[directory])
        os.close(directory)
        ended(done, 0)
        require(done.stdout.split() == ["0", "1", "2", "3"], done.stdout)  # 3: the listing itself
        descriptor = os.open("/", os.O_RDONLY)
        done = box.run("true", stdin=descriptor)
        os.close(descriptor)
        refused(done, "descriptor 0", "directory")


def fill(path):
    full = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(full, b"x" * 4096):
            pass
    except OSError:
        os.close(full)


def case_no_record_no_command(live):
    """The log's disk is full: nothing runs in the box that is not recorded."""
    logs = live.path("small-log")
    os.mkdir(logs)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=1777", "tmpfs", logs], check=True)
    try:
        policy = policy_with(live, audit={"sinks": [{"type": "file", "path": logs}], "reserve": "128KiB"})
        with Box(live, "exec sleep 1000", "--policy", policy) as box:
            ended(box.run("sh", "-c", "echo ran"), 0, "ran")
            fill(os.path.join(logs, "full"))
            for _ in range(40):  # half of what is kept in reserve may be used: 64 KiB
                done = box.run("sh", "-c", "echo ran", *("x" * 1000,) * 10)
                if done.returncode != 0:
                    break
            require(done.returncode == 125 and "ran" not in done.stdout, f"{done.returncode} {done.stdout}")
            require("audit log" in done.stderr, done.stderr)
            os.unlink(os.path.join(logs, "full"))
            ended(box.run("sh", "-c", "echo ran"), 0, "ran")
    finally:
        subprocess.run(["umount", logs], check=True)
        os.rmdir(logs)


def policy_with(live, **keys):
    path = live.path("enter.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, **keys}, stream)
    return path


def case_policy_decides(live):
    with Box(live, "exec sleep 1000", "--policy", policy_with(live, enter="none")) as box:
        refused(box.run("true"), "can't be entered")
    with Box(live, "exec sleep 1000", "--policy", policy_with(live, enter="root")) as box:
        if live.caller.is_root:
            ended(box.run("true"), 0)
        else:
            refused(box.run("true"), "may not enter", "enter.json")
            ended(subprocess.run([live.nestbox, "enter", box.id, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 check=False), 0)
    with Box(live) as box:  # made with the built-in policy: what is asked for later does not change it
        policy_with(live, enter="none")
        ended(box.run("true"), 0)


def case_others_may_not(live):
    with Box(live) as box:
        stranger = ["setpriv", "--reuid", "2077", "--regid", "2077", "--clear-groups"]
        done = subprocess.run([*stranger, live.nestbox, "enter", box.id, "true"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        refused(done, "no running box of yours")
        door = [f for f in files(live) if f.endswith(box.id + ".door")]
        require(len(door) == 1 and os.stat(door[0]).st_mode & 0o777 == 0o600, str(door))
        knock = f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('{door[0]}'); print('connected')"
        done = subprocess.run([*stranger, "/usr/bin/python3", "-c", knock], capture_output=True, text=True, check=False)
        require("connected" not in done.stdout and "Permission denied" in done.stderr, f"{done.stdout} {done.stderr}")


def case_payload_finds_no_door(live):
    """In the box there is no way to the keeper's door: not by a path, and not by what others may list."""
    with Box(live, "exec sleep 1000") as box:
        door = [f for f in files(live) if f.endswith(box.id + ".door")][0]
        knock = f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('{door}'); print('connected')"
        outside = subprocess.run([*live.caller.prefix, "/usr/bin/python3", "-c", knock], capture_output=True, text=True, check=False)
        require("connected" in outside.stdout, f"not even outside: {outside.stderr}")
        done = live.run("exec", "/", "/usr/bin/python3", "-c", knock)
        require("connected" not in done.stdout and "No such file" in done.stderr, f"{done.stdout} {done.stderr}")


def sealed(data, seals):
    fd = os.memfd_create("words", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def case_hostile_knocks(live):
    """Whatever the box's own user sends to the door, the keeper and pid 1 go on."""
    with Box(live) as box:
        door = [f for f in files(live) if f.endswith(box.id + ".door")][0]
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.connect(door)
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        every = 0x1 | 0x2 | 0x4 | 0x8
        fds = [theirs.fileno(), sealed(b"\0\0true\0", every), 0, 1, 2]
        for size in (0, 1, 4, 100, 900, 1000, 1100, 4096, 60000):
            for count in (0, 1, 2, 5):
                for text in (b"\0", b"\x08", b"\x09", b"\xff"):
                    try:
                        socket.send_fds(sender, [text * size], fds[:count], socket.MSG_DONTWAIT)
                    except OSError:
                        time.sleep(0.01)
        for _ in range(500):
            done = box.run("sh", "-c", "echo alive")
            if done.stdout == "alive\n":
                break
            time.sleep(0.02)
        require(done.stdout == "alive\n" and box.process.poll() is None, f"{done.stdout} {done.stderr}")
        mine.close()
        theirs.close()
        sender.close()


FAKE = """
import array, fcntl, os, socket, struct, sys
directory, box, forked = sys.argv[1:]
os.makedirs(directory, exist_ok=True)
name = os.path.join(directory, box)
init = os.fork() if forked == "child" else 0
if forked == "child" and init == 0:
    import time
    time.sleep(1000)
fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, ('{"schema_version":1,"id":"%s","init":%d,"uid":1}\\n' % (box, init)).encode())
fcntl.lockf(fd, fcntl.LOCK_EX)
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.bind(name + ".door")
print("ready", flush=True)
says, fds, _, _ = socket.recv_fds(door, 65536, 8)
# "it has ended with 0", in the launcher's own form: the kinds are small numbers in front
for kind in range(1, 12):
    try:
        socket.socket(fileno=os.dup(fds[0])).send(struct.pack("=Ii", kind, 0) + says[8:])
    except OSError:
        break
os.unlink(name)
os.unlink(name + ".door")
"""


def case_another_answers(live):
    """A process of the owner's that plays the keeper is not believed: not what it answers, and not that a command ended well."""
    directory = f"/run/nestbox/boxes/{0 if live.caller.is_root else live.caller.payload_uid}"
    box = "01a1fe00-0000-7000-8000-0000000000f0"
    for forked in ("child", "none"):
        fake = subprocess.Popen([*live.caller.prefix, "/usr/bin/python3", "-c", FAKE, directory, box, forked],
                                stdout=subprocess.PIPE, start_new_session=True)
        try:
            require(fake.stdout.readline() == b"ready\n", "no fake")
            done = live.run("enter", box, "true")
            require(done.returncode == 125 and "answered: do not trust it" in done.stderr, f"{done.returncode} {done.stderr}")
        finally:
            os.killpg(fake.pid, signal.SIGKILL)
            fake.wait()


def case_launcher_is_not_reached(live):
    """A shell of the image that leads to /proc/self/exe (CVE-2019-5736): what runs then has the payload's rights, and the
    launcher's file is not opened for writing."""
    image = live.make_image("exe-" + live.caller.name, "proc", "dev", "tmp", "var/tmp", "run", "sys", "etc")
    os.unlink(os.path.join(image, "bin/ls"))
    with open(os.path.join(image, "bin/ls"), "w", encoding="ascii") as stream:
        stream.write("#!/proc/self/exe\n")
    os.chmod(os.path.join(image, "bin/ls"), 0o755)
    before = os.stat(live.nestbox).st_mtime_ns, os.stat(live.nestbox).st_size
    watch = ("while :; do for p in /proc/[0-9]*; do { true >>$p/exe; } 2>/dev/null && [ $p != /proc/1 ] && "
             "case $(busybox readlink $p/exe) in *nestbox*) echo WRITABLE $p;; esac; "
             "{ cat $p/mem >/dev/null; } 2>/dev/null; done; done")
    process = live.start("exec", image, "sh", "-c", "echo up; " + watch)
    require(process.stdout.readline() == b"up\n", "no start")
    box = wait_listed(live, process.pid)
    for _ in range(20):
        live.run("enter", box["id"], "ls")
        live.run("enter", box["id"], "/proc/self/exe", "help")
        ended(live.run("enter", box["id"], "true"), 0)
    process.terminate()
    said = process.stdout.read()
    process.wait()
    require(said == b"" and before == (os.stat(live.nestbox).st_mtime_ns, os.stat(live.nestbox).st_size), f"{said!r}")
