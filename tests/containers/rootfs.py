# SPDX-License-Identifier: Apache-2.0
"""A small worker image: busybox, nestbox as installed with the libraries of its helpers, the load programs."""
import os
import re
import shutil
import subprocess

BUSYBOX = '/bin/busybox'
DIRS = {'bin': 0o755, 'etc': 0o755, 'proc': 0o555, 'sys': 0o555, 'dev': 0o755, 'run': 0o755, 'usr/bin': 0o755, 'tmp': 0o1777,
        'var/tmp': 0o1777, 'var/log/nestbox': 0o1733, 'home/job': 0o755, 'root': 0o700, 'mnt': 0o755}
USERS = 'root:x:0:0::/root:/bin/sh\njob:x:1234:1234::/home/job:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n'
BIND_POLICY = '{"version": 1, "namespaces": {"proc": ["fresh", "bind"]}}\n'


def copy_libraries(program, root):
    """The shared libraries that the program's loader names; none for a static one."""
    said = subprocess.run(['ldd', program], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r'(/\S+)', said):
        target = root + library
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(library, target)


def make(root, stage, load, probe):
    for name, mode in DIRS.items():
        os.makedirs(f'{root}/{name}', exist_ok=True)
        os.chmod(f'{root}/{name}', mode)
    os.chown(f'{root}/home/job', 1234, 1234)
    shutil.copy2(BUSYBOX, f'{root}/bin/busybox')
    for applet in subprocess.run([BUSYBOX, '--list'], capture_output=True, text=True, check=True).stdout.split():
        if applet != 'busybox':
            os.symlink('busybox', f'{root}/bin/{applet}')
    shutil.copytree(stage, root, dirs_exist_ok=True, symlinks=True)
    for directory, _, files in os.walk(stage):
        for name in files:
            if os.access(f'{directory}/{name}', os.X_OK):
                copy_libraries(f'{directory}/{name}', root)
    shutil.copytree(load, f'{root}/load')
    shutil.copy2(probe, f'{root}/probe')
    for name, text in (('etc/passwd', USERS), ('bind.json', BIND_POLICY)):
        with open(f'{root}/{name}', 'w', encoding='ascii') as file:
            file.write(text)
