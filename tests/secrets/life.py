# SPDX-License-Identifier: Apache-2.0
"""Renewal, loss, and the end: leases renewed, replaced, given back, and swept after a kill."""
import hashlib
import json
import os
import signal
import threading
import time

from lab import Lab, expect, need

DB = "name=db;path=database/creds/atlas;field=password;renew"
KV = "name=x;path=kv1/site;field=key;renew;refresh=300"


def read(lab, name):
    with open(os.path.join(lab.dir, name), "rb") as f:
        return f.read().decode()


def until(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        need(what, time.monotonic() < end)
        time.sleep(0.05)


def pid_of(process):
    return json.loads(process.stdout.readline())["pid"]


def wait_event(process, word):
    for line in process.stdout:
        if f'"event":"{word}"' in line:
            return json.loads(line)
    raise AssertionError(f"no event {word}")


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_lease_renewed(build):
    with Lab(build, ttl=3) as lab:
        played = lab.play("-S", DB, "-l", "6000")
        issued, renewed = played.of("issued")[0], played.of("renewed")
        need("renewed twice", len(renewed) >= 2, played.text)
        need("nothing replaced", all(e["generation"] == 1 and not e["flags"] & 8 for e in renewed), played.text)
        lease = "database/creds/atlas/lease1"
        expect("the lease's hash", issued["lease"], hashlib.sha256(lease.encode()).hexdigest())
        need("not its id", lease not in played.text)
        expect("given back", (played.of("finished")[0]["revoked"], lab.agent.leases), (1, {}))
        expect("revoke is asked once", len(lab.server.requests("sys/leases/revoke")), 1)


def test_increment_is_a_number(build):
    """As the API's documentation has it: an agent need not read numbers in texts."""
    with Lab(build, ttl=1) as lab:
        lab.play("-S", DB + ";increment=7", "-l", "1500")
        expect("asked for", json.loads(lab.server.requests("sys/leases/renew")[0].body)["increment"], 7)
        expect("in the body", json.loads(lab.server.requests("sys/leases/renew")[0].body)["lease_id"], "database/creds/atlas/lease1")


def test_lease_at_its_maximum(build):
    """A lease that can't be renewed any longer is replaced; who has the old file open reads the old value on."""
    with Lab(build, ttl=2, max_ttl=3) as lab:
        with lab.start("-S", DB, "-l", "6000") as process:
            wait_event(process, "issued")
            with open(os.path.join(lab.dir, "db"), encoding="ascii") as old:
                event = wait_event(process, "renewed")
                while not event["flags"] & 8:
                    event = wait_event(process, "renewed")
                expect("second value", (event["generation"], read(lab, "db")), (2, "CANARY-p2"))
                expect("open file", old.read(), "CANARY-p1")
            process.communicate(timeout=30)
        now = time.monotonic()
        expect("all given back or over", [n for n, v in lab.agent.leases.items() if v["ends"] > now], [])


def test_caching_agent(build):
    """An agent that gives its old answers again: what the job has is good all the same, also when the lease comes to its maximum."""
    with Lab(build, caching=True, ttl=2, max_ttl=5) as lab:
        with lab.start("-S", DB, "-l", "9000") as process:
            wait_event(process, "done")
            dead, end = [], time.monotonic() + 8
            while time.monotonic() < end:
                lease = "database/creds/atlas/lease" + read(lab, "db").removeprefix("CANARY-p")
                if not lab.agent.alive(lease):
                    dead.append(round(end - time.monotonic(), 2))
                time.sleep(0.02)
            process.communicate(timeout=30)
        need("a second lease", "database/creds/atlas/lease1" not in lab.agent.leases or lab.agent.serial > 1)
        expect("moments without a living lease", dead, [])


def test_aged_answer(build):
    """A cache that knows the path alone: what its answer has aged is off its life."""
    with Lab(build, ttl=10) as lab:
        old = json.dumps({"lease_id": "database/creds/atlas/lease0", "renewable": True, "lease_duration": 10,
                          "data": {"password": "CANARY-old"}}).encode()
        lab.agent.scripted["database/creds/atlas"] = [(200, old, (("X-Cache", "HIT"), ("Age", "7")))]
        issued = lab.play("-S", DB, "-l", "0").of("issued")[0]
        expect("its life in ms, and that it came from a cache", (issued["life_ms"], issued["flags"] & 4), (3000, 4))


def lives(build, said, renewable):
    with Lab(build, ttl=3600) as lab:
        lab.agent.said_ttl, lab.agent.renewable = said, renewable
        played = lab.play("-S", DB + ";refresh=250", "-l", "2500")
        expect(f"no failure with {said}", played.of("failed"), [])
        return lab.agent.serial, len(lab.server.requests("leases/renew")), played.of("issued")[0]["life_ms"]


def test_lease_without_an_end(build):
    """Said to live for 0 seconds, or longer than any job: one lease is enough."""
    ten_years = 10 * 365 * 86400 * 1000
    expect("0, renewable: leases, life", lives(build, 0, True)[::2], (1, 0))
    expect("0, not renewable: leases, renewals, life", lives(build, 0, False), (1, 0, 0))
    expect("4e9, renewable: leases, renewals, life", lives(build, 4000000000, True), (1, 0, ten_years))
    expect("1e300, not renewable: leases, renewals, life", lives(build, 1e300, False), (1, 0, ten_years))


def test_lease_that_can_not_be_renewed(build):
    """The server fails to renew this one lease, and goes on failing: a new one is taken before the old one ends."""
    for answer in ((500, b'{"errors":["failed to renew entry: role gone"]}', ()), (405, b'{"errors":[]}', ()), (200, b"<html>", ())):
        with Lab(build, ttl=2) as lab:
            lab.agent.scripted["sys/leases/renew"] = [answer] * 99
            played = lab.play("-S", DB, "-l", "2500")
            expect(f"after {answer[:2]}", (played.of("expired"), played.of("failed")), ([], []))
            need("a new value", [e for e in played.of("renewed") if e["flags"] & 8], played.text)


def test_value_replaced(build):
    with Lab(build) as lab:
        with lab.start("-S", KV, "-l", "3000") as process:
            wait_event(process, "done")
            lab.agent.kv1["site"] = {"key": "CANARY-NEW"}
            event = wait_event(process, "renewed")
            expect("new value", (event["flags"] & 8, event["generation"], read(lab, "x")), (8, 2, "CANARY-NEW"))
            out = process.communicate(timeout=30)[0]
        need("an unchanged value is not told", "renewed" not in out, out)


def test_agent_away(build):
    """Last good kept, failure told once, expiry told once, and all well when it is back."""
    with Lab(build, ttl=2) as lab:
        with lab.start("-S", DB, "-l", "9000") as process:
            wait_event(process, "done")
            lab.server.stop()
            failed = wait_event(process, "failed")
            expect("fault", failed["fault"], "absent")
            expired = wait_event(process, "expired")
            expect("last good", (expired["name"], read(lab, "db")), ("db", "CANARY-p1"))
            lab.server.start()
            out = process.communicate(timeout=30)[0]
        need("renewed", '"renewed"' in out, out)
        need("told once", '"failed","index":0,"generation":1' not in out and out.count('"expired"') == 0, out)


def test_optional_comes_later(build):
    with Lab(build) as lab:
        lab.agent.sealed = True
        with lab.start("-b", "600", "-S", KV, "-l", "5000") as process:
            expect("at first", wait_event(process, "failed")["fault"], "sealed")
            wait_event(process, "done")
            lab.agent.sealed = False
            expect("later", wait_event(process, "issued")["generation"], 1)
            process.communicate(timeout=30)


def test_finish_during_a_request(build):
    with Lab(build, ttl=60) as lab:
        lab.agent.scripted["kv1/site"] = [(200, b'{"data":{"key":"v"}}', ()), lambda conn: time.sleep(30)]
        played = lab.play("-b", "20000", "-S", DB, "-S", KV, "-l", "1000", "-f", "7000")
        expect("given back although a request hung", (len(played.of("finished")), lab.agent.leases), (1, {}))


def abandoned(build, how):
    with Lab(build, ttl=60) as lab:
        with lab.start("-S", DB, "-a", "-l", "0" if how is None else "60000") as process:
            courier = pid_of(process)
            wait_event(process, "done")
            need("leased", lab.agent.serial)  # by now it may be given back
            if how is not None:
                process.send_signal(how)
            process.communicate(timeout=30)
        until("leases given back", lambda: not lab.agent.leases)
        until("the courier ends", lambda: gone(courier))


def test_keeper_ends_without_a_word(build):
    abandoned(build, None)


def test_keeper_killed(build):
    abandoned(build, signal.SIGKILL)


def test_answer_on_its_way_when_the_keeper_ends(build):
    """The agent has made a lease and not answered yet: it is given back all the same."""
    with Lab(build, ttl=60) as lab:
        made = lab.agent.issue

        def slow(*args):
            answer = made(*args)
            time.sleep(0.25)
            return answer

        lab.agent.issue = slow
        with lab.start("-S", DB, "-l", "60000") as process:
            courier = pid_of(process)
            until("a lease", lambda: lab.agent.leases)
            process.kill()
            process.communicate(timeout=30)
        until("the courier ends", lambda: gone(courier))
        expect("leases", lab.agent.leases, {})


def test_signals_do_not_end_the_courier(build):
    with Lab(build, ttl=60) as lab:
        with lab.start("-S", DB, "-l", "2000") as process:
            courier = pid_of(process)
            wait_event(process, "done")
            for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1):
                os.kill(courier, s)
            process.communicate(timeout=30)
        expect("status, leases", (process.returncode, lab.agent.leases), (0, {}))


