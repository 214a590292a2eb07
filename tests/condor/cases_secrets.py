# SPDX-License-Identifier: Apache-2.0
"""Secrets of a vault in real jobs: delivered, replaced while the job runs, given back, and nowhere but in their files."""
import hashlib
import json
import os
import sys

from cases_live import IN_PLACE
from cases_site import idle, mend_policy, policy
from harness import REMOTE_ERROR, Case, require
from pool import net_of, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../secrets"))

import agent  # noqa: E402
import gohttp  # noqa: E402

SOCKET = "/run/vault/agent.sock"
PROXIES = [f"CANARY-proxy-{n}" for n in (1, 2, 3)]
WATCH = {**IN_PLACE, "executable": "/srv/test/bin/watch"}
AGENTS = {}  # by pool: cases that change the worker run alone


def site(required=True, **vault):
    secrets = [{"name": "proxy", "from": "vault", "path": "secret/data/{Owner}/proxy", "field": "proxy", "env": "X509_USER_PROXY",
                "required": required, "renew": True, "refresh": "1s"},
               {"name": "db", "from": "vault", "path": "database/creds/x", "renew": True, "required": required}]
    return json.dumps({"version": 1, "vault": {"socket": SOCKET, "believed": ["Owner"], **vault}, "secrets": secrets})


def serve(run):
    """The vault's agent, as the site starts it in the worker container."""
    double = agent.Agent(ttl=3)
    double.kv2["alice/proxy"] = [agent.kv2({"proxy": PROXIES[0]})]
    directory = run.pool.path(os.path.dirname(SOCKET))
    os.makedirs(directory, exist_ok=True)
    AGENTS[run.pool] = gohttp.Server(run.pool.path(SOCKET), double, mode=0o666)
    return double


def ready(text):
    def before(run):
        policy(text)(run)
        serve(run)
    return before


def close(run):
    mend_policy(run)
    if run.pool in AGENTS:
        AGENTS.pop(run.pool).stop()


def renewals(run, name):
    return [r for r in run.cluster_audit() if r["event"]["action"] == "secret-renewed" and name in json.dumps(r["nestbox"])]


def digest(proxy):
    return hashlib.sha256(proxy.encode()).hexdigest()


def replace_twice(run):
    double = AGENTS[run.pool].answer
    for number, proxy in enumerate(PROXIES, 1):
        run.said("proxy " + digest(proxy))
        require(places(run) == [], f"the value is in {places(run)}")
        if number == 2:
            until(lambda: renewals(run, "db"), 60, "the renewed lease")
        if number < len(PROXIES):
            double.kv2["alice/proxy"].append(agent.kv2({"proxy": PROXIES[number]}, version=number + 1))
    run.open_gate(run.case.name)


def files_of(pid):
    """What another process could read of a process without being it."""
    return [f"/proc/{pid}/{name}" for name in ("environ", "cmdline")]


def places(run):
    """Where else the value stands: environments and arguments of the container, HTCondor's and nestbox's files, scratch."""
    inside = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if net_of(pid) == run.pool.net]
    paths = [path for pid in inside for path in files_of(pid)]
    for top in ("/var/log/nestbox", "/var/log/condor", "/var/spool/condor", "/var/lib/condor", "/run/nestbox", "/tmp", "/srv/test"):
        paths += [os.path.join(where, name) for where, _, names in os.walk(run.pool.path(top)) for name in names]
    return [path for path in paths if holds_canary(path)]


def holds_canary(path):
    try:
        if not os.path.isfile(path):  # a FIFO would be waited for
            return False
        with open(path, "rb") as file:
            return b"CANARY-" in file.read(1 << 24)
    except OSError:
        return False


def seen_three(run):
    require(run.lines("proxy ") == [digest(proxy) for proxy in PROXIES], f"the job saw {run.lines('proxy ')}")
    require(run.lines("env ") == ["X509_USER_PROXY=/run/nestbox/secrets/proxy"], f"environment {run.lines('env ')}")
    actions = [r["event"]["action"] for r in run.cluster_audit()]
    require(actions.count("secret-issued") == 2 and actions.count("secret-renewed") >= 3, f"events {actions}")
    require(not AGENTS[run.pool].answer.leases, "the lease was not given back")
    require(places(run) == [], f"the value is in {places(run)}")
    with open(run.pool.path("/srv/test/planted"), "w", encoding="ascii") as file:
        file.write(PROXIES[0])
    found = places(run)
    os.unlink(run.pool.path("/srv/test/planted"))
    require(len(found) == 1, "the scan does not find a planted value")


def no_agent_then_one(run):
    """The job waits in the queue with the sentence, and runs as soon as the agent is there."""
    run.event(REMOTE_ERROR)
    ad = until(lambda: idle(run), 60, "the job idle again")
    require("proxy" in ad["VacateReason"] and SOCKET in ad["VacateReason"], f"VacateReason: {ad['VacateReason']}")
    serve(run)


CASES = [
    Case("secrets", "a proxy that the vault replaces twice while the job runs is seen by the job, and the value by nobody else",
         ("/srv/test/gate/secrets",), {"ExitCode": 0}, WATCH, before=ready(site()), steps=replace_twice, check=seen_three, after=close, alone=True,
         cgroups=("v1",)),
    Case("secrets-away", "without the vault's agent a job that needs it waits in the queue, and runs when the agent is back",
         ("exit", 9), {"ExitCode": 9}, before=policy(site(timeout="2s")), steps=no_agent_then_one, after=close, alone=True,
         cgroups=("v1",)),
    Case("secrets-optional", "a job that can do without runs without", ("environ", "exit", 9), {"ExitCode": 9},
         before=policy(site(required=False, timeout="2s")), after=close, alone=True, cgroups=("v1",)),
]
