# SPDX-License-Identifier: Apache-2.0
"""The audit collector: what it takes, whom it believes, and what is left when somebody is killed."""
import ctypes
import glob
import json
import os
import signal
import subprocess
import sys
import time
import uuid

from box import UID, ended, require
from collect_lab import OWNER, PEER, collector


def case_records_of_a_box(live):
    with collector(live) as c:
        mark = uuid.uuid4().hex
        ended(c.sh(f": {mark}; exit 3"), 3)
        start, end = c.records("sandbox-start", "sandbox-end")
        require(mark in json.dumps(start["process"]["args"]) and end["process"]["exit_code"] == 3, f"{start} {end}")
        uid = 0 if live.caller.is_root else live.caller.payload_uid
        for one in (start, end):
            told = one["nestbox"]["attested"]
            require(one["nestbox"]["trust"] == ("root" if uid == 0 else "collector"), str(one["nestbox"]))
            require(told["by"] == "collector" and told["uid"] == str(uid) and told["launcher"] is True, str(told))
            require(told["executable"] == os.path.realpath(live.nestbox), str(told))
            require(told["keeper_pid"] == str(one["process"]["pid"]), str(told))
        require(start["nestbox"]["attested"]["init_pid"].isdigit(), str(start["nestbox"]["attested"]))
        loaded = c.own("config-loaded")[0]
        require(loaded["user"]["id"] == str(OWNER) and "seccomp" in loaded["nestbox"]["collector"]["confined"], str(loaded))
        c.verified()


def case_record_of_any_length(live):
    """A record that is full of what a job may say still fits, with the collector's own words in it."""
    with collector(live) as c:
        names = ("MESOS_TASK_ID", "MESOS_CONTAINER_NAME", "K8S_POD_NAME", "PANDAID", "DIRACJOBID", "HOSTNAME")
        for fill in ("x", "\x01"):
            ended(c.sh("exit 3 # " + fill * 20000, env={**live.env, **{name: fill * 20000 for name in names}}), 3)
        found = c.records("sandbox-start", "sandbox-end")
        require(len(found) == 4 and all(one["nestbox"]["truncated"] is True for one in found), str(found)[:300])
        require(len(found[2]["nestbox"]["claimed"]["panda_id"]) >= 12, str(found[2]["nestbox"]["claimed"])[:300])
        c.verified()


def case_log_is_closed_to_users(live):
    with collector(live) as c:
        ended(c.sh(":"), 0)
        as_user = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
        for attack in (["cat", c.log + "/audit-collector.jsonl"], ["ls", c.log], ["rm", "-f", c.log + "/audit-collector.jsonl"],
                       ["touch", c.log + "/x"], ["mv", c.log, c.log + "2"], ["rm", "-f", c.socket]):
            done = subprocess.run([*as_user, *attack], capture_output=True, check=False)
            require(done.returncode != 0, " ".join(attack))
        require(len(c.records("sandbox-start", "sandbox-end")) == 2, "records are gone")


def case_beside_a_file(live):
    log = live.path(f"file-{uuid.uuid4().hex[:8]}")
    os.mkdir(log)
    os.chmod(log, 0o1733)
    with collector(live) as c:
        ended(c.sh(":", policy=c.policy("refuse", {"type": "file", "path": log})), 0)
        require(len(c.records("sandbox-start", "sandbox-end")) == 2, "not at the collector")
        with open(glob.glob(log + "/audit-*.jsonl")[0], encoding="utf-8") as stream:
            actions = [json.loads(line)["event"]["action"] for line in stream]
        require([a for a in actions if a != "config-loaded"] == ["sandbox-start", "sandbox-end"], str(actions))


def case_no_collector_no_payload(live):
    with collector(live) as c:
        c.end(signal.SIGKILL)
        ended(c.sh("echo RAN"), 125, "nestbox collect")
        done = c.sh("echo RAN", policy=c.policy("warn"))
        require(done.returncode == 0 and done.stdout == "RAN\n", f"{done}")
        c.start()
        ended(c.sh("echo RAN"), 0)
        c.verified()


