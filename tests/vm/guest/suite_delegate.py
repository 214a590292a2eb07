# SPDX-License-Identifier: Apache-2.0
"""limits.delegate on cgroup v2: the payload divides its share, and neither raises nor leaves it."""
import json
import os
import re
import signal

import cgroups
import worker
from check import each, expect, expect_equal, expect_text, test
from suite_limits import CASES, MEMORY, gone, value
from worker import JOB_UID, LIMITS, LOAD, finish, in_mounts, nestbox, run, start

POLICY = '/etc/nestbox-test/delegate.json'
OWN = '/sys/fs/cgroup'


def box(*words, options=(), **limits):
    """A command in a box that may divide its share."""
    os.makedirs(os.path.dirname(POLICY), exist_ok=True)
    cgroups.write(POLICY, json.dumps({'version': 1, 'limits': {'delegate': True, **limits}}))
    return nestbox(*words, options=[*LIMITS, '--policy', POLICY, *options])


def sh(script, **limits):
    return box('sh', '-c', script, **limits)


@each(CASES)
def share_is_divided(shape, uid):
    """As a pilot does it: a cgroup a job, with limits of its own; the job that goes over them goes alone."""
    where = worker.place(shape, uid)
    script = (f'cat /run/nestbox/status.json /proc/self/cgroup {OWN}/cgroup.subtree_control; cd {OWN} && mkdir one two && '
              'echo 16M >one/memory.max && echo "20000 100000" >one/cpu.max && echo 5 >two/pids.max || exit 9; '
              f'(sh -c "echo \\$\\$ >one/cgroup.procs && exec {LOAD}/eat-memory 40"); echo "job $?"; cat one/memory.max; exit 3')
    result = run(sh(script), uid, where)
    expect_equal(result.code, 3, result.said())
    expect_text(result.out, '0::/main\n', 'job 137', '\n16777216\n')
    delegated = json.loads(result.out.splitlines()[0])['delegated']
    expect(delegated['version'] == 2 and set(delegated['directories'].values()) == {OWN}, str(delegated))
    handed = result.out.splitlines()[2].split()
    expect({'cpu', 'memory', 'pids'} <= set(handed) and set(handed) == set(delegated['directories']), f'{handed} {delegated}')
    effective = worker.record('sandbox-start')['nestbox']['effective']
    expect_equal(set(effective['cgroup_delegated'].split(',')), set(handed), 'cgroup_delegated')
    told = worker.record('sandbox-end')['nestbox']['exit']
    expect('reason' not in told and 'limit' not in result.err, f'{told} {result.err}')
    gone(where)


@each(CASES)
def controllers_may_be_chosen(shape, uid):
    """The file that hands controllers down, and moves between the payload's own, in both directions."""
    where = worker.place(shape, uid)
    script = (f'cd {OWN} && mkdir -p a/b && echo $$ >a/cgroup.procs && cat /proc/self/cgroup && echo $$ >main/cgroup.procs && '
              'echo "+memory +pids" >a/cgroup.subtree_control && echo 8M >a/b/memory.max && echo -io >cgroup.subtree_control; '
              'cat cgroup.subtree_control; rmdir a/b a && echo done')
    result = run(sh(script), uid, where)
    expect_text(result.out, '0::/a\n', 'done')
    expect(' io' not in result.out and 'memory' in result.out, result.said())
    gone(where)


@each(CASES)
def limit_above_holds(shape, uid):
    """Also where the files of the namespace's root are the payload's, being of the same user: no limit is in them."""
    where = worker.place(shape, uid)
    script = (f'cd {OWN}; for f in memory.max memory.high pids.max cpu.max cgroup.max.depth cgroup.max.descendants; do '
              'echo max >$f; echo max >main/$f; done; echo 0 >memory.oom.group; echo "now $(cat /proc/self/cgroup)"; '
              f'exec {LOAD}/eat-memory 300')
    result = run(sh(script), uid, where)
    expect_equal(result.code, -signal.SIGKILL, result.said())
    expect_text(result.err, 'over its memory limit of 64 MiB')
    told = worker.record('sandbox-end')['nestbox']['exit']
    expect_equal((told['reason'], told['limit']), ('memory', MEMORY), 'nestbox.exit')
    if uid == 0:
        expect_text(result.err, 'memory.max: permission denied', 'cgroup.max.depth: permission denied')
    gone(where)


