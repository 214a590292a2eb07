# SPDX-License-Identifier: Apache-2.0
"""The same events, asked of the tools that one would use otherwise: grep, ripgrep, jq, journalctl, ausearch.

What Debian has no package of here is left out by name. journalctl and ausearch get the records in their own formats first.
"""
import glob
import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timezone

HERE = os.path.dirname(os.path.abspath(__file__))
IMPORTED = 200000  # records in the journal at most: their import takes longer than all the rows


def unpacked(program, *packages):
    """A program's path and the environment it runs in: installed, or unpacked from Debian packages, of which no service is started."""
    found = shutil.which(program)
    if found:
        return found, {}
    tops = []
    for package in packages:
        done = subprocess.run([os.path.join(HERE, "../lib/unpacked"), package], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0:
            print(f"left out: {program}: {package}: {(done.stderr.strip().splitlines() or ['no such package'])[-1]}", flush=True)
            return None, {}
        tops.append(done.stdout.strip())
    below = [os.path.join(top, d) for top in tops for d in ("usr/bin", "usr/sbin", "bin", "sbin", "lib/systemd", "usr/lib/systemd")]
    path = shutil.which(program, path=":".join(below))
    libraries = [d for top in tops for d in glob.glob(top + "/usr/lib/*-linux-gnu*") + glob.glob(top + "/lib/*-linux-gnu*")]
    libraries += glob.glob("/usr/lib/*-linux-gnu*/systemd")
    return path, {"LD_LIBRARY_PATH": ":".join(libraries)}


def in_environment(environment, *argv):
    return ["/usr/bin/env", *(f"{k}={v}" for k, v in environment.items()), *argv]


def records_of(logs):
    for path in sorted(glob.glob(os.path.join(logs, "*", "*.jsonl*"))):
        with open(path, encoding="utf-8") as log:
            for line in log:
                record = json.loads(line)
                if "condor" in record:
                    yield record, line.rstrip("\n")


def seconds_of(record):
    """Since 1970, to the microsecond."""
    return datetime.fromisoformat(record["@timestamp"][:26]).replace(tzinfo=timezone.utc).timestamp()


def to_journal(record, line):
    """One entry of the journal's export format, with what the journald sink sends."""
    fields = {"__REALTIME_TIMESTAMP": int(seconds_of(record) * 1e6), "SYSLOG_IDENTIFIER": "nestbox", "PRIORITY": 6,
              "MESSAGE": f"nestbox {record['event']['action']}", "NESTBOX_ID": record["nestbox"]["id"],
              "NESTBOX_ACTION": record["event"]["action"], "NESTBOX_JOB": record["condor"]["global_job_id"],
              "NESTBOX_HASH": record["event"]["hash"], "NESTBOX_RECORD": line}
    return "".join(f"{k}={v}\n" for k, v in fields.items()) + "\n"


def to_audit(record, number):
    """What auditd would have written of the payload's execve(2), with the job as the rule's key."""
    at, user = seconds_of(record), record["user"]["id"]
    program = re.sub(r"[^ -!#-~]", "?", str(record["process"].get("executable", "/srv/job/payload")))
    return (f"type=SYSCALL msg=audit({at:.3f}:{number}): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=55d2 a3=8 items=2 "
            f"ppid={record['process'].get('parent', {}).get('pid', 1)} pid={record['process']['pid']} auid={user} uid={user} gid={user} euid={user} "
            f"suid={user} fsuid={user} egid={user} sgid={user} fsgid={user} tty=(none) ses=1 comm=\"payload\" exe=\"{program}\" "
            f"key=\"{record['condor']['global_job_id']}\"\n")


def journal(logs, top):
    """Every record as an entry of one journal: (journalctl's arguments, records), or None."""
    remote, environment = unpacked("systemd-journal-remote", "systemd-journal-remote", "libmicrohttpd12")
    if remote is None or not shutil.which("journalctl"):
        print("left out: journalctl: it, or systemd-journal-remote, is not there", flush=True)
        return None
    directory = os.path.join(top, "journal")
    os.makedirs(directory)
    with subprocess.Popen(in_environment(environment, remote, "-o", os.path.join(directory, "nestbox.journal"), "-"), stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, encoding="utf-8") as into:
        records = 0
        try:
            for record, line in records_of(logs):
                into.stdin.write(to_journal(record, line))
                records += 1
                if records == IMPORTED:
                    break
            into.stdin.close()
        except BrokenPipeError:
            pass
        errors = into.stderr.read()
    if into.returncode != 0:
        print(f"left out: journalctl: the import failed: {errors.strip()[-200:]}", flush=True)
        return None
    return [shutil.which("journalctl"), "-D", directory, "--quiet", "-o", "cat", "--output-fields=NESTBOX_RECORD"], records


def audit_file(logs, top):
    """The records as auditd's lines: (ausearch's arguments, records), or None."""
    ausearch, environment = unpacked("ausearch", "auditd", "libauparse0")
    if ausearch is None:
        return None
    path, records = os.path.join(top, "audit.log"), 0
    events = sorted((seconds_of(record), number, record) for number, (record, _) in enumerate(records_of(logs)))
    with open(path, "w", encoding="utf-8") as out:
        for records, (_, _, record) in enumerate(events, 1):
            out.write(to_audit(record, records))
    return in_environment(environment, ausearch, "--input", path), records


def must_find(argv, job, name):
    """A row of a tool that does not find the job would compare nothing."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if job.encode() in done.stdout:
        return True
    print(f"left out: {name}: it does not find the job: {done.stderr.decode(errors='replace').strip()[-200:]}", flush=True)
    return False


def commands(logs, top):
    """name -> (records, a function that makes the command for a job)"""
    found = {"grep -rF a job": (None, lambda job: ["/usr/bin/env", "LC_ALL=C", "grep", "-rhF", "--include=*.jsonl*", job, logs])}
    ripgrep, environment = unpacked("rg", "ripgrep")
    if ripgrep:
        found["ripgrep -F a job"] = (None, lambda job: in_environment(environment, ripgrep, "-F", "-I", "--no-ignore", job, logs))
    made = journal(logs, top)
    if made:
        found["journalctl NESTBOX_JOB=a job"] = (made[1], lambda job: [*made[0], f"NESTBOX_JOB={job}"])
    lines = audit_file(logs, top)
    if lines:
        found["ausearch --key a job"] = (lines[1], lambda job: [*lines[0], "--key", job])
    return found


def first_of(logs):
    return next(record for record, _ in records_of(logs))["condor"]["global_job_id"]


def peers(logs, top, rounds, interleaved):
    """Rows of one job's records, found by each; interleaved is the benchmark's own."""
    job = first_of(logs)
    questions = {"/bin/true": lambda n: ["/bin/true"]}
    for name, (records, command) in commands(logs, top).items():
        if must_find(command(job), job, name):
            name += f" (of {records} records)" if records else ""
            questions[name] = lambda n, argv=tuple(command(job)): list(argv)
    interleaved(questions, rounds)


def jq(logs, job, cpu, row):
    """So slow that a part tells enough."""
    if not shutil.which("jq"):
        print("left out: jq: it is not there", flush=True)
        return
    one = sorted(glob.glob(os.path.join(logs, "wn00*", "*.jsonl*")))
    wall, _ = cpu([shutil.which("jq"), "-c", f'select(.condor.global_job_id == "{job}")', *one])
    share = sum(map(os.path.getsize, one)) / sum(map(os.path.getsize, glob.glob(os.path.join(logs, "*", "*.jsonl*"))))
    row("jq select (extrapolated from a part)", wall / share, f"{share:.3f} of the logs took {wall:.0f} ms")
