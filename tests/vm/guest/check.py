# SPDX-License-Identifier: Apache-2.0
"""Tests as functions: each ends, or raises. One line each on stdout, and a last line that says how many there were."""
import fnmatch
import os
import sys
import traceback

REGISTRY = []


class Failed(Exception):
    """The test found something wrong."""


class Skip(Exception):
    """The feature that the test is about isn't here; the text names it."""


def each(cases):
    """Registers the function once for each case: its arguments, which also name it."""
    def register(function):
        suite = function.__module__.removeprefix('suite_')
        for case in cases:
            case = case if isinstance(case, tuple) else (case,)
            name = '.'.join([suite, function.__name__, *map(str, case)])
            REGISTRY.append((name, function, case))
        return function
    return register


def test(function):
    return each([()])(function)


def expect(truth, said):
    if not truth:
        raise Failed(said)


def expect_equal(found, wanted, what):
    expect(found == wanted, f'{what}: {found!r} instead of {wanted!r}')


def expect_text(text, *parts):
    for part in parts:
        expect(part.lower() in text.lower(), f'{part!r} is not in {text!r}')


def expect_near(found, wanted, part, what):
    expect(abs(found - wanted) <= wanted * part, f'{what}: {found} is not within {part:.0%} of {wanted}')


def run_all(pattern, cleanup):
    count = 0
    for name, function, case in REGISTRY:
        if not fnmatch.fnmatch(name, pattern):
            continue
        count += 1
        try:
            function(*case)
            print('PASS', name)
        except Skip as why:
            print(f'SKIP {name}: {why}')
        except Failed as why:
            print(f'FAIL {name}: {why}')
        except Exception:  # pylint: disable=broad-exception-caught
            where = traceback.format_exc().strip().replace('\n', '\n  ')
            print(f'FAIL {name}: the test itself broke\n  {where}')
        finally:
            cleanup()
            sys.stdout.flush()
    print('RAN', count, os.uname().release)
