# SPDX-License-Identifier: Apache-2.0
"""The pool's configuration: HTCondor's own files as packaged, the test's in between, nestbox's with its blocks activated."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCKS = ("wrap", "identity", "check", "schedd")


def activated(text, blocks):
    """What an administrator does to 70-nestbox.conf: the '#' taken away from the settings of some blocks."""
    parts = re.split(r"^(?=# \[)", text, flags=re.M)
    return "".join(re.sub(r"^#(?=\S)", "", part, flags=re.M) if part[3:part.find("]")] in blocks else part
                   for part in parts)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files(mode, stage):
    """{path inside the container: text}"""
    nestbox = activated(read(stage + "/etc/condor/config.d/70-nestbox.conf"), BLOCKS)
    return {
        "/etc/condor/config.d/10-test.conf": read(HERE + "/pool.conf") + read(f"{HERE}/{mode}.conf"),
        "/etc/condor/config.d/70-nestbox.conf": nestbox,
        # The hook of [preflight], for the jobs that name the keyword; and one with a recorder in nestbox's place.
        "/etc/condor/config.d/80-test.conf": "NESTBOX_HOOK_PREPARE_JOB = $(NESTBOX_LIBEXEC)/prepare-job\n"
                                             "EXITED_HOOK_JOB_EXIT = $(NESTBOX_LIBEXEC)/job-exit\n"
                                             "RECORD_HOOK_PREPARE_JOB = $(NESTBOX_LIBEXEC)/prepare-record\n",
    }
