# SPDX-License-Identifier: Apache-2.0
"""The job's own login, wrapped answers, leases shared by a cache, and paths built from the job."""
import json
import os
import socket
import threading
import time

import life
from lab import Lab, expect, need

KV = "name=x;path=kv1/site;field=key"


LOGIN = ("-m", "jwt", "-o", "atlas", "-T", "job.use")


def write_token(lab, token="the.jobs.jwt"):
    os.makedirs(os.path.join(lab.top, "creds"), exist_ok=True)
    with open(os.path.join(lab.top, "creds", "job.use"), "w", encoding="ascii") as f:
        f.write(token + "\n")


def own_login(lab, *args, token="the.jobs.jwt", role="atlas"):
    write_token(lab, token)
    return lab.play(*LOGIN, "-t", os.path.join(lab.top, "creds"), "-o", role, *args)


def test_own_token(build):
    with Lab(build, use_auto_auth=None) as lab:
        expect("without login the agent gives nothing", lab.play("-b", "800", "-S", KV).seen(), "denied")
        played = own_login(lab, "-S", KV, "-S", "name=db;path=database/creds/atlas;field=password")
        expect("with the job's own token", played.seen(), '"CANARY-KV1"')
        need("the token ends with the job", not lab.agent.tokens, lab.agent.tokens)
        expect("its leases with it", played.of("finished")[0]["revoked"], 1)
        need("the token is in no event", "the.jobs.jwt" not in played.text and "hvs." not in played.text, played.text)
        need("nor in a path", not any("jwt" in r.target and "login" not in r.target for r in lab.server.requests()))


def test_own_token_refused(build):
    for what in ({"role": "cms"}, {"token": "another.users.jwt"}):
        with Lab(build, use_auto_auth=None) as lab:
            played = own_login(lab, "-b", "1500", "-S", KV, "-S", "name=y;path=kv1/none", **what)
            expect(f"{what}", [e["fault"] for e in played.of("failed")], ["login", "login"])
            need("who must act", "auth/jwt/login" in played.of("failed")[0]["text"], played.text)


def test_own_token_missing(build):
    with Lab(build, use_auto_auth=None) as lab:
        os.mkdir(os.path.join(lab.top, "creds"))
        played = lab.play("-m", "jwt", "-o", "atlas", "-t", os.path.join(lab.top, "creds"), "-T", "none.use", "-S", KV)
        need("a sentence", played.status == 2 and "none.use" in played.text, played.text)


def test_login_is_renewed(build):
    with Lab(build, use_auto_auth=None, role_ttl=3) as lab:
        own_login(lab, "-S", KV + ";renew;refresh=500", "-l", "5000")
        need("renewed", lab.server.requests("renew-self"))
        expect("logins", len(lab.server.requests("auth/jwt/login")), 1)


def test_login_anew_with_the_token_of_now(build):
    with Lab(build, use_auto_auth=None, role_ttl=2) as lab:
        lab.agent.deny.add("auth/token/renew-self")
        lab.agent.scripted["auth/token/renew-self"] = [(403, b'{"errors":["permission denied"]}', ())] * 9
        played = own_login(lab, "-S", KV + ";renew;refresh=300", "-S", "name=db;path=database/creds/a;field=password;renew", "-l", "5000")
        need("the token was asked for", played.of("token-wanted"), played.text)
        need("and used", len(lab.server.requests("auth/jwt/login")) >= 2)
        need("leases of the first login are replaced", any(e["flags"] & 8 for e in played.of("renewed", "db")), played.text)


def test_login_lost(build):
    """The vault takes no login when the first one is due: it is used to its end, the vault is not stormed, the user is told once, and
    when the login is possible again all is well."""
    with Lab(build, use_auto_auth=None, role_ttl=6) as lab:
        lab.agent.batch = True
        lab.agent.scripted["auth/jwt/login"] = [None] + [(400, b'{"errors":["token is expired"]}', ())] * 5
        played = own_login(lab, "-S", KV + ";renew;refresh=300", "-l", "9500")
        logins = len(lab.server.requests("auth/jwt/login"))
        need("logins", 2 <= logins <= 9, logins)
        failed = played.of("failed")
        expect("told once", [(e["name"], e["fault"]) for e in failed], [("x", "login")])
        need("what, and who must act", "token is expired" in failed[0]["text"] and "the user at the token" in failed[0]["text"], failed)
        need("well again", played.of("renewed"), played.text)
        bare = [r.target for r in lab.server.requests("kv1/site") if not r.one("X-Vault-Token")]
        expect("requests without a token", bare, [])


