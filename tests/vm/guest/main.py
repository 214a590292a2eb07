# SPDX-License-Identifier: Apache-2.0
"""main.py PATTERN SUITE...: the named suites' tests whose name fits the pattern. Runs in the guest, as root."""
import importlib
import sys

import check
import worker

if __name__ == '__main__':
    for suite in sys.argv[2:]:
        importlib.import_module(f'suite_{suite}')
    worker.prepare()
    check.run_all(sys.argv[1], worker.clean)
