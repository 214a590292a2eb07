# SPDX-License-Identifier: Apache-2.0
"""Secrets in a real box: read there and nowhere else, kept fresh, given back; an agent that is away, and one that can't be reached."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from box import ended, kill, refused, require
from secretsite import (CANARY, INSIDE, LEASED, PROXY, agent, broken, children, name_of, replace, said, scan, site, status_of, until,
                        write_policy)


def case_a_file_of_the_payloads_own(live):
    with site(live, PROXY) as s:
        done = s.sh(f"cat $X509_USER_PROXY; stat -c '%a %u' $X509_USER_PROXY {INSIDE}; touch {INSIDE}/x")
        ended(done, 1, "Read-only")
        require(done.stdout == f"{CANARY}400 {live.caller.payload_uid}\n700 {live.caller.payload_uid}\n", done.stdout)
        require(len(s.events("secret-issued")) == 1, s.log())


def case_nowhere_else(live):
    """The value is in the file, and in no environment, argument, log or file of the worker; found where it is put on purpose."""
    with site(live, PROXY, LEASED) as s:
        scratch = s.top + "/scratch"
        os.mkdir(scratch)
        os.chmod(scratch, 0o1777)
        process = live.start(*s.args("--job-dir", scratch, live.image, "sh", "-c", "env; echo ready; exec sleep 60"))
        printed = said(process, b"ready\n")
        seen = scan(s, scratch)
        with open(scratch + "/planted", "w", encoding="utf-8") as f:
            f.write(CANARY)
        found = scan(s, scratch)
        kill(process, signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
        require(CANARY.encode() not in printed + rest + errors, "the value was printed")
        require(f"X509_USER_PROXY={INSIDE}/proxy".encode() in printed, printed)
        require(seen == [] and len(found) == 1, f"{seen} {found}")


def case_required_and_optional(live):
    gone = {**PROXY, "name": "gone", "path": "secret/data/none", "env": "GONE"}
    with site(live, gone) as s:
        refused(s.sh("echo ran"), "secret 'gone'", "must store it")
        require(s.events("secret-failed")[0]["secrets"][0]["fault"] == "missing", s.log())
    with site(live, {**gone, "required": False}, PROXY) as s:
        ended(s.sh(f"ls {INSIDE}"), 0, "proxy\n")
        require(len(s.events("secret-failed")) == 1 and len(s.events("secret-issued")) == 1, s.log())


def case_what_is_known_is_told(live):
    """Of an optional secret that is missing: on standard error, in the log, and in the box; and when the others end."""
    gone = {**PROXY, "name": "gone", "path": "secret/data/none", "env": "GONE", "required": False}
    with site(live, gone, LEASED, ttl=600) as s:
        done = s.sh(f"cat /run/nestbox/status.json {INSIDE}/.status.json; ls {INSIDE}")
        ended(done, 0)
        outer, inner, listed = done.stdout.split("\n", 2)
        require(json.loads(outer)["secrets"] == f"{INSIDE}/.status.json" and listed == "db\n", done.stdout)
        told = status_of(inner)
        require(told["gone"]["state"] == "missing" and told["gone"]["fault"] == "missing", inner)
        require(told["db"]["state"] == "valid" and told["db"]["expires"].endswith("Z"), inner)
        require(done.stderr.count("nestbox: secret 'gone': ") == 1 and done.stderr.count("\n") == 1, done.stderr)
        start = {x["name"]: x for x in s.events("sandbox-start")[0]["secrets"]}
        require(start["gone"]["fault"] == "missing" and start["gone"]["generation"] == 0, start)
        require(len(start["db"]["lease_hash"]) == 64 and start["db"]["ttl"] == 600 * 10**9, start)
        require(s.events("secret-issued")[0]["secrets"][0]["lease_hash"] == start["db"]["lease_hash"], s.log())


def case_expiry_is_told(live):
    """The agent is sealed while the job runs: the failure and the end of the life are said, and the file stays."""
    with site(live, LEASED, ttl=3) as s:
        process = s.start(f"echo ready; while ! grep -q expired {INSIDE}/.status.json; do sleep 0.1; done; cat {INSIDE}/.status.json {INSIDE}/db")
        said(process, b"ready\n")
        s.agent.sealed = True
        out, errors = process.communicate(timeout=60)
        told = status_of(out.split(b"\n")[0])["db"]
        require(told["state"] == "expired" and told["fault"] == "expired" and b"password" in out, f"{out} {errors}")
        require(b"nestbox: secret 'db': its life is over" in errors and b"sealed" in errors, errors)
        require({e["secrets"][0]["fault"] for e in s.events("secret-failed")} >= {"sealed", "expired"}, s.log())


def case_only_those_that_are_named(live):
    """--secret chooses among the policy's; it adds none."""
    with site(live, PROXY, LEASED) as s:
        ended(s.sh(f"ls {INSIDE}; echo $X509_USER_PROXY", "--secret", "db"), 0, "db\n\n")
        require(not s.server.requests("grid/proxy"), "what was not wanted was asked for")
        ended(s.sh(f"ls {INSIDE}", "--secret", "db", "--secret=proxy"), 0, "db\nproxy\n")
        refused(s.sh("echo ran", "--secret", "other"), "--secret", "'other'")


