# SPDX-License-Identifier: Apache-2.0
"""What the tests put into VMs and containers: an installed tree of nestbox, and the load programs."""
import atexit
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get('NESTBOX_TEST_CACHE', '/var/cache/nestbox-tests')


def say(text):
    print(text, file=sys.stderr, flush=True)


def call(argv, **more):
    """Quiet while it works; its output and an end with status 1 when it doesn't."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f'{" ".join(argv)}: exit {done.returncode}\n{done.stdout[-3000:]}')


def loads():
    """The directory of the load programs, built."""
    path = os.path.join(CACHE, 'load')
    call([os.path.join(SOURCE, 'tests/load/build'), path])
    return path


def directory():
    """A new one until the end of this program; in the cache, since a VM sees no /tmp of this machine."""
    os.makedirs(CACHE, exist_ok=True)
    mine = tempfile.mkdtemp(prefix='worker.', dir=CACHE)
    atexit.register(shutil.rmtree, mine)
    return mine


def guest():
    """The directory of the guests' own programs, with the tests that they import, where a VM sees it: this tree may lie in /tmp."""
    tests = directory() + '/tests'
    shutil.copytree(os.path.join(SOURCE, 'tests'), tests, symlinks=True, ignore=shutil.ignore_patterns('.cache', '__pycache__'))
    return tests + '/vm/guest'


def condor():
    """What a guest needs to start pools of tests/condor, as its environment."""
    sys.path.insert(0, os.path.join(SOURCE, 'tests/condor'))
    import stage  # pylint: disable=import-outside-toplevel
    mine = directory()
    return {'NESTBOX_CONDOR_ROOT': stage.condor_root(), 'NESTBOX_CONDOR_STAGE': stage.install(mine + '/tree'),
            'NESTBOX_CONDOR_PAYLOAD': stage.payload(mine + '/bin'), 'NESTBOX_TEST_SLOWER': '6'}


def nestbox(build):
    """A tree with nestbox as installed, until the end of this program: from the meson build directory, or from one of the
    tests' own."""
    if not build:
        build = os.path.join(CACHE, 'build-worker')
        say(f'building nestbox in {build}')
        if not os.path.exists(os.path.join(build, 'build.ninja')):
            call(['meson', 'setup', build, SOURCE, '-Dtests=false'])
        call(['ninja', '-C', build])
    mine = directory()
    stage = os.path.join(mine, 'tree')
    call(['meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', stage])
    return stage