def test_login_unrenewed_when_the_vault_is_sealed(build):
    """Renewing the login fails in passing: it is tried again, before a new login is."""
    with Lab(build, use_auto_auth=None, role_ttl=3) as lab:
        lab.agent.scripted["auth/token/renew-self"] = [(503, b'{"errors":["Vault is sealed"]}', ())]
        own_login(lab, "-S", KV + ";renew;refresh=300", "-l", "4000")
        expect("logins, renewals", (len(lab.server.requests("auth/jwt/login")), len(lab.server.requests("renew-self")) >= 2), (1, True))


def test_token_file_gone(build):
    """HTCondor took the job's token away: said, with the job's own login as the reason."""
    with Lab(build, use_auto_auth=None, role_ttl=2) as lab:
        lab.agent.batch = True
        lab.agent.scripted["auth/jwt/login"] = [None] + [(400, b'{"errors":["token is expired"]}', ())] * 99
        played = own_login(lab, "-S", KV + ";renew;refresh=300", "-l", "4000")
        need("not as if the path were denied", {e["fault"] for e in played.of("failed")} == {"login"}, played.text)


def test_end_while_the_token_waits(build):
    """The token that was asked for has come, and waits behind a request that hangs: the job's end is heard all the same."""
    with Lab(build, use_auto_auth=None, role_ttl=12, ttl=600) as lab:
        lab.agent.batch = True
        hangs, real = threading.Event(), lab.agent.read_kv1

        def slow(path):
            time.sleep(0.02)
            return (lambda conn: time.sleep(30)) if hangs.is_set() else real(path)
        lab.agent.read_kv1 = slow
        asks = [word for i in range(30) for word in ("-S", f"name=s{i};path=kv1/site;field=key;renew;refresh=1")]
        write_token(lab)
        with lab.start(*LOGIN, "-t", os.path.join(lab.top, "creds"), *asks, "-S", "name=db;path=database/creds/a;field=password",
                       "-b", "12000", "-f", "4000", "-l", "8500") as process:
            life.wait_event(process, "token-wanted")
            hangs.set()
            events = [json.loads(line) for line in process.stdout]
        finished = [e for e in events if e.get("event") == "finished"][0]
        expect("no failure that only the end caused", [e for e in events if e.get("event") == "failed"], [])
        expect("given back, leases", (finished["revoked"], lab.agent.leases), (1, {}))


def test_batch_token(build):
    """A login that can't be revoked: its leases are given back one by one."""
    with Lab(build, use_auto_auth=None) as lab:
        lab.agent.batch = True
        played = own_login(lab, "-S", "name=x;path=database/creds/atlas;field=password")
        expect("given back, leases", (played.of("finished")[0]["revoked"], played.of("failed"), lab.agent.leases), (1, [], {}))


def test_revoke_self_is_tried_again(build):
    with Lab(build, use_auto_auth=None) as lab:
        lab.agent.scripted["auth/token/revoke-self"] = [(503, b'{"errors":["Vault is sealed"]}', ())]
        own_login(lab, "-S", KV)
        expect("tokens", lab.agent.tokens, {})


def test_wrapped_once(build):
    with Lab(build) as lab:
        expect("opened", lab.play("-S", KV + ";wrap").seen(), '"CANARY-KV1"')
        expect("unwrap requests", len(lab.server.requests("sys/wrapping/unwrap", "POST")), 1)
        request = lab.server.requests("sys/wrapping/unwrap")[0]
        need("in the body, not in a header", b"hvs.CANARY-WRAP" in request.body and not request.one("X-Vault-Token"))


