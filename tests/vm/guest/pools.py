# SPDX-License-Identifier: Apache-2.0
"""Real HTCondor pools in the guest: those of tests/condor, with the cgroups that this kernel has."""
import os
import shutil
import sys

import check

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../condor'))

# pylint: disable=wrong-import-position
import cases  # noqa: E402
import cases_v2  # noqa: E402
import config  # noqa: E402
import harness  # noqa: E402
from pool import Pool, PoolError  # noqa: E402

# In every pool; the other cases of cgroup v2, and these of all layouts, only where a suite asks for everything.
ALWAYS = ('v2-limits', 'v2-oom', 'v2-remove')
ALSO = ('remove-deaf', 'vacate', 'daemons')


class Shared:
    """The pool of a suite, from its first test to its last."""

    def __init__(self, mode, private):
        self.mode, self.private, self.pool, self.failed = mode, private, None, None

    def start(self):
        root, stage, payload = (os.environ[f'NESTBOX_CONDOR_{name}'] for name in ('ROOT', 'STAGE', 'PAYLOAD'))
        self.pool = Pool(self.mode, root, stage, config.files(self.mode, stage), self.private)
        os.makedirs(f'{self.pool.shared}/bin', exist_ok=True)
        shutil.copy(payload, f'{self.pool.shared}/bin/payload')
        try:
            self.pool.start()
        except PoolError as error:
            self.failed = str(error)
            raise check.Failed(f'{error}; {self.pool.worker_log()}') from error
        check.expect_equal(self.pool.worker_log().strip(), '', 'what the entrypoint said')

    def perform(self, case):
        if not self.pool or self.failed:
            raise check.Failed(f'no pool: {self.failed}')
        try:
            harness.Run(self.pool, case).perform()
        except (harness.Failed, PoolError) as error:
            raise check.Failed(f'{case.why}: {error}') from error

    def stop(self):
        left = self.pool.stop()
        check.expect_equal(left, [], 'left behind by the pool')


def add(suite, mode, private, everything=False):
    """The suite's tests: start, a job each, stop."""
    shared = Shared(mode, private)
    v2 = [case for case in cases_v2.CASES if everything or case.name in ALWAYS]
    also = [case for case in cases.CASES if everything and case.name in ALSO]
    check.REGISTRY.append((f'{suite}.start', shared.start, ()))
    for case in [cases.SMOKE, *v2, *also]:
        check.REGISTRY.append((f'{suite}.{case.name}', shared.perform, (case,)))
    check.REGISTRY.append((f'{suite}.stop', shared.stop, ()))
