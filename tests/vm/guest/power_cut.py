# SPDX-License-Identifier: Apache-2.0
"""power_cut.py ROUND: what the last cut left on the disk is judged, then boxes are made one after the other until the next one.

Each payload writes a mark to the disk and waits until it is there. The start record comes before the payload's first
instruction: a mark on the disk whose box the log doesn't know is a lost record."""
import glob
import json
import os
import random
import subprocess
import sys

DISK, LOGS = '/mnt/disk', '/var/log/nestbox'
MARKS = f'{DISK}/marks'
NESTBOX = '/usr/local/bin/nestbox'


def mount():
    subprocess.run(['modprobe', 'ext4'], check=True)
    os.makedirs(DISK, exist_ok=True)
    os.makedirs(LOGS, exist_ok=True)
    subprocess.run(['mount', '-t', 'ext4', '/dev/vda', DISK], check=True)
    for path, mode in ((MARKS, 0o777), (f'{DISK}/log', 0o755)):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
    subprocess.run(['mount', '--bind', f'{DISK}/log', LOGS], check=True)


def recorded():
    """The last argument of each payload that has a start record; an end torn by the cut is no record."""
    found = set()
    for path in glob.glob(f'{LOGS}/*.jsonl*'):
        with open(path, 'rb') as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if record['event']['action'] == 'sandbox-start':
                    found.add(record['process']['args'][-1])
    return found


def judge():
    marks, known = set(os.listdir(MARKS)), recorded()
    if marks - known:
        print(f'LOST {len(marks - known)} start records, such as of {min(marks - known)}')
    for path in sorted(glob.glob(f'{LOGS}/*.jsonl')):
        done = subprocess.run([NESTBOX, 'audit', 'verify', '--from', path], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f'VERIFY {os.path.basename(path)}: {done.stdout.strip()} {done.stderr.strip()}')
    print(f'JUDGED {len(marks)}')


def make_boxes(name):
    with open('/dev/power-cut', 'w', encoding='ascii') as cut:
        cut.write(str(random.randrange(500, 5000)))  # milliseconds from now
    script = 'echo mark >"/marks/$0" && sync "/marks/$0"'
    for number in range(10000):
        argv = [NESTBOX, 'exec', '--bind', f'{MARKS}:/marks:rw', '/', 'sh', '-c', script, f'{name}-{number}']
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f'BROKEN {done.returncode}: {done.stderr}', flush=True)
            return
        print('BOX', flush=True)


if __name__ == '__main__':
    mount()
    judge()
    sys.stdout.flush()
    if sys.argv[1] != 'last':
        make_boxes(sys.argv[1])
