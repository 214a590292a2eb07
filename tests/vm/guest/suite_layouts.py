# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 where a limit can't be set, or only by a detour: said in a sentence, never passed over in silence."""
import cgroups
import worker
from check import each, expect, expect_equal, test
from worker import JOB_UID, LIMITS, in_mounts, limited, nestbox, refused, run

OWN_MOUNT = 'umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
READ_ONLY = 'mount -o remount,bind,ro /sys/fs/cgroup && exec "$@"'


@test
def nothing_delegated():
    where = worker.place('undelegated', JOB_UID)
    refused(run(nestbox('echo', 'ran', options=LIMITS), JOB_UID, where), 'memory', 'delegate')
    expect_equal(where.left_behind(), [], 'cgroups left behind')


@test
def nothing_delegated_and_nothing_asked():
    """Without a limit asked for on the command line the box runs, and the record says that none is in force."""
    where = worker.place('undelegated', JOB_UID)
    result = run(nestbox('echo', 'ran'), JOB_UID, where)
    expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
    effective = worker.record('sandbox-start')['nestbox']['effective']
    expect_equal(effective['limits'], {}, 'limits in force')


@each([JOB_UID, 0])
def read_only_cgroups(uid):
    where = worker.place('scope', uid)
    refused(run(in_mounts(READ_ONLY, nestbox('echo', 'ran', options=LIMITS), uid), 0, where), 'memory')
    expect_equal(where.left_behind(), [], 'cgroups left behind')


@each([JOB_UID, 0])
def controller_missing(uid):
    """The delegated subtree has pids and not memory."""
    where = worker.place('scope', uid)
    cgroups.write(f'{where.tops[0]}/cgroup.subtree_control', '-memory')
    refused(run(nestbox('echo', 'ran', options=LIMITS), uid, where), 'memory')
    expect_equal(where.left_behind(), [], 'cgroups left behind')
    result = run(nestbox('echo', 'ran', options=['--pids-limit', '20']), uid, where)
    expect_equal((result.code, result.out), (0, 'ran\n'), result.said())


@test
def private_namespace_by_entrypoint():
    """A container with its own cgroup namespace whose start-up moved itself aside and delegated to the job's user."""
    where = worker.place('undelegated', JOB_UID)
    prepare = ('mkdir /sys/fs/cgroup/start && echo 0 >/sys/fs/cgroup/start/cgroup.procs && '
               'echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control && '
               'chown 1234 /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/cgroup.subtree_control && exec "$@"')
    script = OWN_MOUNT.replace('exec "$@"', prepare)
    limited(run(in_mounts(script, worker.LIMITED, JOB_UID, '-C'), 0, where))
    left = [group for group in where.left_behind() if not group.endswith('/start')]
    expect_equal(left, [], 'cgroups left behind')


@test
def private_namespace_untouched():
    """The same container without a start-up of its own: its root is where nestbox, as root, sits."""
    where = worker.place('undelegated', 0)
    limited(run(in_mounts(OWN_MOUNT, worker.LIMITED, 0, '-C'), 0, where))
    left = [group for group in where.left_behind() if not group.endswith('/keeper')]
    expect_equal(left, [], 'cgroups left behind')
