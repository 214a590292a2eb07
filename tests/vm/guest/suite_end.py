# SPDX-License-Identifier: Apache-2.0
"""The end of a box in a slot of HTCondor's: who is killed, who lives to tell of it, and what ends although it is suspended."""
import json
import os
import signal
import socket
import threading

import cgroups
import worker
from cgroups import MIB
from check import each, expect, expect_equal, expect_text
from suite_limits import gone
from worker import HOME, JOB_UID, LOAD, NESTBOX, finish, nestbox, run, start

SLOT, MARGIN = 128, 8


def put(name, text):
    path = f'{HOME}/{name}'
    cgroups.write(path, text)
    os.chmod(path, 0o644)
    return path


class Starter:
    """HTCondor's Chirp proxy: answers 0 to each line."""

    def __init__(self):
        self.lines = []
        self.server = socket.create_server(('127.0.0.1', 0))
        self.config = put('chirp.config', f'127.0.0.1 {self.server.getsockname()[1]} cookie')
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connection = self.server.accept()[0]
        with connection, connection.makefile('rwb', buffering=0) as stream:
            for line in stream:
                self.lines.append(line.decode().strip())
                stream.write(b'0\n')


@each(['leaf', 'scope'])
def reason_outlives_the_payload(shape):
    """The slot has memory.oom.group too: were its limit reached, nobody would be left to tell."""
    where = worker.place(shape, JOB_UID)
    cgroups.write(f'{where.tops[0]}/memory.max', SLOT * MIB)
    starter = Starter()
    files = {'_CONDOR_MACHINE_AD': put('machine.ad', f'Memory = {SLOT}\nCpus = 1\n'), '_CONDOR_CHIRP_CONFIG': starter.config}
    job = f'cat /run/nestbox/status.json /proc/self/oom_score_adj; echo 0 >/proc/self/oom_score_adj; exec {LOAD}/eat-memory 300'
    wrapper = ['sh', '-c', 'echo 300 >/proc/self/oom_score_adj; exec "$@"', 'sh', NESTBOX, 'wrap', '/bin/sh', '-c', job]
    result = finish(start(wrapper, JOB_UID, where, more=files))
    expect_equal(result.code, -signal.SIGKILL, result.said())
    limit = (SLOT - MARGIN) * MIB
    status, score = result.out.splitlines()[:2]
    expect_equal(json.loads(status)['limits']['memory_bytes'], limit, 'status.json')
    expect_equal(int(score), 400, 'oom_score_adj of the payload, with 300 of the keeper')
    expect_text(result.err, f'over its memory limit of {SLOT - MARGIN} MiB', 'request_memory')
    told = worker.record('sandbox-end')['nestbox']['exit']
    expect_equal((told['kind'], told['reason'], told['limit']), ('oom', 'memory', limit), 'nestbox.exit')
    sent = dict(line.split(' ', 2)[1:] for line in starter.lines if line.startswith('set_job_attr_delayed '))
    expect_equal((sent.get('ChirpNestboxOom'), sent.get('ChirpNestboxReason')), ('true', '"memory"'), f'{starter.lines}')
    events = dict(line.split() for line in cgroups.read(f'{where.tops[0]}/memory.events.local').splitlines())
    expect_equal((events['oom'], events['oom_group_kill']), ('0', '0'), 'kills for the slot\'s own limit')
    gone(where)


@each(['leaf', 'scope'])
def frozen_slot_ends(shape):
    """Suspended by the batch system, keeper and all: an administrator's kill ends it, and the keeper clears up."""
    where = worker.place(shape, 0)
    process = start(nestbox('sh', '-c', 'echo up; exec sleep 1000', options=worker.LIMITS), 0, where)
    expect_equal(process.stdout.readline(), 'up\n', 'start')
    names = [os.path.basename(group) for group in where.left_behind()]
    made = next(name for name in names if name.startswith('nestbox-'))
    cgroups.write(f'{where.tops[0]}/cgroup.freeze', 1)
    for _ in range(400):
        if 'frozen 1' in cgroups.read(f'{where.tops[0]}/cgroup.events'):
            break
        signal.sigtimedwait([], 0.05)
    result = run([NESTBOX, 'kill', '--grace', '200ms', made.removeprefix('nestbox-')])
    expect_equal(result.code, 0, result.said())
    expect_equal(finish(process).code, -signal.SIGKILL, 'status')
    expect_equal(worker.record('sandbox-end')['nestbox']['exit']['kind'], 'signal', 'the end record')
    gone(where)
