# SPDX-License-Identifier: Apache-2.0
"""`nestbox enter`: a command in a running box has what the payload has, and no more; who asked is recorded."""
import json
import os
import signal
import subprocess
import time

from box import ended, refused, require
from cases_limits import Delegated
from cases_registry import asked, files, started
from typist import Typist

FIELDS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters")
SHOW = "grep -E '^(" + "|".join(FIELDS) + "):' /proc/self/status; " \
       "for n in user pid mnt ipc uts net cgroup; do busybox readlink /proc/self/ns/$n; done; " \
       "cat /proc/self/cgroup; busybox readlink /proc/self/cwd; ulimit -c; "


class Box:
    """A box that lives until it is left."""

    def __init__(self, live, script="exec sleep 1000", *options):
        self.live, self.options, self.script = live, options, script

    def __enter__(self):
        self.process, self.entry = started(self.live, "echo up; " + self.script, *self.options)
        self.id = self.entry["id"]
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def run(self, *command, **how):
        return self.live.run("enter", self.id, *command, **how)


def records(live, box, action):
    return [r for r in asked(live, box) if r["event"]["action"] == action]


def case_same_as_the_payload(live):
    """Ids, capabilities, filter, namespaces, cgroups, directory: line by line what the payload itself sees."""
    for profile in ("nested", "strict"):
        payload = live.sh(SHOW, "--profile", profile).stdout
        with Delegated(live):
            with Box(live, "(" + SHOW + ") >/tmp/seen; echo seen; exec sleep 1000", "--profile", profile, "--memory", "64MiB") as box:
                require(box.process.stdout.readline() == b"seen\n", "no payload")
                done = box.run("sh", "-c", "cat /tmp/seen; echo ----; " + SHOW)
        ended(done, 0)
        of_payload, _, of_entered = done.stdout.partition("----\n")
        require(of_payload == of_entered and "Seccomp:\t2" in of_entered and of_entered.count(':[') == 7,
                f"{profile}:\n{of_payload}\n{of_entered}\n{payload}")


def wait_listed(live, keeper):
    for _ in range(200):
        done = live.run("ps", "--json")
        for line in done.stdout.splitlines():
            if json.loads(line).get("keeper_pid") == keeper:
                return json.loads(line)
        time.sleep(0.02)
    raise AssertionError("not listed")


def case_ends_exactly(live):
    with Box(live) as box:
        for code in (0, 1, 42, 125, 255):
            ended(box.run("sh", "-c", f"exit {code}"), code)
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1):
            ended(box.run("sh", "-c", f"kill -{int(number)} $$"), -number)
        ended(box.run("no-such-command"), 127, "cannot execute no-such-command")
        ended(box.run("/proc/version"), 126, "cannot execute")
        refused(live.run("enter", "--pwd", "/nowhere", box.id, "true"), "working directory /nowhere")
        ended(live.run("enter", "--pwd", "/tmp", box.id, "sh", "-c", "pwd"), 0, "/tmp")
        require(box.process.poll() is None, "the box ended with them")


def case_environment_is_the_boxes(live):
    with Box(live, "exec sleep 1000", "--env", "OF_THE_BOX=yes") as box:
        done = box.run("env", env=dict(live.env, OF_THE_CALLER="no", LD_PRELOAD="/evil.so", PATH="/usr/bin:/bin", TERM="x"))
        ended(done, 0, "OF_THE_BOX=yes")
        require("OF_THE_CALLER" not in done.stdout and "LD_PRELOAD" not in done.stdout and "TERM=" not in done.stdout, done.stdout)


def case_input_and_output(live):
    with Box(live) as box:
        done = box.run("cat", stdin=None, input="through\n" * 100000)
        require(done.returncode == 0 and done.stdout == "through\n" * 100000, f"{done.returncode} {len(done.stdout)}")


