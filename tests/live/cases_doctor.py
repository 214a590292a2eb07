# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of the vault's socket: whose it is, who reaches it, who answers, and what that means."""
import contextlib
import json
import os
import pwd
import shutil
import subprocess
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

    def rows(*more, **how):
        done = live.run("doctor", "--json", "--policy", policy, *more, **how)
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


def case_let_in_by_group(live):
    """As the documentation has it: the socket's group is one that job users are in, by the worker's own list of groups."""
    if not live.caller.is_root:
        return
    user, group = pwd.getpwnam("games"), 12345
    with site(live, 0o660) as (rows, _):
        socket = live.path("doctor") + "/agent/agent.sock"
        os.chown(socket, 0, user.pw_gid)
        require(user.pw_gid != user.pw_uid, "this user's groups are no test")
        says(rows("--user", str(user.pw_uid)), "vault-access", "warn", "the job's user can use")
        says(rows("--user", str(user.pw_uid)), "vault-agent", "ok")
        os.chown(socket, 0, group)
        says(rows("--user", str(user.pw_uid)), "vault-access", "fail", "Permission denied")
        says(rows(), "vault-access", "warn", f"lets group {group} in")
        with open("/etc/group", encoding="ascii") as old, open(live.path("doctor") + "/group", "w", encoding="ascii") as new:
            new.write(old.read() + f"vault:x:{group}:games\n")
        in_it = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/group && exec "$@"', live.path("doctor") + "/group"]
        for row in ("vault-access", "vault-agent"):
            done = subprocess.run([*in_it, live.nestbox, "doctor", "--json", "--user", str(user.pw_uid),
                                   "--policy", live.path("doctor") + "/policy.json"], capture_output=True, text=True, check=False)
            found = {r["check"]: (r["status"], r["what"]) for r in json.loads(done.stdout)["rows"]}
            says(found, row, "warn" if row == "vault-access" else "ok")


def case_leases_of_killed_jobs(live):
    """Without the directory that container-init makes, nobody gives back what a job left that was killed whole."""
    with site(live, 0o666) as (rows, _):
        policy = live.path("doctor") + "/policy.json"
        for made, status in (("", "warn"), ("install -d -m 1733 /run/nestbox/leases && ", "ok")):
            script = f'mount -t tmpfs none /run/nestbox && {made}exec "$@"'
            done = subprocess.run(["unshare", "-m", "sh", "-c", "mkdir -p /run/nestbox && " + script, "sh", *live.caller.prefix, live.nestbox,
                                   "doctor", "--json", "--policy", policy], capture_output=True, text=True, check=False)
            found = {r["check"]: (r["status"], r["what"]) for r in json.loads(done.stdout)["rows"]}
            says(found, "vault-leases", status, "killed whole")


def case_a_directory_of_everyones(live):
    with site(live, 0o666, 0o777) as (rows, _):
        says(rows(), "vault-socket", "fail", "writable by others")


def case_no_secrets_no_rows(live):
    done = live.run("doctor", "--json")
    require(not [row for row in json.loads(done.stdout)["rows"] if row["check"].startswith("vault")], done.stdout)
