# SPDX-License-Identifier: Apache-2.0
"""Real receivers: systemd-journald and rsyslog, as the distribution has them, with the configuration that is shipped."""
import glob
import json
import os
import shutil
import socket
import subprocess
import time

import cases_sinks
from box import Skip, ended, require

SHARE = "share/doc/nestbox/examples"
JOURNALD = "/lib/systemd/systemd-journald"


def wait_for(what, condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited a minute for {what}")


def end(process):
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def case_real_journald(live):
    if not os.access(JOURNALD, os.X_OK) or not shutil.which("journalctl"):
        raise Skip("systemd-journald")
    run, directory = cases_sinks.fresh(live), cases_sinks.logs(live)
    at = os.path.join(run, "systemd/journal/socket")
    os.makedirs(os.path.join(run, "log/journal"))
    os.makedirs(os.path.dirname(at))
    if not os.path.exists("/etc/machine-id"):
        raise Skip("/etc/machine-id")
    # with a /run of its own
    journald = subprocess.Popen(["unshare", "-m", "sh", "-c", f'mount --bind "{run}" /run && exec {JOURNALD}'], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("journald", lambda: os.path.exists(at))
        policy = cases_sinks.policy(live, [{"type": "journald", "path": at}, {"type": "file", "path": directory}])
        for n in range(3):
            ended(cases_sinks.box(live, policy, str(n), *["x" * 1000] * 11), 0)
        journal = ["journalctl", "-D", os.path.join(run, "log/journal"), "SYSLOG_IDENTIFIER=nestbox"]
        written = b""

        def all_there():
            nonlocal written
            written = subprocess.run([*journal, "-o", "export"], capture_output=True, check=False).stdout
            return written.count(b"\nNESTBOX_RECORD=") >= len(cases_sinks.lines(directory, live)) + 1
        wait_for("the journal", all_there)
        for form in (["export"], ["json", "--all"]):
            copy = os.path.join(run, form[0])
            with open(copy, "wb") as out:
                subprocess.run([*journal, "-o", *form], stdout=out, check=True)
            done = subprocess.run([live.nestbox, "audit", "verify", "--from", directory, "--against", copy], capture_output=True, text=True, check=False)
            ended(done, 0, "7 records checked against 7 copies: all fit")
        done = subprocess.run([*journal, "-o", "json"], capture_output=True, text=True, check=True)
        uid = str(0 if live.caller.is_root else live.caller.payload_uid)
        require({json.loads(line)["_UID"] for line in done.stdout.splitlines()} == {uid}, "journald saw another uid")
    finally:
        end(journald)


def rsyslog(live, name, directory, changes):
    example = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(live.nestbox))), SHARE, f"rsyslog-{name}.conf")
    with open(example, encoding="utf-8") as stream:
        text = stream.read()
    for old, new in changes.items():
        require(old in text, f"{old} is not in {example}")
        text = text.replace(old, new)
    config = os.path.join(directory, f"{name}.conf")
    with open(config, "w", encoding="utf-8") as stream:
        stream.write(text.replace("global(", f'global(workDirectory="{directory}" ', 1))
    done = subprocess.run(["rsyslogd", "-N1", "-f", config], capture_output=True, text=True, check=False)
    require(done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr)
    return subprocess.Popen(["rsyslogd", "-n", "-f", config, "-i", os.path.join(directory, f"{name}.pid")], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def case_collected_by_rsyslog(live):
    """From the worker's rsyslog over TCP to another, which is away for a while: nothing lost, nothing altered, found there."""
    if not shutil.which("rsyslogd"):
        raise Skip("rsyslogd")
    directory, central, worker = cases_sinks.logs(live), cases_sinks.fresh(live), cases_sinks.fresh(live)
    port, at = free_port(), os.path.join(worker, "log")
    to_worker = {"/run/nestbox/log": at, "collector.example.org": "127.0.0.1", '"6514"': f'"{port}"', 'module(load="imuxsock")':
                 'module(load="imuxsock" SysSock.Use="off")', 'action.resumeRetryCount="-1"': 'action.resumeRetryCount="-1" action.resumeInterval="1"'}
    to_central = {"/var/log/nestbox-central": os.path.join(central, "collected"), '"6514"': f'"{port}"'}
    running = [rsyslog(live, "worker", worker, to_worker)]
    try:
        wait_for("the worker's rsyslog", lambda: os.path.exists(at))
        policy = cases_sinks.policy(live, [{"type": "file", "path": directory}, {"type": "syslog", "path": at, "max_size": "64KiB"}])
        ended(cases_sinks.box(live, policy, "nobody listens yet"), 0)
        running.append(rsyslog(live, "central", central, to_central))
        for n in range(3):
            ended(cases_sinks.box(live, policy, str(n), 'ü "q" \\ ]', *["x" * 1000] * 11), 0)
        name = os.path.basename(glob.glob(os.path.join(directory, "audit-*.jsonl"))[0])
        with open(os.path.join(directory, name), "rb") as stream:
            written = stream.read()

        def collected():
            return b"".join(open(path, "rb").read() for path in sorted(glob.glob(os.path.join(central, "collected/*/*.jsonl"))))
        # What was on its way when the connection broke is sent again: the same record, with the same hash.
        wait_for("the collected records", lambda: set(collected().splitlines()) >= set(written.splitlines()))
        require(set(collected().splitlines()) == set(written.splitlines()), "what was collected is not what was written")
        require(len(max(written.splitlines(), key=len)) > 8192, "no record over the usual limit")
        box = json.loads(written.splitlines()[-1])["nestbox"]["id"]
        found = subprocess.run([live.nestbox, "audit", "find", "--from", os.path.join(central, "collected"), "--id", box, "--json"],
                               capture_output=True, text=True, check=False, env={**live.env, "HOME": central})
        ended(found, 0, box)
        done = subprocess.run([live.nestbox, "audit", "verify", "--from", directory, "--against", os.path.join(central, "collected")],
                              capture_output=True, text=True, check=False)
        ended(done, 0, "all fit")
    finally:
        for process in running:
            end(process)
