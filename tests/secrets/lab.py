# SPDX-License-Identifier: Apache-2.0
"""One agent, one directory of secrets, and a keeper to run."""
import json
import os
import shutil
import subprocess
import tempfile

import agent
import gohttp
import rows


class Skip(Exception):
    pass


class Lab:
    def __init__(self, build, serve=True, answer=None, **how):
        self.build = build
        self.keeper = os.path.join(build, "tests/secrets/secrets-keeper")
        self.courier = os.path.join(build, "runtime/secrets/nestbox-courier")
        self.top = tempfile.mkdtemp(prefix="nestbox-secrets.")
        os.chmod(self.top, 0o755)
        self.socket = os.path.join(self.top, "agent.sock")
        self.dir = os.path.join(self.top, "box")
        os.mkdir(self.dir, 0o700)
        self.agent = agent.Agent(**how)
        rows.fill(self.agent, agent.kv2)
        self.server = gohttp.Server(self.socket, answer or self.agent) if serve else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.stop()
        shutil.rmtree(self.top)

    def command(self, *args):
        return [self.keeper, "-c", self.courier, "-d", self.dir, "-s", self.socket, *args]

    def start(self, *args, **how):
        """A keeper that lives on: read its events with events_of."""
        return subprocess.Popen(self.command(*args), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **how)

    def play(self, *args, timeout=60):
        with self.start(*args) as process:
            try:
                out, _ = process.communicate(timeout=timeout)
            finally:
                process.kill()  # one that hangs fails its test and does not stop the suite
        return Played(out, process.returncode, self)


class Played:
    def __init__(self, out, status, lab):
        self.events = [json.loads(line) for line in out.splitlines()]
        self.text, self.status, self.lab = out, status, lab

    def of(self, kind, name=None):
        return [e for e in self.events if e.get("event") == kind and (name is None or e.get("name") == name)]

    def seen(self, name="x"):
        """The value in quotation marks, or the fault's word."""
        failed = self.of("failed", name)
        if failed:
            return failed[0]["fault"]
        if not self.of("issued", name):
            return f"nothing (status {self.status}, {self.text[-300:]})"
        with open(os.path.join(self.lab.dir, name), "rb") as f:
            return '"' + f.read().decode() + '"'


def expect(what, seen, expected):
    if seen != expected:
        raise AssertionError(f"{what}: expected {str(expected)[:200]}, seen {str(seen)[:400]}")


def need(what, condition, seen=""):
    if not condition:
        raise AssertionError(f"{what} (seen {str(seen)[:600]})")