def swept(build, leases):
    """Keeper and courier killed together; the next box of this user gives back what was left."""
    with Lab(build, ttl=60) as lab:
        noted = os.path.join(lab.top, "leases")
        with lab.start("-S", DB, "-L", noted, "-x", "box1", "-l", "60000") as process:
            courier = pid_of(process)
            wait_event(process, "done")
            os.kill(courier, signal.SIGKILL)
            process.kill()
            process.communicate(timeout=30)
        until("both are gone", lambda: gone(courier))
        expect("left", list(lab.agent.leases), ["database/creds/atlas/lease1"])
        path = os.path.join(noted, "box1")
        expect("modes", (oct(os.stat(noted).st_mode & 0o777), oct(os.stat(path).st_mode & 0o777)), ("0o700", "0o600"))
        with open(path, "a", encoding="ascii") as f:
            f.write(leases)
        before = len(lab.server.requests("revoke"))
        played = lab.play("-S", "name=x;path=kv1/site;field=key", "-L", noted, "-x", "box2", "-l", "1500")
        need("swept", played.of("swept"), played.text)
        expect("swept", (played.of("swept")[0]["revoked"] >= 1, lab.agent.leases), (True, {}))
        expect("files with leases", [n for n in os.listdir(noted) if os.stat(os.path.join(noted, n)).st_size], [])
        third = lab.play("-S", "name=x;path=kv1/site;field=key", "-L", noted, "-x", "box3")
        expect("nothing left to sweep", third.of("swept"), [])
        return [json.loads(r.body)["lease_id"] for r in lab.server.requests("revoke")[before:]]


