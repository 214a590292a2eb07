# SPDX-License-Identifier: Apache-2.0
"""A worker on which ordinary users can't make user namespaces: the sentence names the switch, and nothing is left."""
import glob
import os

import cgroups
import worker
from check import Skip, expect, expect_equal, expect_text, test
from worker import JOB_UID, nestbox, run

SWITCHES = {'/proc/sys/user/max_user_namespaces': 'user.max_user_namespaces',
            '/proc/sys/kernel/unprivileged_userns_clone': 'kernel.unprivileged_userns_clone'}


def switched_off():
    return [name for path, name in SWITCHES.items() if os.path.exists(path) and cgroups.read(path) == '0']


def processes():
    return sorted(path for path in glob.glob('/proc/[0-9]*/exe') if os.path.exists(path))


@test
def ordinary_user_is_told_the_switch():
    names = switched_off()
    if not names:
        raise Skip('user namespaces switched off')
    where = worker.place('scope', JOB_UID)
    mounts, running = cgroups.read('/proc/self/mountinfo'), processes()
    expect(run(['unshare', '-U', 'true'], JOB_UID).code != 0, 'the switch has no effect')
    result = run(nestbox('echo', 'ran', options=['--memory', '64MiB']), JOB_UID, where)
    expect_equal((result.code, result.out), (125, ''), result.said())
    expect_text(result.err, *names)
    expect_equal(where.left_behind(), [], 'cgroups left behind')
    expect_equal(cgroups.read('/proc/self/mountinfo'), mounts, 'mounts')
    expect_equal(processes(), running, 'processes')


@test
def root_needs_none():
    if not switched_off():
        raise Skip('user namespaces switched off')
    result = run(nestbox('echo', 'ran'))
    expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
