# SPDX-License-Identifier: Apache-2.0
"""The box on this kernel: as root and as an ordinary user, isolated as it says; Landlock where the kernel's version has it."""
import ctypes
import os

import worker
from check import Skip, each, expect, expect_equal, expect_text, test
from worker import JOB_UID, LOAD, load, nestbox, run, start

USERS = [JOB_UID, 0]
NAMESPACES = ('pid', 'mnt', 'ipc', 'uts', 'cgroup')
SCOPES = 6  # the Landlock version that keeps signals and abstract sockets inside
REQUIRED = '{"version": 1, "landlock": {"scope": "required"}}'


def landlock_version():
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)


@each(USERS)
def status_is_the_payloads(uid):
    for code in (0, 1, 7, 125, 255):
        result = run(nestbox('sh', '-c', f'exit {code}'), uid)
        expect_equal(result.code, code, result.said())
    for number in (1, 6, 9, 11, 15):
        result = run(nestbox('sh', '-c', f'kill -{number} $$'), uid)
        expect_equal(result.code, -number, result.said())


@each(USERS)
def namespaces_are_its_own(uid):
    result = run(nestbox('sh', '-c', 'for n in ' + ' '.join(NAMESPACES) + '; do readlink /proc/self/ns/$n; done; echo $$'), uid)
    lines = result.out.split()
    expect_equal(len(lines), len(NAMESPACES) + 1, result.said())
    for name, inside in zip(NAMESPACES, lines):
        expect(inside != os.readlink(f'/proc/self/ns/{name}'), f'{name} namespace shared')
    expect(int(lines[-1]) < 10, f'process id {lines[-1]} of the payload')


@each(USERS)
def nothing_is_privileged(uid):
    result = run(nestbox('cat', '/proc/self/status'), uid)
    status = dict(line.split(':\t', 1) for line in result.out.splitlines() if ':\t' in line)
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        expect_equal(int(status[name], 16), 0, name)
    expect_equal((status['NoNewPrivs'], status['Seccomp']), ('1', '2'), 'NoNewPrivs, Seccomp')
    expect(status['Uid'].split()[0] != '0', 'the payload is not root')


@each(USERS)
def world_is_read_only(uid):
    script = 'for d in / /usr /etc /var /root; do touch $d/mark 2>/dev/null && echo "wrote $d"; done; touch /tmp/mark && ls /tmp'
    result = run(nestbox('sh', '-c', script), uid)
    expect_equal(result.out, 'mark\n', result.said())
    expect(not os.path.exists('/tmp/mark'), '/tmp is the box\'s own')


@each(USERS)
def mounts_do_not_come_out(uid):
    before = worker.cgroups.read('/proc/self/mountinfo')
    run(nestbox('unshare', '-Urm', 'mount', '-t', 'tmpfs', 'none', '/mnt'), uid)
    expect_equal(worker.cgroups.read('/proc/self/mountinfo'), before, 'the worker\'s mounts')


@each(USERS)
def abstract_sockets(uid):
    """Landlock since ABI 6 keeps the payload from abstract sockets of the shared network namespace; before, nothing does."""
    listener = start(load('reach', 'listen', 'nestbox-test'), uid)
    expect_equal(listener.stdout.readline(), 'listening\n', 'the listener')
    expect_text(run(load('reach', 'connect', 'nestbox-test'), uid).out, 'connected')
    result = run(nestbox(f'{LOAD}/reach', 'connect', 'nestbox-test'), uid)
    if landlock_version() >= SCOPES:
        expect_text(result.out, 'refused: Operation not permitted')
    else:
        expect_text(result.out, 'connected')
    effective = worker.record('sandbox-start')['nestbox']['effective']
    expect_equal(int(effective['landlock_abi']) >= SCOPES, landlock_version() >= SCOPES, f'recorded in {effective}')


@each(USERS)
def landlock_required(uid):
    os.makedirs('/etc/nestbox-test', exist_ok=True)
    worker.cgroups.write('/etc/nestbox-test/landlock.json', REQUIRED)
    result = run(nestbox('echo', 'ran', options=['--policy', '/etc/nestbox-test/landlock.json']), uid)
    if landlock_version() >= SCOPES:
        expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
    else:
        expect_equal((result.code, result.out), (125, ''), result.said())
        expect_text(result.err, 'landlock')


@test
def nested_runtime():
    """A payload may make a box of its own: bubblewrap inside nestbox."""
    if not os.path.exists('/usr/bin/bwrap'):
        raise Skip('bubblewrap')
    argv = nestbox('bwrap', '--unshare-user', '--unshare-pid', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', 'echo', 'in')
    result = run(argv, JOB_UID)
    expect_equal((result.code, result.out), (0, 'in\n'), result.said())