def case_stopped_while_it_waits(live):
    """An agent that never answers: a stop does not wait for it, and no payload runs."""
    with site(live, PROXY, vault={"timeout": "300s"}) as s:
        s.agent.scripted["secret/data/grid/proxy"] = [lambda conn: time.sleep(60)]
        process = s.start("echo ran")
        until("the agent was asked", lambda: s.server.requests("grid/proxy"))
        kill(process, signal.SIGTERM)
        out, errors = process.communicate(timeout=40)
        require((process.returncode, out) == (125, b"") and b"signal 15 came" in errors, f"{process.returncode} {out} {errors}")


def case_the_box_is_ready_first(live):
    """The agent takes longer than the box, which has already said what will be executed in it."""
    with site(live, PROXY, vault={"timeout": "60s"}) as s:
        with open(s.policy, encoding="utf-8") as f:
            policy = json.load(f)
        policy["audit"]["hash_executable"] = True
        with open(s.policy, "w", encoding="utf-8") as f:
            json.dump(policy, f)
        s.agent.scripted["secret/data/grid/proxy"] = [lambda conn: time.sleep(2)]  # and then hangs up; asked again it answers
        ended(s.sh("cat $X509_USER_PROXY"), 0, CANARY)
        require(len(s.events("sandbox-start")[0]["secrets"]) == 1, s.log())


def case_a_box_that_fails_does_not_wait(live):
    """Row by row, with secrets: status 125, no payload, nothing left behind, every lease given back."""
    with site(live, LEASED, ttl=600) as s:
        rows = json.loads(live.run(*s.args("--explain", "--json", live.image, "true")).stdout)["rows"]
        first = [r["step"] for r in rows].index("secret")
        ended(s.sh("echo RAN", program=broken(live)), 0, "RAN")
        for row in range(first, len(rows)):
            done = s.sh("echo RAN", program=broken(live), env={**live.env, "NESTBOX_FAIL_AT": str(row)})
            require(done.returncode == 125 and "RAN" not in done.stdout, f"row {row}: {done.returncode} {done.stdout!r} {done.stderr!r}")
            until("the lease is given back", lambda: s.agent.leases == {})


def case_agent_away(live):
    with site(live, PROXY, vault={"timeout": "300ms"}) as s:
        s.server.stop()
        refused(s.sh("echo ran"), "secret 'proxy'", "agent.sock is not there")
    with site(live, {**PROXY, "required": False}, vault={"timeout": "300ms"}) as s:
        s.server.stop()
        ended(s.sh("echo ran"), 0, "ran\n")


def case_renewed_while_it_runs(live):
    with site(live, {**PROXY, "renew": True, "refresh": "1s"}) as s:
        process = live.start(
            *s.args(live.image, "sh", "-c", "echo ready; while grep -q CANARY $X509_USER_PROXY; do sleep 0.1; done; cat $X509_USER_PROXY"))
        said(process, b"ready\n")
        s.agent.kv2["grid/proxy"].append(agent.kv2({"proxy": "the second"}, version=2))
        out, errors = process.communicate(timeout=30)
        require(out == b"the second", f"{out} {errors}")
        require(len(s.events("secret-renewed")) >= 1, s.log())


def case_given_back(live):
    """At the end, and after the keeper was killed: by the courier, which sees its end of the pair close."""
    with site(live, LEASED, ttl=600) as s:
        ended(s.sh(f"grep -c password {INSIDE}/db"), 0, "1")
        require(s.agent.leases == {}, s.agent.leases)
        process = s.start("echo ready; exec sleep 100")
        said(process, b"ready\n")
        require(len(s.agent.leases) == 1, s.agent.leases)
        kill(process)
        process.wait(20)
        until("the lease is given back", lambda: s.agent.leases == {})
        ended(s.sh("exit 0"), 0)  # removes the killed keeper's cgroup
        require("CANARY" not in s.log(), "a value in the log")