def test_swept_after_both_were_killed(build):
    expect("revoked", swept(build, ""), ["database/creds/atlas/lease1"])


def test_swept_file_holds_rubbish(build):
    """Blank, controls, over-long and torn lines are not sent on."""
    sent = swept(build, "a b\n\x01\n" + "l" * 600 + "\nother/lease9\ntorn/lea")
    expect("revoked", sent, ["database/creds/atlas/lease1", "other/lease9"])


def test_living_courier_is_not_swept(build):
    with Lab(build, ttl=60) as lab:
        noted = os.path.join(lab.top, "leases")
        with lab.start("-S", DB, "-L", noted, "-x", "box1", "-l", "4000") as process:
            wait_event(process, "done")
            other = lab.play("-S", "name=x;path=kv1/site;field=key", "-L", noted, "-x", "box2", "-l", "300")
            expect("other's sweep", (other.of("swept"), len(lab.agent.leases)), ([], 1))
            process.communicate(timeout=30)


def test_revoke_fails_and_is_kept_for_the_next(build):
    with Lab(build, ttl=60) as lab:
        noted = os.path.join(lab.top, "leases")
        with lab.start("-S", DB, "-L", noted, "-x", "box1", "-l", "1000") as process:
            wait_event(process, "done")
            lab.server.stop()
            finished = wait_event(process, "finished")
            process.communicate(timeout=30)
        expect("counts", (finished["revoked"], finished["failed"]), (0, 1))
        expect("kept", read_file(os.path.join(noted, "box1")), "database/creds/atlas/lease1\n")
        lab.server.start()
        lab.play("-S", "name=x;path=kv1/site;field=key", "-L", noted, "-x", "box2", "-l", "1000")
        expect("given back", lab.agent.leases, {})