def test_wrapped_and_opened_by_somebody_else(build):
    with Lab(build) as lab:
        real = lab.agent.unwrap

        def thief(request):
            real(request)
            return real(request)
        lab.agent.unwrap = thief
        played = lab.play("-b", "2000", "-S", KV + ";wrap")
        expect("opened first by a thief", played.seen(), "unwrapped")
        need("alarm", "stolen" in played.of("failed")[0]["text"])
        expect("not tried again", len(lab.server.requests("sys/wrapping/unwrap")), 1)


def test_wrapped_for_another_path(build):
    with Lab(build) as lab:
        lab.agent.origin = "cubbyhole/other"
        expect("made by another request", lab.play("-b", "2000", "-S", KV + ";wrap").seen(), "wrap-origin")
        expect("never opened", len(lab.server.requests("sys/wrapping/unwrap")), 0)


def test_wrap_wanted_and_not_given(build):
    with Lab(build) as lab:
        lab.agent.scripted["kv1/site"] = [(200, b'{"data":{"key":"v"}}', ())]
        expect("not wrapped", lab.play("-S", KV + ";wrap").seen(), "not-wrapped")


def test_wrapping_token_is_used_once_even_when_the_answer_is_cut(build):
    with Lab(build) as lab:
        lab.agent.scripted["sys/wrapping/unwrap"] = [lambda conn: conn.shutdown(socket.SHUT_RDWR)]
        expect("a new wrapping", lab.play("-b", "5000", "-S", KV + ";wrap").seen(), '"CANARY-KV1"')
        tokens = [r.body for r in lab.server.requests("sys/wrapping/unwrap")]
        expect("two requests, two tokens", len(set(tokens)), 2)


def test_cache_gives_each_job_its_lease(build):
    db = "name=x;path=database/creds/atlas;field=username"
    with Lab(build, caching=True, ttl=60) as lab:
        lab.agent.scripted["sys/leases/revoke"] = [(204, b"", ())] * 3  # what is cached stays
        jobs = []
        for job in ("job1", "job1", "job2"):
            played = lab.play("-j", job, "-S", db, "-f", "1") if job == "job1" else lab.play("-j", job, "-S", db)
            jobs.append((played.seen(), bool(played.of("issued")[0]["flags"] & 4)))
        expect("the same header: one lease for two, and said so", jobs[1], ('"u1"', True))
        expect("another job: another lease", jobs[2], ('"u2"', False))


def template(lab, value, *more):
    return lab.play("-b", "1000", "-A", "Owner", "-V", value, *more, "-S", "name=x;path=secret/data/{Owner};field=proxy")


def test_paths_from_the_job(build):
    with Lab(build) as lab:
        lab.agent.kv2["alice"] = lab.agent.kv2["bob@cern.ch"] = lab.agent.kv2["grid/proxy"]
        expect("believed", template(lab, "alice", "-B").seen(), '"CANARY-PROXY v2"')
        expect("encoded", template(lab, "bob@cern.ch", "-B").seen(), '"CANARY-PROXY v2"')
        need("as %40", lab.server.requests("bob%40cern.ch"))
        before = len(lab.server.requests())
        for value in ("a/../../sys/mounts", "../sys", "a b", "", "a\nb", "a?list=true", "..", ".x", "%2e%2e", "{Owner}", "x" * 65):
            played = template(lab, value, "-B")
            need(f"{value!r} is refused", played.status == 2 and "Owner" in played.text, played.text)
        played = template(lab, "alice")
        need("not believed", played.status == 2 and "believed" in played.text, played.text)
        expect("nothing was asked", len(lab.server.requests()), before)


def test_paths_that_go_would_redirect(build):
    with Lab(build) as lab:
        for path in ("a//b", "a/../b", "/a", "a/", "a.", "a/./b", "a?b", "a#b", "a%2fb", "a b", "{", "{}", "{Own er}"):
            played = lab.play("-S", f"name=x;path={path};field=y")
            need(f"{path!r} is refused", played.status == 2, played.text)
        expect("nothing was asked", len(lab.server.requests()), 0)