@each(CASES)
def nothing_above_is_reached(shape, uid):
    """Neither by the box's mount, nor by one of the payload's own: the parents' files, and ways out."""
    where = worker.place(shape, uid)
    script = (f'mkdir {OWN}/sub; mkdir /tmp/c; mount -t cgroup2 none /tmp/c && echo mounted; for top in {OWN} {OWN}/.. /tmp/c /tmp/c/..; '
              'do for f in $(find $top -maxdepth 3 -name cgroup.procs); do echo 0 >$f; done; '
              'for f in $(find $top -maxdepth 3 -name memory.max); do echo max >$f; done; '
              'ls -d $top/nestbox-* && echo SEEN; done; cat /proc/self/cgroup; echo tried; exec sleep 1000')
    process = start(box('unshare', '-UrmC', 'sh', '-c', script), uid, where)
    said = []
    for line in process.stdout:
        said.append(line)
        if line == 'tried\n':
            break
    groups = [group for group in where.left_behind() if value(group, 'memory') == MEMORY]
    expect_equal(len(groups), 1, f'cgroups with the limit, after {said}')
    places = [worker.cgroup_of(pid) for pid in worker.descendants(process.pid)]
    expect(places and all(path.startswith(f'{groups[0]}/payload') for path in places if path), f'payload in {groups[0]}: {places}')
    expect('mounted\n' in said and 'SEEN\n' not in said, f'{said}')
    expect(not any('..' in line for line in said if line.startswith('0::')), f'{said}')
    process.kill()


@each([case for case in CASES if case[0] == 'scope'])
def trees_are_bounded_and_go(shape, uid):
    where = worker.place(shape, uid)
    script = ('import os\nos.chdir("/sys/fs/cgroup")\ndef many(names):\n  n = 0\n  try:\n    for name in names:\n'
              '      os.makedirs(name)\n      n += 1\n  except OSError: pass\n  return n\n'
              'print("deep", many("/".join(["d"] * n) for n in range(1, 100)), "wide", many(f"w{n}" for n in range(5000)))\n')
    result = finish(start(box('/usr/bin/python3', '-c', script), uid, where), 300)
    found = dict(re.findall(r'(wide|deep) (\d+)', result.out))
    expect(900 < int(found['wide']) < 1024 and 10 < int(found['deep']) < 16, result.said())
    gone(where)


@each(CASES)
def frozen_payload_ends(shape, uid):
    """What froze itself hears no stop signal; the kill takes it all the same, pid 1 with it where it was caught too."""
    where = worker.place(shape, uid)
    script = (f'cd {OWN}; mkdir ice; (sleep 1; echo 1 >ice/cgroup.freeze) & setsid sleep 1000 & sleep 0.2; echo $$ >ice/cgroup.procs; '
              'echo 1 >ice/cgroup.procs; echo $! >ice/cgroup.procs; echo up; exec sleep 1000')
    process = start(sh(script), uid, where)
    expect_equal(process.stdout.readline(), 'up\n', 'start')
    ice = next(group for group in where.left_behind() if group.endswith('/ice'))
    for _ in range(400):
        if 'frozen 1' in cgroups.read(f'{ice}/cgroup.events'):
            break
        signal.sigtimedwait([], 0.05)
    else:
        expect(False, f'not frozen: {cgroups.read(ice + "/cgroup.events")}')
    box_id = next(part for part in ice.split('/') if part.startswith('nestbox-')).removeprefix('nestbox-')
    result = run([worker.NESTBOX, 'kill', '--grace', '200ms', box_id], uid)
    expect_equal(result.code, 0, result.said())
    expect_equal(finish(process).code, -signal.SIGKILL, 'status')
    gone(where)


@each([JOB_UID, 0])
def daemons_end(uid):
    """What left the payload's session and its cgroup ends with the box; the caller's cgroup was once killed, see suite limits."""
    where = worker.place('scope', uid)
    cgroups.write(f'{where.joins[0]}/cgroup.kill', 1)
    script = (f'mkdir {OWN}/d; (setsid sh -c "echo 0 >{OWN}/d/cgroup.procs; trap : TERM HUP; sleep 1000 & sleep 1000" &) & sleep 0.5; '
              f'wc -l <{OWN}/d/cgroup.procs; exit 5')
    result = run(sh(script), uid, where)
    expect_equal(result.code, 5, result.said())
    expect(int(result.out) >= 1, result.said())
    gone(where)


@test
def refused_where_it_cannot_be_had():
    where = worker.place('undelegated', JOB_UID)
    argv = [word for word in box('echo', 'ran', required=True, memory='none', cpu='none', pids='none') if word not in LIMITS]
    worker.refused(run(argv, JOB_UID, where), 'to divide', 'the site must act')
    expect_equal(where.left_behind(), [], 'cgroups left behind')


@test
def read_only_cgroups():
    where = worker.place('scope', JOB_UID)
    read_only = 'mount -o remount,bind,ro /sys/fs/cgroup && exec "$@"'
    worker.refused(run(in_mounts(read_only, sh('echo ran', required=True), JOB_UID), 0, where), 'memory')
    expect_equal(where.left_behind(), [], 'cgroups left behind')
