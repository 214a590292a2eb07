# SPDX-License-Identifier: Apache-2.0
"""Interactive boxes: a terminal of their own, relayed to the caller's."""
import hashlib
import os
import signal
import time

from box import ended, refused, require
from typist import Typist

PY = "/usr/bin/python3"


def shell(live, *options, **how):
    at = Typist(live, "shell", *options, live.image, **how)
    at.wait_for("box$ ")
    return at


def init_of(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as stream:
        return int(stream.read().split()[0])


def case_sshd_can_make_terminals(live):
    """It gives them to the group tty, which a box does not have, and ends when that fails - but for EROFS (condor_ssh_to_job)."""
    done = live.run("exec", "/", "/usr/bin/python3", "-c", """
import errno, os, pty
master, slave = pty.openpty()
os.write(master, b"x\\n")
print(os.read(slave, 2), oct(os.fstat(slave).st_mode & 0o777), os.fstat(slave).st_uid == os.getuid())
try:
    os.chown(os.ttyname(slave), os.getuid(), 5)
except OSError as error:
    print(errno.errorcode[error.errno])
""")
    ended(done, 0)
    require(done.stdout == "b'x\\n' 0o620 True\nEROFS\n", done.stdout + done.stderr)


def case_shell_has_its_own(live):
    with shell(live) as at:
        outer = os.fstat(at.slave)
        said = at.ask("busybox tty; stat -c 'fd %d %i' /proc/self/fd/0 /dev/pts/0; busybox stty size; ls /dev/pts; "
                      "test -t 0 -a -t 1 -a -t 2 && echo all")
        require("/dev/pts/0\r\n" in said and "31 97" in said and "all\r\n" in said, said)
        require(f"fd {outer.st_dev} {outer.st_ino}" not in said, f"the caller's own terminal is in the box: {said}")
        require(at.is_raw(), "the caller's terminal is not raw")
        said = at.ask("id -u; stat -c 'owner %u' /dev/pts/0; echo x >/dev/tty && echo open")
        require(f"owner {live.caller.payload_uid}" in said and "open" in said, said)
        at.type("exit 23\n")
        require(at.end() == 23 and at.restored(), f"{at.process.returncode}, restored {at.restored()}")


def case_caller_terminal_is_not_passed(live):
    """Without the step the payload has the caller's terminal: the same device and inode."""
    script = "import os; s = os.fstat(0); print('fd', s.st_dev, s.st_ino, 'here')\n"
    for program, wanted in ((None, False), (live.broken, True)):
        with Typist(live, "exec", "--tty", "/", PY, "-c", script, program=program, env={"NESTBOX_LEAVE_OUT": "terminal"}) as at:
            outer = os.fstat(at.slave)
            said = at.wait_for("here")
            require((f"fd {outer.st_dev} {outer.st_ino} " in said) == wanted, f"{program}: {said}")
            at.end()


def case_image_offers_a_terminal(live):
    """Names in the image's /dev lead nowhere."""
    image = live.make_image("image-" + live.caller.name, "proc", "dev/pts", "tmp", "var/tmp", "run", "sys", "etc")
    for name in ("dev/ptmx", "dev/pts/0", "dev/pts/ptmx", "dev/tty"):
        os.symlink("/etc/bait", os.path.join(image, name))
    with open(os.path.join(image, "etc/bait"), "w", encoding="ascii") as stream:
        stream.write("bait\n")
    with Typist(live, "exec", "--tty", image, "sh", "-c", "busybox tty; stat -c '%F' /dev/pts/ptmx /dev/pts/0") as at:
        require(at.end() == 0 and at.seen.count(b"character special file") == 2 and b"/dev/pts/0" in at.seen, f"{at.seen!r}")


def case_exec_with_and_without(live):
    with Typist(live, "exec", live.image, "busybox", "tty") as at:
        at.end()
        require(b"/dev/pts/0" not in at.seen, f"exec made a terminal: {at.seen!r}")
    with Typist(live, "exec", "-t", live.image, "busybox", "tty") as at:
        require(at.end() == 0 and b"/dev/pts/0" in at.seen and at.restored(), f"{at.seen!r}")
    refused(live.run("exec", "--tty", live.image, "true"), "--tty", "not a terminal")


def case_no_terminal_no_pty(live):
    done = live.run("shell", live.image, stdin=None, input="busybox tty; exit 4\n")
    ended(done, 4, "not a tty")


def case_window_size_follows(live):
    with Typist(live, "exec", "--tty", live.image, "sh", "-c",
                "trap 'echo resized to $(busybox stty size); exit 6' WINCH; echo ready; while :; do sleep 0.1; done") as at:
        at.wait_for("ready")
        at.resize(50, 132)
        at.wait_for("resized to 50 132")
        require(at.end() == 6, f"{at.process.returncode}")


def case_job_control(live):
    with shell(live) as at:
        at.type("sleep 1000\n")
        at.running("sleep")
        at.type("\x1a")  # ^Z is the shell's in the box
        at.wait_for("Stopped")
        require(at.process.poll() is None, "nestbox was stopped or ended")
        require("sleep 1000" in at.ask("jobs"), "no job")
        at.type("fg\n")
        at.wait_for("sleep 1000")
        at.running("sleep")
        at.type("\x03")
        require("status 130" in at.ask("echo status $?"), "^C did not end the job alone")
        at.type("\x04")
        require(at.end() == 0 and at.restored(), f"{at.process.returncode} {at.seen!r}")


def case_restored_at_every_end(live):
    ends = [("payload", signal.SIGKILL, -signal.SIGKILL), ("init", signal.SIGKILL, -signal.SIGKILL),
            ("keeper", signal.SIGHUP, -signal.SIGHUP), ("keeper", signal.SIGUSR1, -signal.SIGUSR1),
            ("keeper", signal.SIGABRT, -signal.SIGABRT), ("keeper", signal.SIGSEGV, -signal.SIGSEGV)]
    for who, number, wanted in ends:
        with Typist(live, "exec", "--tty", live.image, "sh", "-c", "echo up; exec sleep 1000") as at:
            at.wait_for("up")
            at.wait_until_raw()
            init = init_of(at.process)
            if who == "payload":
                with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as stream:
                    os.kill(int(stream.read().split()[0]), number)
            else:
                os.kill(init if who == "init" else at.process.pid, number)
            require(at.end() == wanted, f"{who} {number}: {at.process.returncode}")
            require(at.restored(), f"{who} {number}: the terminal is left raw")
    for _ in range(10):  # the next starts take away what a killed keeper could not
        ended(live.sh("exit 0"), 0)


def case_refusal_leaves_it_alone(live):
    with Typist(live, "exec", "--tty", live.image, "/nonexistent") as at:
        require(at.end() == 127 and at.restored() and b"cannot execute" in at.seen, f"{at.process.returncode} {at.seen!r}")


def case_hang_up_reaches_the_box(live):
    at = Typist(live, "exec", "--tty", live.image, "sh", "-c", "echo up; exec sleep 1000")
    at.wait_for("up")
    os.close(at.slave)
    os.close(at.master)
    at.master = at.slave = None
    require(at.process.wait(60) == -signal.SIGHUP, f"{at.process.returncode}")


def case_slow_reader_loses_nothing(live):
    """More than all buffers hold, while nobody reads; then every byte, in order."""
    script = ("import hashlib, os, sys, tty; tty.setraw(0)\n"
              "data = b''.join(b'%07d ' % n for n in range(100000))\n"
              "sys.stdout.write('begin'); sys.stdout.flush()\n"
              "os.write(1, data[:0])\n"
              "while data: data = data[os.write(1, data):]\n"
              "os.write(1, b'done')\n")
    want = b"".join(b"%07d " % n for n in range(100000))
    with Typist(live, "exec", "--tty", "/", PY, "-c", script) as at:
        at.wait_for("begin")
        time.sleep(1)
        got, until = at.seen, time.monotonic() + 120
        while not got.endswith(b"done") and time.monotonic() < until:
            got += at.read(0.5) or b""
            time.sleep(0.002)
        require(hashlib.sha256(got[:-4]).digest() == hashlib.sha256(want).digest(), f"{len(got)} bytes of {len(want) + 4}")
        require(at.end() == 0, f"{at.process.returncode}")


def case_input_that_nobody_reads_waits(live):
    """The caller's writes are held back, nothing is lost, and the keeper still hears signals."""
    script = ("import hashlib, os, sys, time, tty; tty.setraw(0)\n"
              "sys.stdout.write('begin'); sys.stdout.flush(); time.sleep(2)\n"
              "h, n = hashlib.sha256(), 0\n"
              "while n < 500000:\n    d = os.read(0, 65536); h.update(d); n += len(d)\n"
              "print('hash', h.hexdigest())\n")
    data = b"".join(b"%09d " % n for n in range(50000))
    with Typist(live, "exec", "--tty", "/", PY, "-c", script) as at:
        at.wait_for("begin")
        at.type(data)
        at.wait_for("hash " + hashlib.sha256(data).hexdigest())
        require(at.end() == 0, f"{at.process.returncode}")


def case_paused_terminal_holds_no_end(live):
    """The terminal takes nothing more (Ctrl-S); a box that is told to end does so all the same."""
    with Typist(live, "exec", "--tty", live.image, "sh", "-c", "echo up; exec busybox yes") as at:
        at.wait_for("up")
        at.wait_until_raw()
        time.sleep(1)  # by then it is full
        at.process.terminate()
        at.process.wait(60)
        require(at.process.returncode == -signal.SIGTERM and at.restored(), f"{at.process.returncode}")


def case_output_into_a_pipe(live):
    reader, writer = os.pipe()
    with Typist(live, "exec", "--tty", live.image, "sh", "-c", "busybox tty; exit 3", stdout=writer) as at:
        os.close(writer)
        require(at.end() == 3 and at.restored(), f"{at.process.returncode}")
        said = os.read(reader, 4096)
        os.close(reader)
        require(said == b"/dev/pts/0\r\n", f"{said!r}")


def case_last_output_is_not_lost(live):
    for _ in range(20):
        with Typist(live, "exec", "--tty", live.image, "sh", "-c", "echo a; echo the very last") as at:
            require(at.end() == 0 and b"the very last\r\n" in at.seen, f"{at.seen!r}")


def case_background_start_waits(live):
    """A start in the background stops, as programs that use the terminal do, and goes on in the foreground."""
    line = " ".join(live.command("exec", "--tty", live.image, "sh", "-c", "'echo now; busybox tty'"))
    with Typist(None, "/bin/bash", "--norc", "-i", env=dict(live.env, PS1="outer$ ")) as at:
        at.wait_for("outer$ ")
        at.type(line + " &\n")
        at.wait_for("outer$ ")
        for _ in range(60):
            if "Stopped" in at.ask("jobs"):
                break
            time.sleep(0.2)
        else:
            raise AssertionError("not stopped")
        at.type("fg\n")
        at.wait_for("/dev/pts/0")
        at.wait_for("outer$ ")
        at.type("exit\n")
        at.end()
