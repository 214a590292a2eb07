# SPDX-License-Identifier: Apache-2.0
"""podman and docker on this machine, each with its own storage below one directory, and nothing left of it afterwards."""
import errno
import os
import shutil
import subprocess
import time

# a machine whose root has no CAP_SYS_RESOURCE can't raise limits, which engines try by default
LIMITS = ['--ulimit', 'nofile=20000:20000', '--ulimit', 'nproc=5000:5000']

IMAGE = 'nestbox-worker'


class EngineMissing(Exception):
    """The engine isn't here or doesn't start; the text says what."""


class Engine:
    """run() starts one container and waits for it. A context: what it began ends with it."""
    name = None

    def __init__(self, rootfs, work):
        self.rootfs, self.work = rootfs, os.path.join(work, self.name)
        self.cgroup = f'test-of-nestbox-{os.getpid()}'

    def __enter__(self):
        os.makedirs(self.work)
        self.begin()
        return self

    def __exit__(self, *_):
        self.end()
        try:
            self.remove_cgroups()
        finally:
            shutil.rmtree(self.work)

    def remove_cgroups(self):
        """Those of the containers. The engine's monitor may still be on its way out of one."""
        for hierarchy in ('', *os.listdir('/sys/fs/cgroup')):
            for directory, _, _ in os.walk(f'/sys/fs/cgroup/{hierarchy}/{self.cgroup}', topdown=False):
                for _ in range(100):
                    try:
                        os.rmdir(directory)
                        break
                    except OSError as error:
                        if error.errno != errno.EBUSY:
                            raise
                        time.sleep(0.05)

    def begin(self):
        pass

    def end(self):
        pass

    def load_image(self, engine):
        with subprocess.Popen(['tar', '-C', self.rootfs, '-c', '.'], stdout=subprocess.PIPE) as tar:
            made = subprocess.run([*engine, 'import', '-', IMAGE], stdin=tar.stdout, capture_output=True, text=True, check=False)
        if made.returncode:
            raise EngineMissing(f'{self.name} ({made.stderr.strip()[-300:]})')

    def command(self, options):
        raise NotImplementedError

    def run(self, options, argv):
        """The finished process, with text in stdout and stderr."""
        return subprocess.run(self.command(options) + argv, capture_output=True, text=True, timeout=120, check=False)


class Podman(Engine):
    name = 'podman'

    def __init__(self, rootfs, work):
        super().__init__(rootfs, work)
        self.podman = ['podman', f'--root={self.work}/storage', f'--runroot={self.work}/run', f'--tmpdir={self.work}/tmp',
                       '--cgroup-manager=cgroupfs', '--runtime=runc', '--events-backend=none', '--storage-driver=vfs']

    def command(self, options):
        return [*self.podman, 'run', '--rm', '--network=none', f'--cgroup-parent=/{self.cgroup}', *LIMITS, *options, IMAGE]

    def begin(self):
        if not shutil.which('podman'):
            raise EngineMissing('podman')
        self.load_image(self.podman)


class Docker(Engine):
    """A dockerd of our own beside any that runs. Debian's client by its path: another may come first in PATH."""
    name = 'docker'
    client, daemon = '/usr/bin/docker', '/usr/sbin/dockerd'

    def __init__(self, rootfs, work):
        super().__init__(rootfs, work)
        self.process = None
        self.host = f'unix://{self.work}/socket'

    def command(self, options):
        return [self.client, '-H', self.host, 'run', '--rm', '--network=none', f'--cgroup-parent=/{self.cgroup}', *LIMITS,
                *options, IMAGE]

    def begin(self):
        if not os.path.exists(self.daemon):
            raise EngineMissing('docker')
        with open(f'{self.work}/log', 'wb') as log:
            self.process = subprocess.Popen(
                [self.daemon, f'--data-root={self.work}/data', f'--exec-root={self.work}/exec', f'--pidfile={self.work}/pid',
                 '-H', self.host, '--iptables=false', '--bridge=none', '--storage-driver=overlay2'], stdout=log, stderr=log)
        for _ in range(300):
            if os.path.exists(f'{self.work}/socket') or self.process.poll() is not None:
                break
            time.sleep(0.1)
        try:
            self.load_image([self.client, '-H', self.host])
        except EngineMissing:
            self.end()
            raise

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
