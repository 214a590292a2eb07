# SPDX-License-Identifier: Apache-2.0
"""limits.required in every layout where a job's limits can't be set: refuse in a sentence, or run and write down what holds."""
import os

import cgroups
import worker
from check import each, expect, expect_equal, expect_text
from worker import JOB_UID, NESTBOX, in_mounts, nestbox, run

POLICY = f'{os.path.dirname(os.path.dirname(NESTBOX))}/etc/nestbox/policy.json'
SLOT = 256
MEMORY_LIMIT = ('memory_max', 'memory_limit_in_bytes')
V2 = cgroups.is_v2()
V1 = not V2 and os.path.isdir(f'{cgroups.ROOT}/pids')
READ_ONLY = ('for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mountpoint -q "$d" && mount -o remount,bind,ro "$d"; done; exec "$@"')


def policy(required):
    os.makedirs(os.path.dirname(POLICY), exist_ok=True)
    cgroups.write(POLICY, f'{{"version": 1, "limits": {{"required": {required}}}}}')


def undelegated(argv):
    """The job's user may make cgroups nowhere."""
    return run(argv, JOB_UID, worker.place('undelegated', JOB_UID) if V2 else None)


def read_only(argv):
    """The job's cgroups are its user's, and the worker container shows them read-only."""
    return run(in_mounts(READ_ONLY, argv, JOB_UID), 0, worker.place('scope' if V2 else 'v1_condor', JOB_UID))


def no_memory(argv):
    """All controllers but memory were handed to the job's user."""
    where = worker.place('scope' if V2 else 'v1_condor', JOB_UID)
    if V2:
        cgroups.write(f'{where.tops[0]}/cgroup.subtree_control', '-memory')
    for top in where.tops:
        if '/memory/' in top:
            os.chown(top, 0, 0)
    return run(argv, JOB_UID, where)


# Without any cgroup file system there is nothing to delegate either.
LAYOUTS = {layout.__name__: layout for layout in ((undelegated, read_only, no_memory) if V2 or V1 else (undelegated,))}


def perform(layout, required, argv):
    try:
        if required:
            policy(required)
        return LAYOUTS[layout](argv)
    finally:
        if os.path.exists(POLICY):
            os.unlink(POLICY)


def job():
    """A job with a slot, as HTCondor's starter runs it."""
    os.makedirs('/tmp/job', exist_ok=True)
    cgroups.write('/tmp/job/machine.ad', f'Cpus = 1\nMemory = {SLOT}\n')
    return ['env', '_CONDOR_MACHINE_AD=/tmp/job/machine.ad', NESTBOX, 'wrap', '/bin/echo', 'ran']


@each([(layout, required) for layout in LAYOUTS for required in ('', 'true')])
def job_is_refused(layout, required):
    worker.refused(perform(layout, required, job()), 'cannot limit memory', 'the site must act')
    expect_equal([r for r in worker.records() if r['event']['action'] == 'sandbox-start'], [], 'start records')


@each(LAYOUTS)
def job_runs_without(layout):
    """The site said so: the record tells what was wanted, and that memory is not limited."""
    result = perform(layout, 'false', job())
    expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
    found = worker.record('sandbox-start')['nestbox']
    expect_equal(int(found['requested']['memory_bytes']), (SLOT - SLOT // 16) << 20, 'requested.memory_bytes')
    limits = found['effective']['limits']
    expect(not set(MEMORY_LIMIT) & set(limits), f'effective limits {limits}')
    expect_equal('pids_max' in limits, layout == 'no_memory', f'a limit on tasks, which could be set, in {limits}')


@each(LAYOUTS)
def asked_for_is_refused(layout):
    """What a person asks for is refused whatever the policy says."""
    worker.refused(perform(layout, 'false', nestbox('echo', 'ran', options=['--memory', '64MiB'])), 'cannot limit memory')


@each(LAYOUTS)
def by_hand(layout):
    """A box without slot or request runs, unless the site wants its limits for all."""
    result = perform(layout, '', nestbox('echo', 'ran'))
    expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
    result = perform(layout, 'true', nestbox('echo', 'ran'))
    if layout == 'no_memory':  # the built-in policy limits nobody's memory by hand; tasks can be limited
        expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
    else:
        expect_equal((result.code, result.out), (125, ''), result.said())
        expect_text(result.err, 'cannot limit pids')
