# SPDX-License-Identifier: Apache-2.0
"""Limits of a box in each place where a worker may make cgroups: in force, the payload's alone, written down, gone afterwards."""
import os
import re
import signal

import cgroups
import worker
from cgroups import MIB
from check import each, expect, expect_equal, expect_near, expect_text
from worker import JOB_UID, LIMITED, LIMITS, PIDS, finish, limited, load, nestbox, run, start

PLACES = ['leaf', 'scope', 'site'] if cgroups.is_v2() else ['v1_condor']
# root's own cgroup is writable wherever it sits: what the site hands out is for the others
CASES = [(shape, uid) for shape in PLACES for uid in (JOB_UID, 0) if (shape, uid) != ('site', 0)]
MEMORY = 64 * MIB
FILES = {'memory': 'memory.max', 'pids': 'pids.max'} if cgroups.is_v2() else {'memory': 'memory.limit_in_bytes',
                                                                             'pids': 'pids.max'}
QUOTA = '{"version": 1, "limits": {"cpu_mode": "quota"}}'


def value(group, kind):
    path = f'{group}/{FILES[kind]}'
    text = cgroups.read(path) if os.path.exists(path) else ''
    return int(text) if text.isdigit() else None


def running(where, uid):
    """A box at rest: nestbox's process, and its new cgroups by what they limit."""
    process = start(nestbox('sh', '-c', 'cat /proc/self/cgroup; echo ready; exec sleep 1000', options=LIMITS), uid, where)
    seen = []
    for line in process.stdout:
        if line == 'ready\n':
            break
        seen.append(line.strip())
    expect(process.poll() is None and seen, f'the box started: {process.stderr.read() if process.poll() else seen}')
    new = where.left_behind()
    limiting = {kind: [group for group in new if value(group, kind) == wanted]
                for kind, wanted in (('memory', MEMORY), ('pids', PIDS + 1))}
    return process, seen, limiting


def gone(where):
    """Nothing of the box is left. Where HTCondor's leaf had to be emptied, its child for the keeper stays for the starter."""
    left = [group for group in where.left_behind() if not group.endswith('/keeper')]
    expect_equal(left, [], 'cgroups left behind')
    for group in where.left_behind():
        expect_equal(cgroups.pids(group), [], f'processes in {group}')


@each(CASES)
def box_has_cgroup_of_its_own(shape, uid):
    where = worker.place(shape, uid)
    process, seen, limiting = running(where, uid)
    for kind, groups in limiting.items():
        expect_equal(len(groups), 1, f'cgroups with the {kind} limit among {where.left_behind()}')
        inside = [pid for group in cgroups.below(groups[0]) for pid in cgroups.pids(group)]
        expect(set(worker.descendants(process.pid)) <= set(inside), f'payload {inside} in {groups[0]}')
        expect(process.pid not in inside, 'the keeper is outside the limit')
    for line in seen:
        controllers = line.split(':')[1]
        if not controllers or any(c in controllers for c in ('memory', 'pids')):
            expect(re.search(r':/(job|payload|box)?$', line), f'the payload sees its own cgroups only: {line}')
    process.terminate()
    expect_equal(finish(process).code, -signal.SIGTERM, 'status')
    gone(where)


@each(CASES)
def memory_limit_kills_payload_only(shape, uid):
    where = worker.place(shape, uid)
    bystander = start(['sleep', '1000'], uid, where) if shape != 'leaf' else None
    result = run(nestbox(*load('eat-memory', 300), options=LIMITS), uid, where)
    expect_equal(result.code, -signal.SIGKILL, f'status ({result.said()})')
    eaten = [int(n) for n in re.findall(r'ate (\d+)', result.out)]
    expect_near(eaten[-1], 64, 0.05, 'MiB eaten')
    expect(bystander is None or bystander.poll() is None, 'the process beside the box lives')
    told = worker.record('sandbox-end')['nestbox']['exit']
    expect_equal((told['kind'], told['reason'], told['limit']), ('oom', 'memory', MEMORY), 'nestbox.exit')
    expect_text(result.err, 'over its memory limit of 64 MiB', '--memory')
    expect_near(int(worker.record('sandbox-end')['nestbox']['usage']['mem_peak']), MEMORY, 0.05, 'recorded peak')
    if bystander:
        bystander.kill()
        bystander.wait()
    gone(where)