def case_invented_record(live):
    with collector(live) as c:
        said = c.said("invent")
        require(said[0][0] == "refused" and "runs another program" in said[0][1], str(said))
        found = c.wait_for("events-suppressed")[0]["nestbox"]["collector"]["suppressed"]
        require(found["uid"] == str(UID) and found["count"] >= 1 and "runs another program" in found["last"], str(found))
        require(not c.records("sandbox-start"), "an invented record was taken")
    with collector(live, "--any-executable") as c:  # the attack without the defence; what it then counts for
        said = c.said("invent")
        require([s[0] for s in said] == ["hello", "placed", "placed"], str(said))
        start = c.records("sandbox-start")[0]["nestbox"]
        require(start["trust"] == "same-uid" and start["attested"]["uid"] == str(UID), str(start))
        require(start["claimed_attested"]["uid"] == "0" and "init_pid" not in start["attested"], str(start))
        require(start["attested"]["executable"] == os.path.realpath(sys.executable), str(start["attested"]))
        c.verified()


LIES = {"user": "user.id", "process": "process.pid", "past": "@timestamp", "future": "@timestamp", "begin": "event.start",
        "chain": "odd", "collector": "odd", "twice": "odd", "closed": "odd", "broken": "odd", "escape": "control characters",
        "newline": "control characters", "bidi": "control characters", "long": "no message", "other-box": "not about the box",
        "sandbox-lost": "may not give", "chain-anchor": "may not give", "config-loaded": "not open",
        "end-as-start": "may not give", "sandbox-end": "not open", "sandbox-kill": "not open", "number": "before it was greeted",
        "no-message": "no message"}


def case_lies(live):
    with collector(live, "--any-executable", "--rate", "1000") as c:
        said = {s[0]: s[1:] for s in c.said("lie")}
        require(said.keys() == LIES.keys(), str(said.keys()))
        for name, words in LIES.items():
            require(said[name][0] == "refused" and words in said[name][1], f"{name}: {said[name]}")
        require(not [r for r in c.records() if r["event"]["action"] in ("sandbox-start", "sandbox-end", "sandbox-lost")], "taken")
        said = c.said("through-a-child")
        require(said[0][1] == "refused" and "another process" in said[0][2], str(said))
        c.verified()


def case_end_of_anothers_box(live):
    with collector(live, "--any-executable") as c:
        read, write = os.pipe()
        victim = c.peer("begin-and-wait", preexec_fn=lambda: os.dup2(read, 3), close_fds=False)
        word, _, box, begin = json.loads(victim.stdout.readline())
        require(word == "placed", word)
        again = json.loads(victim.stdout.readline())
        require(again[0] == "refused" and "has begun a box" in again[1], str(again))
        for uid in (UID, UID + 1):
            said = {s[0]: s for s in c.said("end-another", box, begin, uid=uid)}
            require(said["sandbox-end"][1] == "refused" and "did not begin" in said["sandbox-end"][2], str(said))
            require(said["sandbox-start"][1] == "refused", str(said))
            require(said["sandbox-kill"][1] == ("placed" if uid == UID else "refused"), str(said))
        require(not c.records("sandbox-end", "sandbox-lost"), "the box was ended")
        os.close(write)
        os.close(read)
        victim.wait(60)
        victim.stdout.close()
        victim.stderr.close()
        lost = c.wait_for("sandbox-lost")[0]
        require(lost["nestbox"]["id"] == box and lost["nestbox"]["exit"]["kind"] == "lost", str(lost))
        c.verified()


def case_queued_before_the_launcher(live):
    """A program that queues a record and then executes the launcher, which the collector would believe."""
    with collector(live) as c:
        c.process.send_signal(signal.SIGSTOP)
        peer = c.peer("queue-then-exec", live.nestbox, "exec", "--policy", c.policy(), live.image, "true")
        for _ in range(600):
            if os.path.realpath(f"/proc/{peer.pid}/exe") == os.path.realpath(live.nestbox):
                break
            time.sleep(0.05)
        c.process.send_signal(signal.SIGCONT)
        out, err = peer.communicate(timeout=60)
        require(peer.returncode == 0, f"{out} {err}")
        require([r["process"]["args"] for r in c.records("sandbox-start")] == [["true"]], "what was queued was taken")
        require("before it was greeted" in c.wait_for("events-suppressed")[0]["nestbox"]["collector"]["suppressed"]["last"], "not told")