def test_revoke_refused(build):
    """The agent's policy does not let leases be given back: the site is told, and no file is left to be tried in vain for ever."""
    with Lab(build, ttl=60) as lab:
        noted = os.path.join(lab.top, "leases")
        lab.agent.deny.add("sys/leases/revoke")
        for number in (1, 2):
            played = lab.play("-S", DB, "-L", noted, "-x", f"box{number}", "-l", "300")
            failed = played.of("failed")
            expect("fault", [(e["name"], e["fault"]) for e in failed], [("db", "revoke")])
            need("who must act", "administrator must allow sys/leases/revoke" in failed[0]["text"] and "denied" in failed[0]["text"], failed)
        expect("asked once for each", len(lab.server.requests("revoke")), 2)
        expect("nothing is swept", played.of("swept"), [])
        expect("files with leases", [n for n in os.listdir(noted) if os.stat(os.path.join(noted, n)).st_size], [])


def test_lease_of_a_value_that_is_none(build):
    """The reply has a lease and not the field: the lease is given back, or each try would leave one."""
    with Lab(build, ttl=600) as lab:
        for more in ("field=none", "field=none;wrap"):
            played = lab.play("-b", "1000", "-S", f"name=x;path=database/creds/atlas;{more}")
            expect(f"{more}: fault, leases", (played.seen(), lab.agent.leases), ("no-field", {}))
        expect("leases that were made", lab.agent.serial, 3)  # and one wrapping token


def read_file(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def test_lease_directory_of_others_is_refused(build):
    with Lab(build) as lab:
        noted = os.path.join(lab.top, "leases")
        os.mkdir(noted)
        os.chmod(noted, 0o755)
        played = lab.play("-S", DB, "-L", noted, "-x", "box1")
        need("refused", played.status == 2 and "0700" in played.text, played.text)


def test_slow_agent_does_not_starve_the_others(build):
    """One path hangs for good: the answers of the others come all the same, whoever is asked first."""
    slow, good = ("-S", "name=slow;path=kv1/slow;field=key"), ("-S", "name=x;path=kv1/site;field=key")
    for order in ((*good, *slow), (*slow, *good), (*slow, *slow, *good)):
        with Lab(build) as lab:
            lab.agent.scripted["kv1/slow"] = [lambda conn: threading.Event().wait(20)] * 9
            started = time.monotonic()
            played = lab.play("-b", "1500", *order)
            expect("one of two", (played.seen("x"), played.seen("slow")), ('"CANARY-KV1"', "timeout"))
            need("within the deadline", time.monotonic() - started < 3)