@each([uid for uid in (JOB_UID,) if cgroups.is_v2()])
def wrapper_that_stays(uid):
    """HTCondor's leaf, and a site's wrapper that starts nestbox and waits for it: it goes aside with the keeper, and lives on."""
    where = worker.place('leaf', uid)
    result = run(['sh', '-c', 'sleep 1000 & "$@"; echo "ended $?"; kill $!; cat /proc/self/cgroup', 'sh', *LIMITED], uid, where)
    expect_equal(result.code, 0, result.said())
    expect_text(result.out, f'forked {PIDS - 1}\n', 'ended 1\n', '/keeper\n')
    gone(where)


@each(CASES)
def processes_stop_at_the_limit(shape, uid):
    where = worker.place(shape, uid)
    limited(run(LIMITED, uid, where))
    gone(where)


@each(CASES)
def cpu_quota_holds(shape, uid):
    where = worker.place(shape, uid)
    os.makedirs('/etc/nestbox-test', exist_ok=True)
    cgroups.write('/etc/nestbox-test/quota.json', QUOTA)
    options = LIMITS + ['--policy', '/etc/nestbox-test/quota.json']
    result = run(nestbox(*load('spin', 3000, 2), options=options), uid, where)
    words = result.out.split()
    expect(len(words) == 4, result.said())
    used = int(words[1]) / int(words[3])
    expect(0.1 < used < 0.55, f'{used} CPUs used')  # less than half a one on a busy machine
    gone(where)


@each(CASES)
def requested_and_effective_are_recorded(shape, uid):
    where = worker.place(shape, uid)
    result = run(nestbox('sh', '-c', 'exit 7', options=LIMITS), uid, where)
    expect_equal(result.code, 7, f'status ({result.said()})')
    start_record = worker.record('sandbox-start')
    requested, effective = start_record['nestbox']['requested'], start_record['nestbox']['effective']
    for name, wanted in (('memory_bytes', MEMORY), ('milli_cpus', 500), ('pids', PIDS)):
        expect_equal(int(requested[name]), wanted, f'requested.{name}')
    expect_equal(int(effective['limits'][FILES['memory'].replace('.', '_')]), MEMORY, 'effective memory')
    expect_equal(int(effective['limits'][FILES['pids'].replace('.', '_')]), PIDS + 1, 'effective pids')
    expect(any(name.startswith('cpu_') for name in effective['limits']), f'a cpu limit in {effective["limits"]}')
    gone(where)


@each(CASES)
def killed_keeper_takes_box_along(shape, uid):
    where = worker.place(shape, uid)
    process, _, limiting = running(where, uid)
    expect_equal(len(limiting['memory']), 1, 'cgroups with the memory limit')
    process.kill()
    process.wait()
    group = limiting['memory'][0]
    for _ in range(100):
        if not [pid for path in cgroups.below(group) for pid in cgroups.pids(path)]:
            break
        signal.sigtimedwait([], 0.05)
    else:
        expect(False, f'processes are left in {group}')
    if any(path.endswith('/keeper') for path in where.tree()):
        return  # a cgroup that was emptied for the box: its starter removes it, and none starts in it twice
    expect_equal(run(nestbox('true', options=LIMITS), uid, where).code, 0, 'the next box')
    gone(where)


@each([case for case in CASES if cgroups.is_v2()])
def payload_cannot_raise_or_leave(shape, uid):
    where = worker.place(shape, uid)
    script = ('mount -t cgroup2 none /tmp && cd /tmp || exit 3; for f in . ..; do echo max >$f/memory.max; echo 0 >$f/cgroup.procs;'
              'done; cat /proc/self/cgroup; echo tried; sleep 1000')
    process = start(nestbox('unshare', '-UrmC', 'sh', '-c', script, options=LIMITS), uid, where)
    said = []
    for line in process.stdout:
        said.append(line)
        if line == 'tried\n':
            break
    groups = [group for group in where.left_behind() if value(group, 'memory') == MEMORY]
    expect_equal(len(groups), 1, 'cgroups with the limit after the attempt to raise it')
    places = [worker.cgroup_of(pid) for pid in worker.descendants(process.pid)]
    expect(all(path.startswith(groups[0]) for path in places if path), f'the payload is below {groups[0]}: {places}')
    process.kill()


@each([case for case in ((JOB_UID,), (0,), (0, '-sys_admin')) if cgroups.is_v2()])
def caller_in_once_killed_cgroup(uid, less=''):
    """The kernel's defect of suite kernel: a child cloned into a fresh cgroup from such a caller dies at birth. Root without that
    capability maps the ids of a user namespace's pid 1 before it hears of it."""
    where = worker.place('scope', uid)
    cgroups.write(f'{where.joins[0]}/cgroup.kill', 1)
    limited(run((['setpriv', f'--bounding-set={less}', f'--inh-caps={less}'] if less else []) + LIMITED, uid, where))
    gone(where)