def case_traced_launcher(live):
    """Who traces a process of his own decides what it says."""
    with collector(live) as c:
        libc, policy = ctypes.CDLL(None, use_errno=True), c.policy()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 2)
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            libc.ptrace(0, 0, None, None)
            os.execv(live.nestbox, [live.nestbox, "exec", "--policy", policy, live.image, "true"])
        os.close(write)
        while True:
            pid, status = os.waitpid(child, 0)
            if not os.WIFSTOPPED(status):
                break
            number = os.WSTOPSIG(status)
            libc.ptrace(7, pid, None, ctypes.c_void_p(0 if number == signal.SIGTRAP else number))
        with os.fdopen(read, errors="replace") as stream:
            text = stream.read()
        require(os.WEXITSTATUS(status) == 125 and "is traced" in text, f"{status} {text}")
        require(not c.records("sandbox-start"), "a traced launcher was believed")


def case_payload_speaks(live):
    """From inside a box, with the socket mounted there, even where any program may send."""
    with collector(live, "--any-executable") as c:
        with open(PEER, "rb") as script:
            done = subprocess.run(live.command("exec", "--policy", c.policy(), "--bind", os.path.dirname(c.socket) + ":/tmp", "/",
                                               "/usr/bin/python3", "-", "/tmp/c.sock", "invent"), stdin=script,
                                  capture_output=True, text=True, check=False, timeout=60, env=live.env, cwd="/")
        said = [json.loads(line) for line in done.stdout.splitlines()]
        require(said and said[0][0] == "refused" and "namespace" in said[0][1], f"{done}")
        require(len(c.records("sandbox-start")) == 1, "a payload was believed")


def case_flood(live):
    with collector(live, "--any-executable", "--rate", "5") as c:
        flooder = c.peer("flood", 3000)
        for _ in range(3):  # another user's boxes meanwhile
            done = subprocess.run([live.nestbox, "exec", "--policy", c.policy(), "--user", "2002:2002", live.image, "true"],
                                  capture_output=True, text=True, check=False, timeout=60)
            ended(done, 0)
        out, err = flooder.communicate(timeout=200)
        taken, refused = json.loads(out)
        require(taken >= 1 and refused > 10 * taken and err == b"", f"{taken} {refused} {err}")
        told = sum(r["nestbox"]["collector"]["suppressed"]["count"] for r in c.own("events-suppressed"))
        require(told <= refused, f"{told} {refused}")
        c.end()
        told = [r["nestbox"]["collector"]["suppressed"] for r in c.own("events-suppressed")]
        require(sum(t["count"] for t in told) == refused and len(told) < 100, f"{told} {refused}")
        require(len([r for r in c.records("sandbox-start") if r["user"]["id"] == str(UID)]) == taken, str(taken))
        c.verified()


def case_peers_that_hang(live):
    with collector(live, "--any-executable", "--rate", "10000") as c:
        read, write = os.pipe()
        hanging = c.peer("hang", 400, preexec_fn=lambda: os.dup2(read, 3), close_fds=False)
        require(json.loads(hanging.stdout.readline())[0] == 400, "not all could try")
        done = subprocess.run([live.nestbox, "exec", "--policy", c.policy(), "--user", "2002:2002", live.image, "true"],
                              capture_output=True, text=True, check=False, timeout=60)
        ended(done, 0)
        fds = len(os.listdir(f"/proc/{c.process.pid}/fd"))
        require(fds < 280, f"{fds} descriptors for one user")
        os.close(write)
        os.close(read)
        hanging.communicate(timeout=60)


def case_descriptors_and_halves(live):
    """What a message brings along stays with its sender; one that is not whole is no record."""
    with collector(live, "--any-executable", "--rate", "1000") as c:
        before = len(os.listdir(f"/proc/{c.process.pid}/fd"))
        said = c.said("descriptors", 20)
        require(said == [[20]], f"with descriptors it is a record all the same: {said}")
        for _ in range(100):
            if len(os.listdir(f"/proc/{c.process.pid}/fd")) <= before:
                break
            time.sleep(0.05)
        require(len(os.listdir(f"/proc/{c.process.pid}/fd")) <= before, "descriptors of a peer are still open")
        for name, word, *_ in c.said("halves"):
            require(word in ("refused", "gone"), f"{name}: {word}")
        require(len(c.records("sandbox-start")) == 20, "half a record was taken")
        ended(c.sh(":"), 0)
        c.verified()


def started(live, c, script="sleep 1000"):
    """A keeper with a box that runs."""
    before = len(c.records("sandbox-start"))
    keeper = live.start("exec", "--policy", c.policy(), live.image, "sh", "-c", script)
    c.wait_for("sandbox-start", before + 1)
    return keeper


