# SPDX-License-Identifier: Apache-2.0
"""`nestbox delegate` on cgroup v2: what a container's start makes of its cgroups, for whom, and what it leaves alone."""
import os

import cgroups
import worker
from check import each, expect, expect_equal, expect_text, test
from worker import JOB_UID, LIMITED, NESTBOX, in_mounts, limited, nestbox, refused, run

OTHER_UID, GROUP = 1235, 2000
# A container with a cgroup namespace of its own; its start-up's words are $1.
CONTAINER = 'umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && eval "$1" && shift && exec "$@"'
HOSTS_TREE = 'eval "$1" && shift && exec "$@"'
HANDED = ('', '/cgroup.procs', '/cgroup.subtree_control', '/cgroup.threads')
HERE = '/sys/fs/cgroup'
DAEMON = '{ sleep 1000 >/dev/null 2>&1 & }'  # what else runs in a worker


def container(start, argv, where, script=CONTAINER, uid=0):
    """argv as that user, in a container whose start-up, as root, was that."""
    drop = ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups'] if uid else []
    return run(in_mounts(script, [start, *drop, *argv], 0, '-C'), 0, where)


def state(top, but=None):
    """Owner, group and mode of all below, and the processes, without what is below `but`."""
    found = {}
    for group, _, names in os.walk(top):
        if but and (group == but or group.startswith(but + '/')):
            continue
        for path in [group, *(f'{group}/{name}' for name in names)]:
            st = os.stat(path)
            found[path] = (st.st_uid, st.st_gid, st.st_mode)
        found[f'{group}: handed'] = cgroups.read(f'{group}/cgroup.subtree_control')
    return found


def owned(top):
    return {path.removeprefix(top): of[:2] for path, of in state(top).items() if path.startswith(f'{top}') and isinstance(of, tuple) and
            of[:2] != (0, 0)}


def own(where):
    return where.tops[0]


@each(['once', 'twice'])
def user(times):
    """The pool that runs as one user: his boxes have limits, and the container's own limit files stay root's."""
    where = worker.place('undelegated', JOB_UID)
    outside = state(cgroups.ROOT, own(where))
    start = ' && '.join([DAEMON] + [f'{NESTBOX} delegate --user {JOB_UID} >/dev/null'] * (1 + (times == 'twice')))
    limited(container(start, LIMITED, where, uid=JOB_UID))
    expect_equal(state(cgroups.ROOT, own(where)), outside, 'what is outside of the container')
    expect_equal(owned(own(where)), {leaf + name: (JOB_UID, 0) for leaf in ('', '/init') for name in HANDED}, 'handed over')
    expect({'cpu', 'memory', 'pids'} <= set(cgroups.read(f'{own(where)}/cgroup.subtree_control').split()), 'controllers')
    expect_equal(where.left_behind(), [f'{own(where)}/init'], 'cgroups')


@test
def group_of_slot_users():
    """Several slot users at once: whoever is in the group, and nobody else."""
    where = worker.place('undelegated', 0)
    start = f'{DAEMON} && {NESTBOX} delegate --group {GROUP} >/dev/null'
    job = 'setpriv --reuid=%d --regid=%d --groups=%d "$@"; '
    script = ''.join(job % (uid, uid, group) for uid, group in ((JOB_UID, GROUP), (OTHER_UID, GROUP), (1236, 1236)))
    result = container(start, ['sh', '-c', script, 'sh', *LIMITED], where)
    expect_equal(result.out.count(f'forked {worker.PIDS - 1}\n'), 2, result.said())
    expect_text(result.err, 'cannot limit memory', 'nestbox delegate')
    found = owned(own(where))
    expect_equal(found, {leaf + name: (0, GROUP) for leaf in ('', '/init') for name in HANDED}, 'handed over')


@each(['', f'--user {JOB_UID} --user {OTHER_UID}'])
def for_htcondors_root(users):
    """Nobody, or more than one: the controllers are handed down, which HTCondor's own delegation needs, and nothing is given."""
    where = worker.place('undelegated', 0)
    for group in (cgroups.ROOT, os.path.dirname(own(where))):
        cgroups.write(f'{group}/cgroup.subtree_control', '+io')
    result = container(f'{NESTBOX} delegate {users}', ['cat', f'{HERE}/cgroup.subtree_control', '/proc/self/cgroup'], where)
    expect_equal((result.code, result.err), (0, ''), result.said())
    expect_text(result.out, 'HTCondor delegates', '0::/init')
    expect({'cpu', 'memory', 'pids', 'io'} <= set(result.out.split()), result.out)
    expect_equal(owned(own(where)), {}, 'given away')


@test
def controllers_that_are_not_there():
    """cpuset without cpu: a name that begins like another's."""
    where = worker.place('undelegated', JOB_UID)
    cgroups.write(f'{cgroups.ROOT}/cgroup.subtree_control', '+cpuset')
    cgroups.write(f'{os.path.dirname(own(where))}/cgroup.subtree_control', '+cpuset -cpu')
    try:
        options = ['--memory', '64MiB', '--pids-limit', str(worker.PIDS)]
        job = nestbox(*worker.load('fork-many', 100), options=options)
        limited(container(f'{DAEMON} && {NESTBOX} delegate --user {JOB_UID} >/dev/null', job, where, uid=JOB_UID))
    finally:
        cgroups.write(f'{os.path.dirname(own(where))}/cgroup.subtree_control', '-cpuset +cpu')


@test
def kernels_root():
    """A worker that is no container: its processes, the kernel's among them, stay where they are."""
    before = cgroups.pids(cgroups.ROOT)
    result = run([NESTBOX, 'delegate'])
    expect_equal((result.code, result.err), (0, ''), result.said())
    expect(1 in before and set(before) - {os.getpid()} <= set(cgroups.pids(cgroups.ROOT)), f'{before} became {cgroups.pids(cgroups.ROOT)}')
    expect(not os.path.exists(f'{cgroups.ROOT}/init'), 'a cgroup was made')


@each([JOB_UID, 0])
def hosts_tree_is_left_alone(uid):
    """A cgroup namespace of its own and the host's cgroups on /sys/fs/cgroup: their root is not the container's."""
    where = worker.place('undelegated', 0)
    before = state(cgroups.ROOT)
    result = container('true', [NESTBOX, 'delegate', '--user', str(JOB_UID)], where, HOSTS_TREE)
    expect_equal(result.code, 125, result.said())
    expect_text(result.err, 'not visible')
    refused(container('true', nestbox('echo', 'ran', options=worker.LIMITS), where, HOSTS_TREE, uid=uid), 'memory', 'not visible')
    expect_equal(state(cgroups.ROOT), before, 'the host\'s cgroups')


@test
def many_processes_are_moved():
    """More than one reading of the list has; each number once, whole."""
    where = worker.place('undelegated', JOB_UID)
    start = (f'i=0; p=; while [ $i -lt 120 ]; do sleep 1000 >/dev/null 2>&1 & p="$p $!"; i=$((i+1)); done; {NESTBOX} delegate && '
             f'wc -l <{HERE}/init/cgroup.procs && wc -l <{HERE}/cgroup.procs; kill $p')
    result = container(start, ['true'], where)
    expect_equal(result.code, 0, result.said())
    moved, stayed = (int(word) for word in result.out.split()[-2:])
    expect(moved >= 120 and stayed == 0, result.said())