def case_signals_arrive(live):
    with Box(live) as box:
        process = live.start("enter", box.id, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
        require(process.stdout.readline() == b"ready\n", "no command")
        process.terminate()
        require(process.wait(60) == 9, f"{process.returncode}")
        require(box.process.poll() is None, "the payload got it too")


def gone(live, box, marker):
    for _ in range(400):
        done = box.run("sh", "-c", "busybox ps")
        if marker not in done.stdout:
            return True
        time.sleep(0.05)
    return False


def case_ends_with_who_asked(live):
    with Box(live) as box:
        process = live.start("enter", box.id, "sh", "-c", "echo ready; exec sleep 4242")
        require(process.stdout.readline() == b"ready\n", "no command")
        process.kill()
        process.wait()
        require(gone(live, box, "sleep 4242"), "the command outlived who asked for it")


def case_dies_with_the_box(live):
    for how in ("payload", "keeper"):
        with Box(live) as box:
            process = live.start("enter", box.id, "sh", "-c", "trap '' HUP TERM; echo ready; while :; do sleep 1000; done")
            require(process.stdout.readline() == b"ready\n", "no command")
            box.process.send_signal(signal.SIGTERM if how == "payload" else signal.SIGKILL)
            require(process.wait(60) == -signal.SIGKILL, f"{how}: {process.returncode}")
            box.process.wait(60)
            if how == "payload":
                left = records(live, box.id, "sandbox-leave")
                require(len(left) == 1 and left[0]["nestbox"]["exit"]["signal"] == 9, str(left))
    for _ in range(10):  # the next starts take away what a killed keeper could not
        ended(live.sh("exit 0"), 0)
    require(not [f for f in files(live) if box.id in f], "its file or its door is left")


def case_recorded(live):
    with Box(live) as box:
        process = live.start("enter", box.id, "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done", "odd \x1b[31m argument")
        require(process.stdout.readline() == b"ready\n", "no command")
        begun = records(live, box.id, "sandbox-enter")
        require(len(begun) == 1 and not records(live, box.id, "sandbox-leave"), "not recorded before its first instruction")
        process.terminate()
        process.wait(60)
        left = records(live, box.id, "sandbox-leave")
    entered = begun[0]["nestbox"]["entered"]
    uid = 0 if live.caller.is_root else live.caller.payload_uid
    require(entered == {"number": 1, "by_uid": str(uid), "by_pid": str(process.pid), "terminal": False}, str(entered))
    require(begun[0]["process"]["args"][-1] == "odd \x1b[31m argument" and begun[0]["process"]["args_count"] == 4, str(begun))
    require(left[0]["process"]["exit_code"] == 5 and left[0]["event"]["outcome"] == "failure", str(left))
    require(left[0]["nestbox"]["entered"] == entered, str(left))


def case_counts_for_the_limits(live):
    """What joins is in the box's cgroups: its memory and its tasks count."""
    with Delegated(live):
        with Box(live, "exec sleep 1000", "--memory", "64MiB", "--pids-limit", "20") as box:
            done = box.run("sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i+1)); done; exit 3")
            require(done.returncode != 0 and "fork" in done.stderr, f"{done.returncode} {done.stderr}")
        with Box(live, "exec sleep 1000", "--memory", "64MiB") as box:
            done = box.run("sh", "-c", "busybox dd if=/dev/zero of=/dev/null bs=200M count=1; exit 3")
            require(done.returncode != 0 and box.process.poll() is None, f"{done.returncode} {done.stderr}")


def case_terminal_of_its_own(live):
    with Box(live) as box:
        with Typist(live, "enter", box.id, env={"PS1": "no$ "}) as at:
            at.type("PS1='in$ '; echo re''ady\n")
            at.wait_for("ready")
            said = at.ask("busybox tty; busybox stty size; echo term=$TERM; test -t 0 -a -t 1 -a -t 2 && echo all")
            require("/dev/pts/0" in said and "31 97" in said and "term=dumb" in said and "all" in said, said)
            require(at.is_raw(), "not raw")
            at.type("sleep 1000\n")
            at.running("sleep", box.process.pid)
            at.type("\x1a")
            at.wait_for("Stopped")
            at.type("fg\n")
            at.wait_for("sleep 1000\r\n")
            at.running("sleep", box.process.pid)
            at.type("\x03")
            at.wait_for("in$ ")
            at.type("exit 21\n")
            require(at.end() == 21 and at.restored(), f"{at.process.returncode} {at.seen!r}")
        require(records(live, box.id, "sandbox-enter")[0]["nestbox"]["entered"]["terminal"] is True, "not recorded")
        with Typist(live, "enter", box.id, "sh", "-c", "echo up; exec sleep 1000") as at:
            at.wait_for("up")
            at.wait_until_raw()
            box.process.terminate()
            require(at.end() == -signal.SIGKILL and at.restored(), f"{at.process.returncode}")


def blocks(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as stream:
        blocked = [line.split()[1] for line in stream if line.startswith("SigBlk:")]
    return bool(int(blocked[0], 16) >> (number - 1) & 1)


def case_who_asks_can_give_up(live):
    """Pid 1 is stopped and answers nothing: whoever waits for it ends by a signal."""
    with Box(live) as box:
        os.kill(box.entry["init_pid"], signal.SIGSTOP)
        try:
            process = live.start("enter", box.id, "touch", "/tmp/entered")
            for _ in range(1500):
                if blocks(process.pid, signal.SIGTERM):
                    break
                time.sleep(0.02)
            process.terminate()
            process.wait(60)  # pid 1 has the other ends of its pipes, so these have no end yet
            said = process.stderr.readline()
            require(process.returncode == 125 and b"before box " in said, f"{process.returncode} {said}")
        finally:
            os.kill(box.entry["init_pid"], signal.SIGCONT)


def case_background_keeps_no_terminal(live):
    """The command ends; what it left behind holds its terminal, and nobody waits for that."""
    with Box(live) as box:
        with Typist(live, "enter", box.id, "sh", "-c", "trap '' HUP; sleep 1000 & echo started") as at:
            require(at.end() == 0 and b"started" in at.seen and at.restored(), f"{at.process.returncode} {at.seen!r}")


def case_many_join(live):
    with Box(live) as box:
        all_of = [live.start("enter", box.id, "sh", "-c", "echo ready; exec sleep 1000") for _ in range(16)]
        for one in all_of:
            require(one.stdout.readline() == b"ready\n", "no command")
        refused(box.run("true"), "16 commands have joined")
        all_of[0].terminate()
        all_of[0].wait()
        for _ in range(200):
            if box.run("true").returncode == 0:
                break
            time.sleep(0.02)
        else:
            raise AssertionError("no place came free")
        for one in all_of[1:]:
            one.terminate()
        require({one.wait(60) for one in all_of} == {-signal.SIGTERM}, "ends")


def case_box_in_a_job(live):
    """A job's box, by the wrapper, is entered like any other; PATH is searched for the entered command."""
    if live.caller.name != "user":
        return
    process = subprocess.Popen(live.command("wrap", "/bin/sh", "-c", "echo up; exec sleep 1000"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, env=live.env, cwd="/")
    require(process.stdout.readline() == b"up\n", "no start")
    box = wait_listed(live, process.pid)
    ended(live.run("enter", box["id"], "id", "-u"), 0, str(live.caller.payload_uid))
    process.terminate()
    process.wait()


def case_nothing_to_enter(live):
    refused(live.run("enter"), "nestbox enter ID")
    refused(live.run("enter", "no-such-box"), "no running box")
    refused(live.run("enter", "--colour", "x"), "--colour")
    refused(live.run("enter", "--pwd", "relative", "x"), "--pwd")
