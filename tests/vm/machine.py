# SPDX-License-Identifier: Apache-2.0
"""A throw-away VM (qemu, no hardware virtualisation needed): one command, its output, its exit code."""
import dataclasses
import os
import random
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

CUT, TIMEOUT, VM_FAILED = 123, 124, 125
CACHE = os.path.join(os.environ.get('NESTBOX_TEST_CACHE', '/var/cache/nestbox-tests'), 'vm')


class VmError(Exception):
    """The VM itself, not the command in it, failed."""


@dataclasses.dataclass
class Order:
    """What to run, and in what machine. cut_after: seconds after the command's start, from and to."""
    argv: list
    kernel: str = '6.12'
    cgroup: str = 'v2'
    cwd: str = '/'
    env: dict = dataclasses.field(default_factory=dict)
    writable: list = dataclasses.field(default_factory=list)
    disks: list = dataclasses.field(default_factory=list)
    sysctls: list = dataclasses.field(default_factory=list)
    stdin: str = None
    append: str = ''
    processors: int = 2
    memory: int = 1024
    timeout: float = 120
    cut_after: tuple = None
    debug: bool = False


def cpio(members):
    """An initramfs archive (newc) of {name: bytes}."""
    out = bytearray()
    for inode, (name, data) in enumerate([*members.items(), ('TRAILER!!!', b'')], 1):
        last = name == 'TRAILER!!!'
        fields = [0 if last else inode, 0 if last else 0o100600, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b'070701' + b''.join(b'%08X' % field for field in fields) + name.encode() + b'\0'
        out += b'\0' * (-len(out) % 4) + data
        out += b'\0' * (-len(out) % 4)
    return bytes(out)


class Machine:
    """One boot. run() relays the command's output to the given writers and returns the exit code."""
    STREAMS = ('out', 'err', 'status', 'cut')

    def __init__(self, order):
        self.order = order
        self.kernel = os.path.join(CACHE, 'kernels', order.kernel)
        self.work = None
        self.status = b''
        self.qemu = None
        self.cut_at = None

    def orders(self):
        """The members that the first process reads: see init/init.h."""
        order = self.order
        conf = [('cgroup', order.cgroup), ('cwd', order.cwd), ('modules', os.path.join(self.kernel, 'modules/lib/modules'))]
        conf += [('debug', '1')] if order.debug else []
        conf += [('rw', os.path.realpath(path)) for path in order.writable]
        for row in order.sysctls:
            name, _, value = row.partition('=')
            conf.append(('sysctl', f'{name.replace(".", "/")}={value}'))
        env = {'PATH': os.environ.get('PATH', os.defpath), 'HOME': '/root', 'TERM': 'dumb', 'LANG': 'C.UTF-8', **order.env}
        lists = {'conf': [f'{k}={v}' for k, v in conf], 'argv': order.argv, 'env': [f'{k}={v}' for k, v in env.items()]}
        members = {name: b''.join(os.fsencode(t) + b'\0' for t in texts) for name, texts in lists.items()}
        if order.stdin:
            with open(order.stdin, 'rb') as source:
                members['stdin'] = source.read()
        return members

    def initrd(self):
        path = os.path.join(self.work, 'initrd')
        with open(path, 'wb') as out, open(os.path.join(self.kernel, 'initrd.cpio'), 'rb') as base:
            shutil.copyfileobj(base, out)
            out.write(cpio(self.orders()))
        return path

    def devices(self):
        order = self.order
        for name in self.STREAMS:
            yield from ['-chardev', f'socket,id={name},path={self.work}/{name}']
            yield from ['-device', f'virtserialport,chardev={name},name={name}']
        shares = [('hostroot', '/', ',readonly=on')] + [(f'rw{i}', os.path.realpath(p), '') for i, p in enumerate(order.writable)]
        for tag, path, mode in shares:
            yield from ['-fsdev', f'local,id={tag},path={path},security_model=passthrough,multidevs=remap{mode}']
            yield from ['-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']
        for i, disk in enumerate(order.disks):
            if disk.isdigit():
                image = os.path.join(self.work, f'disk{i}')
                with open(image, 'wb') as new:
                    new.truncate(int(disk) << 20)
                disk = image
            yield from ['-drive', f'file={disk},if=none,id=disk{i},format=raw,cache=unsafe']
            yield from ['-device', f'virtio-blk-pci,drive=disk{i}']

    def command(self):
        order = self.order
        kernel_line = f'console=ttyS0 panic=-1 tsc=unstable mitigations=off {"" if order.debug else "quiet"} {order.append}'
        return ['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg,thread=single', '-cpu', 'max',
                '-smp', str(order.processors), '-m', str(order.memory), '-display', 'none', '-no-reboot', '-nodefaults',
                '-no-user-config', '-kernel', os.path.join(self.kernel, 'vmlinux'), '-initrd', self.initrd(),
                '-append', kernel_line, '-chardev', f'file,id=console,path={self.work}/console', '-serial', 'chardev:console',
                '-device', 'virtio-serial-pci', '-device', 'virtio-rng-pci', *self.devices()]

    def listen(self):
        listeners = {}
        for name in self.STREAMS:
            listeners[name] = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listeners[name].bind(os.path.join(self.work, name))
            listeners[name].listen(1)
        return listeners

    def connect(self, listeners):
        """qemu connects to each stream before it starts the machine."""
        selector = selectors.DefaultSelector()
        for name, listener in listeners.items():
            listener.settimeout(20)
            try:
                selector.register(listener.accept()[0], selectors.EVENT_READ, name)
            except TimeoutError as error:
                raise VmError('qemu did not start') from error
            finally:
                listener.close()
        return selector

    def received(self, name, data, writers):
        if name == 'cut':
            self.cut_at = time.monotonic() + (int(data) / 1000 if data.strip().isdigit() else 0)
        elif name == 'status':
            self.status += data
            if data.startswith(b'start') and self.order.cut_after:
                self.cut_at = time.monotonic() + random.uniform(*self.order.cut_after)
        else:
            writers[name].write(data)
            writers[name].flush()

    def relay(self, selector, writers, deadline):
        """Until qemu has closed every stream; the exit code when the power was cut or time ran out, else None."""
        while selector.get_map():
            ends = deadline if self.cut_at is None else min(deadline, self.cut_at)
            left = ends - time.monotonic()
            if left <= 0:
                self.qemu.kill()
                return TIMEOUT if ends == deadline else CUT
            for key, _ in selector.select(left):
                data = key.fileobj.recv(1 << 16)
                if data:
                    self.received(key.data, data, writers)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
        return None

    def verdict(self, code):
        if code is not None:
            return code
        last = self.status.decode(errors='replace').strip().splitlines()[-1:] or ['nothing']
        word, _, rest = last[0].partition(' ')
        if word == 'exit':
            return int(rest.split()[0])
        with open(os.path.join(self.work, 'console'), errors='replace') as console:
            tail = ''.join(console.readlines()[-30:])
        raise VmError(f'the VM ended without a status (it said: {last[0]})\n{tail}')

    def run(self, out, err):
        if not os.path.exists(os.path.join(self.kernel, 'initrd.cpio')):
            raise VmError(f'no kernel {self.order.kernel} in {CACHE}: run tests/vm/setup')
        deadline = time.monotonic() + self.order.timeout
        with tempfile.TemporaryDirectory(prefix='nestbox-vm.') as self.work:
            listeners = self.listen()
            self.qemu = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL)
            try:
                code = self.relay(self.connect(listeners), {'out': out, 'err': err}, deadline)
            finally:
                self.qemu.kill()
                self.qemu.wait()
                if self.order.debug:
                    with open(os.path.join(self.work, 'console'), 'rb') as console:
                        shutil.copyfileobj(console, sys.stderr.buffer)
            return self.verdict(code)
