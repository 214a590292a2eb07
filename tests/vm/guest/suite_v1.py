# SPDX-License-Identifier: Apache-2.0
"""cgroup v1 where a limit can't be set: said in a sentence, and nothing of the other controllers is left behind."""
import os

import cgroups
import worker
from cgroups import ROOT
from check import Skip, each, expect_equal, test
from worker import JOB_UID, LIMITS, in_mounts, nestbox, refused, run

READ_ONLY = 'for d in /sys/fs/cgroup/*/; do mountpoint -q "$d" && mount -o remount,bind,ro "$d"; done; exec "$@"'

ASKED = {'cpu': ['--cpus', '0.5'], 'memory': ['--memory', '64MiB'], 'pids': ['--pids-limit', '20']}
HERE = [name for name, directory in cgroups.V1_DIRS.items() if os.path.isdir(f'{ROOT}/{directory}')]


@each([JOB_UID, 0])
def read_only_cgroups(uid):
    where = worker.place('v1_condor', uid)
    refused(run(in_mounts(READ_ONLY, nestbox('echo', 'ran', options=LIMITS), uid), 0, where), 'memory')
    expect_equal(where.left_behind(), [], 'cgroups left behind')


@each(HERE)
def controller_not_delegated(controller):
    """Every controller but this one was given to the job's user."""
    directory = f'{ROOT}/{cgroups.V1_DIRS[controller]}'
    where = worker.place('v1_condor', JOB_UID)
    for top in where.tops:
        if top.startswith(f'{directory}/'):
            os.chown(top, 0, 0)
    options = [word for name in HERE for word in ASKED[name]]
    refused(run(nestbox('echo', 'ran', options=options), JOB_UID, where), controller)
    expect_equal(where.left_behind(), [], 'cgroups left behind')


@test
def memory_not_in_this_kernel():
    """A v1 hierarchy without memory, as on kernels built so."""
    if os.path.isdir(f'{ROOT}/memory'):
        raise Skip('cgroup v1 without its memory controller')
    where = worker.place('v1_condor', JOB_UID)
    refused(run(nestbox('echo', 'ran', options=LIMITS), JOB_UID, where), 'memory')
    expect_equal(where.left_behind(), [], 'cgroups left behind')