def finished(keeper):
    keeper.communicate(timeout=60)
    return keeper.returncode


def box_of(record):
    return record["nestbox"]["id"]


def sweep(c, box):
    """The next starts take away the cgroups that a killed keeper left, once the kernel has ended what was in them."""
    for _ in range(100):
        ended(c.sh(":"), 0)
        if not glob.glob(f"/sys/fs/cgroup/**/nestbox-{box}", recursive=True):
            return
        time.sleep(0.05)


def case_killed_keeper_is_lost(live):
    with collector(live) as c:
        keeper = started(live, c)
        box = c.records("sandbox-start")[0]["nestbox"]["id"]
        pid = c.records("sandbox-start")[0]["process"]["pid"]
        os.kill(pid, signal.SIGKILL)
        finished(keeper)
        lost = c.wait_for("sandbox-lost")
        require(len(lost) == 1 and lost[0]["nestbox"]["id"] == box and lost[0]["nestbox"]["trust"] == "collector", str(lost))
        require(not c.records("sandbox-end"), "there is an end")
        c.verified()
        sweep(c, box_of(lost[0]))


def case_killed_collector(live):
    """The keeper of a box that was begun before finds the next collector, and one that died meanwhile is lost."""
    with collector(live) as c:
        keeper, other = started(live, c), started(live, c)
        pids = [r["process"]["pid"] for r in c.records("sandbox-start")]
        c.end(signal.SIGKILL)
        os.kill(pids[1], signal.SIGKILL)
        finished(other)
        c.start()
        lost = c.wait_for("sandbox-lost")
        require([r["process"]["pid"] for r in lost] == [pids[1]], str(lost))
        os.kill(pids[0], signal.SIGTERM)
        finished(keeper)
        end = c.wait_for("sandbox-end")[0]
        require(end["process"]["pid"] == pids[0] and end["nestbox"]["attested"]["reconnected"] is True, str(end["nestbox"]))
        c.verified()
        c.end(signal.SIGKILL)
        c.start()
        require(len(c.records("sandbox-lost")) == 1 and len(c.records("sandbox-end")) == 1, "the boxes are still open")
        sweep(c, box_of(lost[0]))


def case_signals(live):
    with collector(live) as c:
        ended(c.sh(":"), 0)
        c.process.send_signal(signal.SIGHUP)
        c.wait_for("config-loaded", 2)
        ended(c.sh(":"), 0)
        require(len(glob.glob(c.log + "/audit-collector.jsonl*")) == 2, str(os.listdir(c.log)))
        require(c.end() == "" and c.process.returncode == 0, str(c.process.returncode))
        c.start()
        require(len(c.records("sandbox-end")) == 2, "records are gone")
        c.verified()


def case_one_at_a_time(live):
    with collector(live) as c:
        for words in (["--socket", c.socket, "--log", c.log + "2"], ["--socket", c.socket + "2", "--log", c.log]):
            done = subprocess.run([live.nestbox, "collect", "--user", str(OWNER), *words], capture_output=True, text=True,
                                  check=False, timeout=60)
            require(done.returncode == 125 and ("another process listens" in done.stderr or "another audit" in done.stderr), str(done))
        done = subprocess.run(["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", live.nestbox, "collect", "--socket",
                               c.socket + "3", "--log", c.log + "3"], capture_output=True, text=True, check=False, timeout=60)
        ended(done, 125, "root's to start")


def case_listener_that_is_not_root(live):
    """Somebody else's socket in the collector's place gets no record."""
    place = live.path(f"false-{uuid.uuid4().hex[:8]}")
    os.mkdir(place)
    os.chown(place, 2003, 2003)
    code = ("import socket,sys,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET); s.bind(sys.argv[1]); s.listen(9);"
            "import os; os.chmod(sys.argv[1],0o666); print(flush=True); c=s.accept()[0]; print(c.recv(99999), flush=True)")
    false = subprocess.Popen(["setpriv", "--reuid", "2003", "--regid", "2003", "--clear-groups", sys.executable, "-c", code, place + "/s"],
                             stdout=subprocess.PIPE)
    false.stdout.readline()
    policy = place + ".json"
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "base": "none", "audit": {"sinks": [{"type": "collector", "path": place + "/s"}],
                                                           "on_failure": "refuse"}}, stream)
    ended(live.sh("echo RAN", "--policy", policy), 125, "not root")
    require(false.communicate(timeout=60)[0] == b"b''\n", "it got something")
