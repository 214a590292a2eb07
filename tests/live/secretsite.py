# SPDX-License-Identifier: Apache-2.0
"""What the live cases of secrets share: an agent with a policy and a log, waiting with deadlines, looking for the canary."""
import contextlib
import glob
import json
import os
import select
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../secrets"))

import agent  # noqa: E402
import gohttp  # noqa: E402
from box import require  # noqa: E402

PROXY = {"name": "proxy", "from": "vault", "path": "secret/data/grid/proxy", "field": "proxy", "env": "X509_USER_PROXY"}
LEASED = {"name": "db", "from": "vault", "path": "database/creds/x", "renew": True}
CANARY = "CANARY-of-the-live-tests"
INSIDE = "/run/nestbox/secrets"


class Site:
    """An agent, a policy that names it, and an audit log."""

    def __init__(self, live, secrets, vault, policy, **how):
        self.live, self.top = live, live.path("secrets")
        os.mkdir(self.top)
        os.mkdir(self.top + "/agent")
        os.mkdir(self.top + "/log")
        os.chmod(self.top + "/log", 0o1733)
        self.socket = self.top + "/agent/agent.sock"
        self.agent = agent.Agent(**how)
        self.agent.kv2["grid/proxy"] = [agent.kv2({"proxy": CANARY})]
        self.server = gohttp.Server(self.socket, self.agent, mode=0o666)
        self.policy = self.top + "/policy.json"
        with open(self.policy, "w", encoding="utf-8") as f:
            json.dump({"version": 1, "vault": {"socket": self.socket, **vault}, "secrets": secrets,
                       "audit": {"sinks": [{"type": "file", "path": self.top + "/log"}]}, **policy}, f)

    def args(self, *command):
        return ("exec", "--policy", self.policy, *command)

    def sh(self, script, *options, **how):
        return self.live.run(*self.args(*options, self.live.image, "sh", "-c", script), **how)

    def start(self, script, **how):
        return self.live.start(*self.args(self.live.image, "sh", "-c", script), **how)

    def log(self):
        text = ""
        for name in glob.glob(self.top + "/log/*.jsonl"):
            with open(name, encoding="utf-8") as f:
                text += f.read()
        return text

    def events(self, action):
        return [r for r in map(json.loads, self.log().splitlines()) if r["event"]["action"] == action]


@contextlib.contextmanager
def site(live, *secrets, vault=None, policy=None, **how):
    one = Site(live, list(secrets), vault or {}, policy or {}, **how)
    try:
        yield one
    finally:
        one.server.stop()
        subprocess.run(["rm", "-rf", one.top], check=True)


def broken(live):
    """The launcher whose plan can be damaged, in a tree with the courier and the compiler."""
    top = live.path("broken")
    if not os.path.isdir(top):
        shutil.copytree(os.path.join(os.path.dirname(live.nestbox), "../libexec"), top + "/libexec", symlinks=True)
        os.mkdir(top + "/bin")
        shutil.copy(live.broken, top + "/bin/nestbox")
    return top + "/bin/nestbox"


def until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.05)


def said(process, word, seconds=30):
    """What the launch has printed up to this word; a launch that ends or is silent has failed."""
    text, end = b"", time.monotonic() + seconds
    while word not in text:
        ready = select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]
        more = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not more:
            process.kill()
            raise AssertionError(f"no {word!r} in {text!r} {process.stderr.read()!r}")
        text += more
    return text


def scan(s, scratch):
    """Where the canary is: files that a payload or nestbox could have left, and what /proc shows of every process."""
    paths = [p for top in (scratch, s.top + "/log", "/tmp", "/var/tmp", "/dev/shm") for p in glob.glob(top + "/**", recursive=True)]
    paths += [p for name in ("environ", "cmdline", "comm") for p in glob.glob(f"/proc/[0-9]*/{name}")]
    paths += [p for p in glob.glob(s.top + "/**", recursive=True) if "core" in os.path.basename(p)]
    found = []
    for path in paths:
        try:
            if not os.path.isfile(path):  # a FIFO of somebody's would be waited for
                continue
            with open(path, "rb") as f:
                if CANARY.encode() in f.read(1 << 20):
                    found.append(path)
        except OSError:
            continue
    return found


def status_of(text):
    """What a box is told of its secrets: by name, what .status.json says."""
    return {s["name"]: s for s in json.loads(text)["secrets"]}


def write_policy(s, *secrets):
    with open(s.policy, encoding="utf-8") as f:
        policy = json.load(f)
    policy["secrets"] = list(secrets)
    with open(s.policy, "w", encoding="utf-8") as f:
        json.dump(policy, f)


def replace(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().strip()
