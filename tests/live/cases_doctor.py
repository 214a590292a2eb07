# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of the vault's socket: whose it is, who reaches it, who answers, and what that means."""
import contextlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../secrets"))

import agent  # noqa: E402
import gohttp  # noqa: E402
from box import require  # noqa: E402


@contextlib.contextmanager
def site(live, mode=None, directory=0o755, **vault):
    """A policy with a secret; with a mode also the agent."""
    top = live.path("doctor")
    os.makedirs(top + "/agent")
    socket, policy = top + "/agent/agent.sock", top + "/policy.json"
    with open(policy, "w", encoding="ascii") as stream:
        json.dump({"version": 1, "vault": {"socket": socket, **vault},
                   "secrets": [{"name": "x", "from": "vault", "path": "secret/data/x"}]}, stream)
    os.chmod(top + "/agent", directory)
    double = agent.Agent()
    server = gohttp.Server(socket, double, mode=mode) if mode is not None else None

    def rows():
        done = live.run("doctor", "--json", "--policy", policy)
        require(done.returncode in (0, 1, 2), f"status {done.returncode}: {done.stderr}")
        return {row["check"]: (row["status"], row["what"]) for row in json.loads(done.stdout)["rows"]}
    try:
        yield rows, double
    finally:
        if server:
            server.stop()
        shutil.rmtree(top)


def says(rows, check, status, *words):
    found = rows.get(check, ("no row", ""))
    require(found[0] == status and all(word in found[1] for word in words), f"{check}: {found}")


def case_no_agent(live):
    with site(live) as (rows, _):
        found = rows()
        says(found, "vault-socket", "fail", "agent.sock", "No such file")
        require("vault-agent" not in found, found)


def case_open_to_everyone(live):
    with site(live, 0o666) as (rows, double):
        found = rows()
        says(found, "vault-socket", "ok", "uid 0", "0666")
        says(found, "vault-access", "warn", "every user")
        says(found, "vault-agent", "ok", "not sealed")
        double.health, double.health_status = {"initialized": True, "sealed": True, "standby": True, "version": "2.2.0"}, 503
        says(rows(), "vault-agent", "warn", "sealed")


def case_jobs_that_log_in(live):
    with site(live, 0o666, auth={"mount": "jwt", "role": "job", "token": {"file": "scitokens.use"}}) as (rows, _):
        says(rows(), "vault-access", "ok", "log in as themselves")


def case_closed_to_jobs(live):
    with site(live, 0o600) as (rows, _):
        found = rows()
        says(found, "vault-access", "fail", "Permission denied")
        require("vault-agent" not in found, found)


def case_a_directory_of_everyones(live):
    with site(live, 0o666, 0o777) as (rows, _):
        says(rows(), "vault-socket", "fail", "writable by others")


def case_no_secrets_no_rows(live):
    done = live.run("doctor", "--json")
    require(not [row for row in json.loads(done.stdout)["rows"] if row["check"].startswith("vault")], done.stdout)