def case_a_lease_that_is_not_taken_back(live):
    """The vault refuses: in the log, with who must allow it, and not on the job's standard error, whose user can't mend it."""
    with site(live, LEASED, ttl=600) as s:
        s.agent.deny.add("sys/leases/revoke")
        for number in (1, 2):
            done = s.sh("true")
            ended(done, 0)
            require(done.stderr == "", done.stderr)
            told = [e for e in s.events("secret-failed") if e["secrets"][0]["fault"] == "revoke"]
            require(len(told) == number and "must allow sys/leases/revoke" in s.log(), s.log())
        require(len(s.server.requests("sys/leases/revoke")) == 2, "the second start tried in vain what the first could not")


def case_socket_not_reachable(live):
    """Neither in the worker's tree nor where a mount would show it; without the box it answers."""
    ask = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\ntry:\n  s.connect(sys.argv[1]); print('reached')\n"
           "except OSError as e:\n  print('not', e.errno)")
    with site(live, PROXY) as s:
        code = ["/usr/bin/python3", "-c", ask]
        bare = subprocess.run([*live.caller.prefix, *code, s.socket], capture_output=True, text=True, check=False)
        require(bare.stdout == "reached\n", bare.stdout + bare.stderr)
        ended(live.run(*s.args("/", *code, s.socket)), 0, "not 2")
        left_out = live.run(*s.args("/", *code, s.socket), program=broken(live), env={**live.env, "NESTBOX_LEAVE_OUT": "hide"})
        ended(left_out, 0, "reached")
        for source, target in ((s.top, "/mnt"), (s.top + "/agent", "/mnt"), (s.socket, "/etc/hostname")):
            done = live.run(*s.args("--bind", f"{source}:{target}", "/", *code, target + s.socket[len(source):]))
            ended(done, 0, "not ")
        for number, source in enumerate((s.top, s.top + "/agent", s.socket)):
            alias = live.path(f"alias{number}")
            os.symlink(source, alias)
            target = "/etc/hostname" if source == s.socket else "/mnt"
            refused(live.run(*s.args("--bind", f"{alias}:{target}", "/", *code, target + s.socket[len(source):])), "under another name")
            os.unlink(alias)
        s.server.stop()
        s.server.start()  # a new socket under the old name
        ended(live.run(*s.args("/", *code, s.socket)), 0, "not 2")


def case_other_boxes_cannot_read(live):
    with site(live, PROXY) as s:
        first = s.start("echo ready; exec sleep 100")
        said(first, b"ready\n")
        done = live.run("exec", "/", "/bin/sh", "-c", f"ls {INSIDE}; cat /proc/[0-9]*/root{INSIDE}/proxy")
        require(done.returncode != 0 and CANARY not in done.stdout + done.stderr, done.stdout)
        kill(first, signal.SIGTERM)
        first.wait(20)
        ended(s.sh("exit 0"), 0)


def case_the_cvmfs_helper_finds_them(live):
    """As CVMFS' authorisation helper looks for a proxy: its path in the environment of the process that reads /cvmfs, and the file below
    that process' root; as root by chroot(2), as the job's user by setns(2)."""
    with site(live, PROXY) as s:
        process = s.start("echo ready; exec sleep 60")
        said(process, b"ready\n")
        init = next(c for c in children(process.pid) if name_of(c) != "nestbox-courier")
        payload, uid = children(init)[0], str(live.caller.payload_uid)
        with open(f"/proc/{payload}/environ", "rb") as f:
            path = dict(v.split(b"=", 1) for v in f.read().split(b"\0") if b"=" in v)[b"X509_USER_PROXY"].decode()
        ways = [["chroot", f"/proc/{payload}/root"]]
        if not live.caller.is_root:  # as HTCondor's wrapper is: the box's user namespace is the job's user's
            ways.append(["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "nsenter", f"--user=/proc/{payload}/ns/user",
                         f"--mount=/proc/{payload}/ns/mnt", "--preserve-credentials"])
        for way in ways:
            done = subprocess.run([*way, "cat", path], capture_output=True, text=True, check=False)
            require(done.stdout == CANARY, f"{way[0]}: {done.stdout!r} {done.stderr!r}")
        kill(process, signal.SIGTERM)
        process.communicate(timeout=30)


