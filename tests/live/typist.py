# SPDX-License-Identifier: Apache-2.0
"""Somebody at a terminal: a pseudo terminal with a program in a session of its own on it."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from box import require


def below(pid):
    """(name, process group, the terminal's foreground group) of all that descends from a process."""
    found = []
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            name, rest = stream.read().partition("(")[2].rsplit(")", 1)
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            children = stream.read().split()
    except OSError:
        return found
    fields = rest.split()
    found.append((name, fields[2], fields[5]))
    for child in children:
        found += below(child)
    return found


class Typist:
    def __init__(self, live, *command, size=(31, 97), program=None, stdin=None, stdout=None, env=None):
        self.master, self.slave = pty.openpty()
        os.chmod(os.ttyname(self.slave), 0o666)
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        slave = self.slave

        def at_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        env = {"TERM": "dumb", "PS1": "box$ ", **(live.env if live else {}), **(env or {})}
        self.process = subprocess.Popen(live.command(*command, program=program) if live else list(command), cwd="/", env=env,
                                        stdin=self.slave if stdin is None else stdin, stdout=self.slave if stdout is None else stdout,
                                        stderr=self.slave, preexec_fn=at_terminal, pass_fds=[slave])

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        data = text.encode() if isinstance(text, str) else text
        while data:
            data = data[os.write(self.master, data[:512]):]

    def read(self, seconds=0.2):
        """What has come; b'' when nothing does, None at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.master, 65536)
        except OSError:
            return None

    def wait_for(self, text, seconds=60):
        """Read on until the text has come; what came up to its end."""
        want, until = text.encode(), time.monotonic() + seconds
        while want not in self.seen:
            new = self.read()
            require(new is not None and time.monotonic() < until, f"no {text!r} on the terminal: {self.seen[-2000:]!r}")
            self.seen += new
        at = self.seen.index(want) + len(want)
        had, self.seen = self.seen[:at], self.seen[at:]
        return had.decode("utf-8", "replace")

    def ask(self, command):
        """A command to the shell; what it printed."""
        self.type(command + "; echo e''nd\n")
        return self.wait_for("end\r\n")

    def running(self, name, of=None, seconds=60):
        """Wait until the job in the foreground is this program (proc(5): comm, pgrp and tpgid of its stat)."""
        until = time.monotonic() + seconds
        while not any(comm == name and group == foreground for comm, group, foreground in below(of or self.process.pid)):
            require(self.process.poll() is None and time.monotonic() < until, f"{name} is not in the foreground: {self.seen!r}")
            time.sleep(0.02)

    def end(self, seconds=60):
        """Status of the program; the rest of the output is in seen."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            require(time.monotonic() < until, f"no end: {self.seen[-2000:]!r}")
            self.seen += self.read(0.05) or b""
        self.seen += self.read(0) or b""
        return self.process.returncode

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def wait_until_raw(self):
        until = time.monotonic() + 60
        while not self.is_raw():
            require(self.process.poll() is None and time.monotonic() < until, f"never raw: {self.read()!r}")
            time.sleep(0.02)

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        for fd in (self.master, self.slave):
            if fd is not None:
                os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
