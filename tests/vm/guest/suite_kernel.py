# SPDX-License-Identifier: Apache-2.0
"""What the kernel itself does, without nestbox: the loads really press, the limits really hold, and one bug is really there.

The tests of nestbox lean on these: each attack is seen to succeed where nothing stops it."""
import errno
import os

import cgroups
import worker
from check import Skip, each, expect, expect_equal, expect_near, expect_text, test
from worker import JOB_UID, load, run


def need_v2():
    if not cgroups.is_v2():
        raise Skip('cgroup v2')


def group(**limits):
    need_v2()
    path = worker.place('undelegated', 0).joins[0]
    for name, value in limits.items():
        cgroups.write(f'{path}/{name.replace("_", ".")}', value)
    return path


@test
def loads_press():
    expect_text(run(load('eat-memory', 200)).out, 'ate 200', 'full')
    expect_text(run(load('fork-many', 100), JOB_UID).out, 'forked 100')
    words = run(load('spin', 1000, 2)).out.split()
    expect(int(words[1]) > int(words[3]) * 0.8, f'two spinners use more than half a CPU: {words}')


@test
def memory_limit_kills():
    result = run(load('eat-memory', 200), joins=[group(memory_max=64 << 20)])
    expect_equal(result.code, -9, 'status')
    expect_near(int(result.out.split()[-1]), 64, 0.05, 'MiB eaten')


@test
def cpu_limit_holds():
    words = run(load('spin', 2000, 2), joins=[group(cpu_max='50000 100000')]).out.split()
    used = int(words[1]) / int(words[3])
    expect(0.1 < used < 0.55, f'{used} CPUs used')  # less than half a one on a busy machine


@test
def pids_limit_holds():
    result = run(load('fork-many', 100), joins=[group(pids_max=20)])
    expect_text(result.out, 'forked 19', 'refused')


@test
def cgroup_with_processes_hands_nothing_down():
    path = group()
    worker.start(['sleep', '100'], joins=[path])
    try:
        cgroups.write(f'{path}/cgroup.subtree_control', '+memory')
        expect(False, 'controllers handed down beside a process')
    except OSError as error:
        expect_equal(error.errno, errno.EBUSY, 'errno')


@each(['leaf', 'scope', 'site'])
def delegated_directory_takes_children(shape):
    need_v2()
    where = worker.place(shape, JOB_UID)
    script = 'mkdir "$1/child" && echo $$ >"$1/child/cgroup.procs" && cat /proc/self/cgroup'
    result = run(['sh', '-c', script, 'sh', where.tops[0]], JOB_UID, where)
    expect_text(result.out, '/child\n')
    expect(run(['sh', '-c', 'echo 1 >"$1/memory.max"', 'sh', where.tops[0]], JOB_UID, where).code, 'own limit raised')


@each(['target', 'caller'])
def killed_cgroup_kills_newborns(which):
    """CLONE_INTO_CGROUP between a cgroup that had cgroup.kill written and one that had not. Where a kernel has this mended,
    the test says so by a skip; joining by cgroup.procs must work either way."""
    where = worker.place('scope', 0)
    target = cgroups.make(f'{where.tops[0]}/target')
    caller = where.joins[0]
    expect_text(run(load('clone-into', target), joins=[caller]).out, 'lives')
    cgroups.write(f'{target if which == "target" else caller}/cgroup.kill', 1)
    expect_equal(run(['true'], joins=[target]).code, 0, 'joining by cgroup.procs after cgroup.kill')
    if 'lives' in run(load('clone-into', target), joins=[caller]).out:
        raise Skip(f'the CLONE_INTO_CGROUP defect: kernel {os.uname().release} is without it')
