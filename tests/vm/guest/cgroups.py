# SPDX-License-Identifier: Apache-2.0
"""Cgroups as a worker has them: both shapes of HTCondor's delegation, a site's own, and what they look like afterwards."""
import errno
import os
import time

ROOT = '/sys/fs/cgroup'
CONTROLLERS = ('cpu', 'memory', 'pids')
V1_DIRS = {'cpu': 'cpu,cpuacct', 'memory': 'memory', 'pids': 'pids'}
MIB = 1 << 20


def is_v2():
    return os.path.exists(f'{ROOT}/cgroup.controllers')


def read(path):
    with open(path, encoding='ascii') as file:
        return file.read().strip()


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(str(text))


def make(path, controllers=()):
    """A cgroup, its parents included; controllers are handed down to its children."""
    os.makedirs(path, exist_ok=True)
    if controllers:
        write(f'{path}/cgroup.subtree_control', ' '.join(f'+{c}' for c in controllers))
    return path


def give(path, uid, files=('cgroup.procs', 'cgroup.subtree_control')):
    for name in ('.', *files):
        os.chown(f'{path}/{name}', uid, uid)


def below(path):
    """The cgroups below path and itself, deepest first."""
    return [entry[0] for entry in os.walk(path, topdown=False)]


def pids(path):
    return [int(line) for line in read(f'{path}/cgroup.procs').split()]


def remove(path):
    """Kills what is in it, as HTCondor's starter does, and removes it all."""
    if not os.path.isdir(path):
        return
    for group in below(path):
        for pid in pids(group):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
    for group in below(path):
        for _ in range(200):
            try:
                os.rmdir(group)
                break
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.01)


class Place:
    """Where a job starts: `join` are the cgroups that its first process enters, `tops` what was handed to its user."""

    def __init__(self, name, uid, joins, tops, removed):
        self.name, self.uid, self.joins, self.tops, self.removed = name, uid, joins, tops, removed
        self.before = self.tree()

    def tree(self):
        return sorted(group for top in self.tops for group in below(top))

    def left_behind(self):
        return [group for group in self.tree() if group not in self.before]

    def remove(self):
        for path in self.removed:
            remove(path)


def leaf(uid):
    """HTCondor 23.1 to 24.7: the job sits in the delegated leaf, which hands no controller down yet."""
    make(f'{ROOT}/htcondor', CONTROLLERS)
    path = make(f'{ROOT}/htcondor/condor_execute_slot1_1@worker')
    write(f'{path}/memory.max', 512 * MIB)
    write(f'{path}/memory.oom.group', 1)
    give(path, uid)
    return Place('leaf', uid, [path], [path], [f'{ROOT}/htcondor'])


def scope(uid):
    """HTCondor 24.8 and later: the job sits in a scope of root's, below the delegated slice."""
    make(f'{ROOT}/htcondor', CONTROLLERS)
    top = make(f'{ROOT}/htcondor/execute_slot1_1@worker.slice', CONTROLLERS)
    write(f'{top}/memory.max', 512 * MIB)
    write(f'{top}/memory.oom.group', 1)
    give(top, uid)
    own = make(f'{top}/execute_slot1_1@worker.scope')
    return Place('scope', uid, [own], [top], [f'{ROOT}/htcondor'])


def site(uid):
    """What the worker's start-up hands out itself: nestbox/UID beside the startd's own cgroup."""
    top = make(f'{ROOT}/worker', CONTROLLERS)
    give(top, 0, ('cgroup.procs',))
    os.chown(f'{top}/cgroup.procs', uid, uid)
    make(f'{top}/nestbox', CONTROLLERS)
    mine = make(f'{top}/nestbox/{uid}', CONTROLLERS)
    give(mine, uid, ('cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'))
    return Place('site', uid, [make(f'{top}/startd')], [mine], [top])


def undelegated(uid):
    """A slot whose cgroup is root's own: with limits, but nothing below it may be made."""
    make(f'{ROOT}/htcondor', CONTROLLERS)
    own = make(f'{ROOT}/htcondor/slot1')
    return Place('undelegated', uid, [own], [own], [f'{ROOT}/htcondor'])


def v1_condor(uid):
    """HTCondor on v1: the job's directory in each of its controllers is its user's, the files in it root's."""
    tops = []
    for directory in sorted(set(V1_DIRS.values())):
        if os.path.isdir(f'{ROOT}/{directory}'):
            tops.append(make(f'{ROOT}/{directory}/htcondor/condor_execute_slot1_1@worker'))
            os.chown(tops[-1], uid, uid)
    return Place('v1_condor', uid, tops, tops, [os.path.dirname(top) for top in tops])


SHAPES = {shape.__name__: shape for shape in (leaf, scope, site, undelegated, v1_condor)}