def case_nobody_looks_into_the_keeper(live):
    """Keeper and courier: their memory, descriptors and root are closed to their own user. A plain process of his is open."""
    look = ("import os, sys\nfor name in ('mem', 'environ', 'fd', 'root', 'map_files'):\n  path = f'/proc/{sys.argv[1]}/{name}'\n"
            "  try:\n    if name == 'root': os.readlink(path)\n    elif name in ('fd', 'map_files'): os.listdir(path)\n"
            "    else: open(path, 'rb').close()\n    print(name)\n  except OSError: pass")
    uid = str(live.caller.payload_uid)
    as_user = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", sys.executable, "-c", look]
    plain = subprocess.Popen(["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "sleep", "60"])
    with site(live, LEASED, ttl=600) as s:
        process = s.start("echo ready; exec sleep 60")
        said(process, b"ready\n")
        until("the plain process is another user's", lambda: os.stat(f"/proc/{plain.pid}").st_uid == live.caller.payload_uid)
        opened = subprocess.run([*as_user, str(plain.pid)], capture_output=True, text=True, check=True).stdout.split()
        require({"mem", "environ", "fd", "root"} <= set(opened), f"not seen to work: {opened}")
        couriers = [c for c in children(process.pid) if name_of(c) == "nestbox-courier"]
        require(len(couriers) == 1, str(couriers))
        for pid in (process.pid, *couriers):
            opened = subprocess.run([*as_user, str(pid)], capture_output=True, text=True, check=True).stdout
            require(opened == "", f"{name_of(pid)}: {opened}")
        kill(process, signal.SIGTERM)
        process.communicate(timeout=30)
    plain.kill()
    plain.wait()


def case_the_payload_cannot_change_them(live):
    """With namespaces of its own, in which it is root: it can write to a mount of its own, and to the secrets by no way."""
    tries = (f"mount -t tmpfs none /mnt && touch /mnt/x && mount -o remount,bind,ro /mnt && mount -o remount,bind,rw /mnt && "
             f"touch /mnt/x && echo own; mount -o remount,bind,rw {INSIDE}; mount -o remount,rw {INSIDE}; umount {INSIDE}; "
             f"mount --bind {INSIDE} /mnt; mount -o remount,bind,rw /mnt; touch /mnt/y {INSIDE}/y && echo changed; "
             f"chmod 600 {INSIDE}/proxy && echo changed; echo z >{INSIDE}/proxy && echo changed; cat {INSIDE}/proxy")
    with site(live, PROXY) as s:
        done = live.run(*s.args("/", "/usr/bin/unshare", "-Urm", "/bin/sh", "-c", tries))
        require(done.stdout == f"own\n{CANARY}", f"{done.stdout!r} {done.stderr!r}")


def case_directory_renewed(live):
    """A file that something else writes: copied, and copied anew when it is replaced."""
    with site(live) as s:
        source = s.top + "/svid"
        os.mkdir(source)
        secret = {"name": "svid.pem", "from": "directory", "path": source + "/svid.pem", "renew": True, "env": "KRB5CCNAME"}
        write_policy(s, secret)
        refused(s.sh("echo ran"), "secret 'svid.pem'")
        replace(source + "/svid.pem", "first")
        ended(s.sh("echo $KRB5CCNAME"), 0, f"FILE:{INSIDE}/svid.pem\n")
        process = s.start(f"cat {INSIDE}/svid.pem; echo; while grep -q first {INSIDE}/svid.pem; do sleep 0.05; done; cat {INSIDE}/svid.pem")
        said(process, b"first\n")
        replace(source + "/svid.pem", "second")
        out, errors = process.communicate(timeout=30)
        require(out == b"second", f"{out} {errors}")


def case_directory_made_anew(live):
    """What writes the directory starts again, and systemd makes its RuntimeDirectory= anew: the new one counts, once it has the file."""
    with site(live) as s:
        source = s.top + "/svid"
        os.mkdir(source)
        write_policy(s, {"name": "svid.pem", "from": "directory", "path": source + "/svid.pem", "renew": True})
        replace(source + "/svid.pem", "first")
        process = s.start(f"cat {INSIDE}/svid.pem; echo; while grep -q first {INSIDE}/svid.pem; do sleep 0.05; done; cat {INSIDE}/svid.pem")
        said(process, b"first\n")
        shutil.rmtree(source)
        until("the loss is told", lambda: len(s.events("secret-failed")) == 1)
        os.mkdir(source)
        replace(source + "/svid.pem", "second")
        out, errors = process.communicate(timeout=60)
        require(out == b"second", f"{out} {errors}")
        require(len(s.events("secret-failed")) == 1 and len(s.events("secret-renewed")) == 1, s.log())


def case_htcondors_credentials(live):
    """_CONDOR_CREDS, renewed by the starter while the job runs; without it a required one is refused."""
    secret = {"name": "bearer", "from": "condor", "path": "scitokens.use", "renew": True, "env": "BEARER_TOKEN_FILE"}
    with site(live, secret) as s:
        creds = s.top + "/.condor_creds"
        os.mkdir(creds)
        replace(creds + "/scitokens.use", "first")
        env = {**live.env, "_CONDOR_CREDS": creds}
        process = s.start("cat $BEARER_TOKEN_FILE; echo; while grep -q first $BEARER_TOKEN_FILE; do sleep 0.1; done; cat $BEARER_TOKEN_FILE", env=env)
        said(process, b"first\n")
        replace(creds + "/scitokens.use", "second")
        out, errors = process.communicate(timeout=60)
        require(out == b"second", f"{out} {errors}")
        refused(s.sh("echo ran"), "secret 'bearer'", "_CONDOR_CREDS")
        write_policy(s, {**secret, "required": False})
        done = s.sh(f"cat {INSIDE}/.status.json")
        ended(done, 0, '"missing"')
        require("secret 'bearer'" in done.stderr, done.stderr)


def case_variables_of_the_vault_are_dropped(live):
    with site(live, PROXY) as s:
        done = s.sh("env", env={**live.env, "BEARER_TOKEN": "t", "VAULT_TOKEN": "t", "VAULT_NAMESPACE": "n", "BAO_ADDR": "a", "KEPT": "k"})
        ended(done, 0, "KEPT=k\n")
        require(not any(w in done.stdout for w in ("BEARER_TOKEN", "VAULT_", "BAO_")), done.stdout)


def case_the_job_logs_in_itself(live):
    with site(live, PROXY, vault={"auth": {"mount": "jwt", "role": "atlas", "token": {"directory": live.path("creds"), "file": "x.use"}}},
              use_auto_auth=None) as s:
        os.mkdir(live.path("creds"))
        try:
            refused(s.sh("echo ran"), "the job's own token")
            replace(live.path("creds") + "/x.use", s.agent.jwt)
            ended(s.sh("cat $X509_USER_PROXY"), 0, CANARY)
            require(s.agent.tokens == {}, "the login outlived the box")
        finally:
            subprocess.run(["rm", "-rf", live.path("creds")], check=True)


def case_without_secrets_no_courier(live):
    """A policy without secrets: no courier, no directory."""
    done = live.run("exec", "/", "/bin/ls", "/run/nestbox")
    ended(done, 0)
    require("secrets" not in done.stdout, done.stdout)


def case_in_a_job(live):
    """As HTCondor's starter starts it, in a scratch directory that a symbolic link leads to, with an id that no header may hold."""
    if live.caller.name != "user":
        return
    bearer = {"name": "bearer", "from": "condor", "path": "scitokens.use", "renew": True, "env": "BEARER_TOKEN_FILE"}
    with site(live, PROXY, bearer) as s:
        shutil.copytree(os.path.dirname(os.path.dirname(live.nestbox)), s.top + "/tree", symlinks=True)
        os.makedirs(s.top + "/tree/etc/nestbox")
        shutil.copy(s.policy, s.top + "/tree/etc/nestbox/policy.json")
        os.mkdir(s.top + "/execute")
        os.symlink(s.top + "/execute", s.top + "/link")
        scratch = s.top + "/link/dir_1"
        os.makedirs(scratch + "/.condor_creds")
        replace(scratch + "/.condor_creds/scitokens.use", "the token")
        with open(scratch + "/.job.ad", "wb") as f:
            f.write('GlobalJobId = "schedd\t#1.0#\u00e9"\nOwner = "alice"\n'.encode())
        for path in (scratch, scratch + "/.condor_creds", scratch + "/.condor_creds/scitokens.use"):
            os.chown(path, live.caller.payload_uid, live.caller.payload_uid)
        env = {"_CONDOR_SCRATCH_DIR": scratch, "_CONDOR_CREDS": scratch + "/.condor_creds", "_CONDOR_JOB_AD": scratch + "/.job.ad",
               "BEARER_TOKEN": "old", "X509_USER_PROXY": "/tmp/x509up_u0"}
        done = live.run("wrap", "/bin/sh", "-c", "cat $X509_USER_PROXY; echo; cat $BEARER_TOKEN_FILE; echo; env", env=env,
                        program=s.top + "/tree/bin/nestbox")
        ended(done, 0, CANARY + "\nthe token\n")
        require("BEARER_TOKEN=" not in done.stdout and f"X509_USER_PROXY={INSIDE}/proxy\n" in done.stdout, done.stdout)
        said_job = s.server.requests("grid/proxy")[0].one("X-Nestbox-Job")
        require(said_job.startswith("schedd?#1.0#??") and said_job.isascii(), said_job)
