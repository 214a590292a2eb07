# SPDX-License-Identifier: Apache-2.0
"""An audit collector to try, with its log and peers that speak to it."""
import contextlib
import glob
import json
import os
import signal
import subprocess
import sys
import time
import uuid

from box import UID, ended, require

OWNER = 2999  # as whom it runs
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "collect_peer.py")


class Collector:
    def __init__(self, live, *options):
        self.live, self.options = live, options
        self.dir = live.path(f"collect-{uuid.uuid4().hex[:8]}")
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.socket, self.log = self.dir + "/run/c.sock", self.dir + "/log"
        self.policies = {}
        self.process = None
        self.start()

    def start(self):
        before = len(self.own("config-loaded"))
        self.process = subprocess.Popen([self.live.nestbox, "collect", "--socket", self.socket, "--log", self.log, "--user",
                                         str(OWNER), *self.options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError("the collector ended: " + self.process.stderr.read().decode())
            if len(self.own("config-loaded")) > before:
                return
            time.sleep(0.05)
        raise AssertionError("the collector does not listen")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)
        text = self.process.stderr.read().decode()
        self.process.stderr.close()
        return text

    def policy(self, on_failure="refuse", *others):
        path = f"{self.dir}/{on_failure}{len(others)}.json"
        sinks = [{"type": "collector", "path": self.socket}, *others]
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "base": "none", "audit": {"sinks": sinks, "on_failure": on_failure}}, stream)
        return path

    def records(self, *actions):
        found = []
        for path in sorted(glob.glob(self.log + "/audit-collector.jsonl*"), key=lambda p: (p.endswith(".jsonl"), p)):
            with open(path, encoding="utf-8") as stream:
                found += [json.loads(line) for line in stream]
        return [r for r in found if not actions or r["event"]["action"] in actions]

    def own(self, action):
        """Those that the collector made itself; the launcher has records of these names, too."""
        return [r for r in self.records(action) if "collector" in r["nestbox"]]

    def wait_for(self, action, enough=1):
        for _ in range(600):
            found = self.own(action) if action in ("config-loaded", "events-suppressed") else self.records(action)
            if len(found) >= enough:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{action} was not recorded: {[r['event']['action'] for r in self.records()]}")

    def verified(self):
        ended(self.live.run("audit", "verify", "--from", self.log) if self.live.caller.is_root else
              subprocess.run([self.live.nestbox, "audit", "verify", "--from", self.log], capture_output=True, text=True, check=False), 0)

    def sh(self, script, policy=None, **how):
        return self.live.sh(script, "--policy", policy or self.policy(), **how)

    def peer(self, scenario, *words, uid=UID, **how):
        with open(PEER, "rb") as script:
            return subprocess.Popen(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-",
                                     self.socket, scenario, *map(str, words)], stdin=script, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, cwd="/", **how)

    def said(self, scenario, *words, **how):
        out, err = self.peer(scenario, *words, **how).communicate(timeout=120)
        require(err == b"", err.decode())
        return [json.loads(line) for line in out.splitlines()]


@contextlib.contextmanager
def collector(live, *options):
    c = Collector(live, *options)
    try:
        yield c
    finally:
        if c.process.poll() is None:
            c.end()
