# SPDX-License-Identifier: Apache-2.0
"""Starting programs in the guest as a user in a cgroup, nestbox among them, and reading what it wrote down."""
import dataclasses
import glob
import json
import os
import signal
import subprocess

import cgroups
from check import Failed, expect, expect_equal, expect_text

NESTBOX = os.environ.get('NESTBOX', '/usr/local/bin/nestbox')
LOAD = os.environ['NESTBOX_LOAD']
JOB_UID = 1234
HOME = '/home/job'
LOGS = ('/var/log/nestbox', f'{HOME}/.local/state/nestbox')
PIDS = 20
LIMITS = ['--memory', '64MiB', '--cpus', '0.5', '--pids-limit', str(PIDS)]
PLACES = []
STARTED = []


@dataclasses.dataclass
class Result:
    """How a command ended; code is negative for a signal."""
    code: int
    out: str
    err: str

    def said(self):
        return f'exit {self.code}, stdout {self.out[-200:]!r}, stderr {self.err[-600:]!r}'


def prepare():
    """The job's user has a home, and the site has made the directory of the audit logs."""
    os.makedirs(HOME, exist_ok=True)
    os.chown(HOME, JOB_UID, JOB_UID)
    os.makedirs(LOGS[0], exist_ok=True)
    os.chmod(LOGS[0], 0o1733)
    clean()  # the guest's tree is this machine's, with its logs


def place(shape, uid):
    made = cgroups.SHAPES[shape](uid)
    PLACES.append(made)
    return made


def clean():
    """After each test: what it started is ended, its cgroups and the audit records are gone."""
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()
    while PLACES:
        PLACES.pop().remove()
    for directory in LOGS:
        for path in glob.glob(f'{directory}/*.jsonl*'):
            os.unlink(path)


def load(name, *words):
    return [f'{LOAD}/{name}', *map(str, words)]


def nestbox(*words, image='/', options=()):
    return [NESTBOX, 'exec', *options, image, *words]


LIMITED = nestbox(*load('fork-many', 100), options=LIMITS)


def limited(result):
    """What LIMITED says where the limit on processes holds; it is one of them itself."""
    expect_equal((result.code, result.out.split('\n')[0]), (1, f'forked {PIDS - 1}'), result.said())


def refused(result, *parts):
    """nestbox could not make the box, said so in these words, and the payload (echo) never ran."""
    expect_equal((result.code, result.out), (125, ''), result.said())
    expect_text(result.err, *parts)


def in_mounts(script, argv, uid, *flags):
    """argv after the script, in a mount namespace of its own, as that user."""
    drop = ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups'] if uid else []
    return ['unshare', '-m', *flags, '--propagation', 'private', 'sh', '-c', script, 'sh', *drop, *argv]


def start(argv, uid=0, where=None, joins=None, more=None):
    """Popen of argv as that user, from within the place's cgroups, with an environment that has no secrets to keep."""
    joins = where.joins if where else (joins or [])

    def become():
        for path in joins:
            cgroups.write(f'{path}/cgroup.procs', 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)

    env = {'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': HOME if uid else '/root', 'LANG': 'C.UTF-8', **(more or {})}
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd='/',
                               env=env, text=True, preexec_fn=become)
    STARTED.append(process)
    return process


def finish(process, seconds=60):
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise Failed(f'{process.args}: still there after {seconds} s, said {late.output!r}') from late
    return Result(process.returncode, out, err)


def run(argv, uid=0, where=None, joins=None):
    return finish(start(argv, uid, where, joins))


def records():
    """The audit log, all users', in the order of its files."""
    found = []
    for directory in LOGS:
        for path in sorted(glob.glob(f'{directory}/*.jsonl')):
            with open(path, encoding='utf-8') as lines:
                found += [json.loads(line) for line in lines]
    return found


def record(action):
    """The last record of that action."""
    found = [r for r in records() if r['event']['action'] == action]
    expect(found, f'a {action} record in {LOGS}')
    return found[-1]


def descendants(pid):
    """Host process ids below pid, it excluded."""
    found, todo = [], [pid]
    while todo:
        for path in glob.glob(f'/proc/{todo.pop()}/task/*/children'):
            try:
                children = [int(word) for word in cgroups.read(path).split()]
            except OSError:
                continue
            found += children
            todo += children
    return found


def cgroup_of(pid):
    """The cgroup2 directory of a process, None when it has ended."""
    try:
        lines = cgroups.read(f'/proc/{pid}/cgroup').splitlines()
    except OSError:
        return None
    return next((cgroups.ROOT + line.removeprefix('0::') for line in lines if line.startswith('0::')), None)
