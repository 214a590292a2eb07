# SPDX-License-Identifier: Apache-2.0
"""limits.io_read and io_write on cgroup v2: what a job may read from and write to the disk under its scratch directory."""
import fcntl
import json
import os
import struct
import subprocess
import time

import cgroups
import worker
from check import Skip, each, expect, expect_equal, expect_text, test
from suite_limits import CASES, gone
from worker import JOB_UID, NESTBOX, finish, run, start

DISK, PART, MOUNT = '/dev/vda', '/dev/vda1', '/mnt/scratch'
POLICY = f'{os.path.dirname(os.path.dirname(NESTBOX))}/etc/nestbox/policy.json'
MIB = 1 << 20
RATE, SIZE = 2 * MIB, 4
WRITE = f'dd if=/dev/zero of=$_CONDOR_SCRATCH_DIR/f bs=1M count={SIZE} oflag=direct 2>/dev/null && echo written'
READ = f'dd if=$_CONDOR_SCRATCH_DIR/f of=/dev/null bs=1M count={SIZE} iflag=direct 2>/dev/null && echo read'


def make_partition():
    """One entry in the disk's first sector, behind the first MiB and as long as the rest; the kernel reads it again."""
    reread = 0x125f  # BLKRRPART
    with open(DISK, 'r+b', buffering=0) as stream:
        sectors = stream.seek(0, os.SEEK_END) // 512
        stream.seek(0)
        stream.write(bytes(446) + struct.pack('<B3sB3sII', 0, bytes(3), 0x83, bytes(3), 2048, sectors - 2048) + bytes(48) + b'\x55\xaa')
        os.fsync(stream.fileno())
        fcntl.ioctl(stream, reread)


def scratch(uid):
    """A directory of the job's on the first partition of a disk: the kernel limits whole disks."""
    if not os.path.exists(DISK):
        raise Skip('no disk')
    if not os.path.ismount(MOUNT):
        subprocess.run(['modprobe', 'ext4'], check=True)
        make_partition()
        for _ in range(100):
            if os.path.exists(PART):
                break
            time.sleep(0.05)
        subprocess.run(['mkfs.ext4', '-q', PART], check=True)
        os.makedirs(MOUNT, exist_ok=True)
        subprocess.run(['mount', '-t', 'ext4', PART, MOUNT], check=True)
    path = f'{MOUNT}/job-{uid}'
    os.makedirs(path, exist_ok=True)
    os.chown(path, uid, uid)
    return path


def job(directory, script, uid, where, **limits):
    """A job with a slot, as HTCondor's starter runs it, under that policy; finished."""
    os.makedirs(os.path.dirname(POLICY), exist_ok=True)
    cgroups.write(POLICY, json.dumps({'version': 1, 'limits': limits}))
    os.makedirs('/tmp/job', exist_ok=True)
    cgroups.write('/tmp/job/machine.ad', 'Cpus = 1\nMemory = 256\n')
    env = {'_CONDOR_MACHINE_AD': '/tmp/job/machine.ad', '_CONDOR_SCRATCH_DIR': directory}
    try:
        return finish(start([NESTBOX, 'wrap', '/bin/sh', '-c', script], uid, where, more=env))
    finally:
        os.unlink(POLICY)


def disk():
    return f'{os.major(os.stat(DISK).st_rdev)}:{os.minor(os.stat(DISK).st_rdev)}'


def took(script, uid, where, **limits):
    directory = scratch(uid)
    begin = time.monotonic()
    result = job(directory, script, uid, where, **limits)
    expect_equal(result.code, 0, result.said())
    return time.monotonic() - begin


def hand_down(where, shape):
    """The io controller too, as HTCondor does and `nestbox delegate`; what the job sits in (leaf) is nestbox' to hand on."""
    path, above = where.tops[0], []
    while path.startswith(cgroups.ROOT):
        above.insert(0, path)
        path = os.path.dirname(path)
    for group in above[:-1] if shape == 'leaf' else above:
        cgroups.write(f'{group}/cgroup.subtree_control', '+io')


@each([case for case in CASES if case[1]])
def rates_are_held(shape, uid):
    where = worker.place(shape, uid)
    hand_down(where, shape)
    for script, key in ((WRITE, 'io_write'), (READ, 'io_read')):
        free = took(script, uid, where)
        rate = int(SIZE * MIB / max(1, 4 * free)) // 4096 * 4096
        seconds = took(script, uid, where, **{key: rate})
        expect(seconds >= 0.8 * SIZE * MIB / rate, f'{script}: {seconds} s at {rate} bytes a second, {free} s without a limit')
        found = worker.record('sandbox-start')['nestbox']
        expect_equal(found['requested'][f'{key}_bps'], rate, 'requested')
        rates = {'io_write': f'rbps=max wbps={rate}', 'io_read': f'rbps={rate} wbps=max'}[key]
        expect_equal(found['effective']['limits']['io_max'], f'{disk()} {rates} riops=max wiops=max', 'effective')
    gone(where)


@test
def use_is_told():
    """nestbox metrics and ps: bytes from and to disks of a running box."""
    where = worker.place('scope', 0)
    hand_down(where, 'scope')
    directory = scratch(65534)
    process = start([NESTBOX, 'exec', '--memory', '64MiB', '-B', f'{directory}:{directory}', '/', 'sh', '-c',
                     f'dd if=/dev/zero of={directory}/g bs=1M count=4 oflag=direct 2>/dev/null; echo up; exec sleep 1000'], 0, where)
    expect_equal(process.stdout.readline(), 'up\n', 'start')
    for _ in range(100):
        box = [json.loads(line) for line in run([NESTBOX, 'ps', '--json']).out.splitlines()]
        if box:
            break
        time.sleep(0.05)
    expect(4 * MIB <= box[0]['io_written_bytes'] < 8 * MIB, f'{box}')
    expect_text(run([NESTBOX, 'metrics']).out, f'nestbox_box_io_written_bytes_total{{box="{box[0]["id"]}"}} {box[0]["io_written_bytes"]}\n',
                'nestbox_box_io_read_bytes_total{')
    process.terminate()
    finish(process)
    expect(4 * MIB <= worker.record('sandbox-end')['nestbox']['usage']['io_write'] < 8 * MIB, 'the end record')
    gone(where)


@each([(where, required) for where in ('no_controller', 'no_disk') for required in ('slot', True)])
def where_it_cannot_be_had(lacks, required):
    """Refused when the site wants all its limits, else run, and what is in force is written down."""
    where = worker.place('scope', JOB_UID)
    hand_down(where, 'scope')
    if lacks == 'no_controller':
        cgroups.write(f'{where.tops[0]}/cgroup.subtree_control', '-io')
    directory = scratch(JOB_UID) if lacks == 'no_controller' else '/tmp/job-scratch'
    os.makedirs(directory, exist_ok=True)
    os.chown(directory, JOB_UID, JOB_UID)
    result = job(directory, 'echo ran', JOB_UID, where, io_write='2MiB', required=required)
    if required is True:
        worker.refused(result, 'cannot limit io', 'controller' if lacks == 'no_controller' else 'disk', 'the site must act')
    else:
        expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
        found = worker.record('sandbox-start')['nestbox']
        expect('io_max' not in found['effective']['limits'] and found['requested']['io_write_bps'] == RATE, f'{found}')
    gone(where)
