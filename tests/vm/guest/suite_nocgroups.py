# SPDX-License-Identifier: Apache-2.0
"""A worker without any cgroup file system."""
from check import each, expect_equal
from worker import JOB_UID, LIMITS, nestbox, refused, run


@each([JOB_UID, 0])
def limits_are_refused(uid):
    refused(run(nestbox('echo', 'ran', options=LIMITS), uid), 'cgroup')


@each([JOB_UID, 0])
def box_runs_without(uid):
    result = run(nestbox('echo', 'ran'), uid)
    expect_equal((result.code, result.out), (0, 'ran\n'), result.said())
