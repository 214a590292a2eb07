# SPDX-License-Identifier: Apache-2.0
"""Mistakes that the checks must find, each put into a copy of the tree."""
import collections
import contextlib
import os
import shutil
import tempfile

from tree import Tree

Row = collections.namedtuple("Row", "check what file old new")

ROWS = [
    Row("links", "a page that is not there", "README.md", "docs/architecture.md)", "docs/architectures.md)"),
    Row("links", "a heading that is not there", "docs/trust.md",
        "# Trust", "# Trust\n\n[x](errors.md#no-such-heading)"),
    Row("verbs-named", "a verb that is not there", "README.md", "nestbox doctor", "nestbox doktor"),
    Row("steps-described", "a new step", "runtime/plan/steps.c", '{ "seal", NB_INIT', '{ "glue", NB_INIT'),
    Row("steps-described", "another process", "docs/architecture.md",
        "| `session` | payload |", "| `session` | init |"),
    Row("steps-in-order", "a row too early", "docs/architecture.md", "| `report` | init |",
        "| `pivot` | init | early |\n| `report` | init |"),
    Row("threat-rows", "an attack that no row names", "tests/attack/attacks.tsv",
        "kill-group\tB01", "kill-groups\tB01"),
    Row("threat-rows", "an attack of a row that is not there", "tests/attack/attacks.tsv",
        "kill-group\tB01", "kill-group\tB99"),
    Row("threat-tests", "a test that is not there", "tests/live/cases_world.py", "def case_hidden", "def case_hiden"),
    Row("threat-steps", "a step that is not there", "docs/threats.md", "`seccomp`", "`secomp`"),
    Row("sentences", "a sentence that was changed", "runtime/request/options.c",
        "unknown option -", "strange option -"),
    Row("sentences-said", "a sentence that the page lacks", "docs/errors.md",
        "### `cannot execute …`", "### `cannot start …`"),
    Row("plan-shown", "a row that is none", "README.md", "map uid 12345", "map user 12345"),
    Row("classes", "a class that was renamed", "runtime/base/error.c", '"secret"', '"secrets"'),
    Row("preflight-codes", "another number", "hooks/prepare-job.in", "echo 102", "echo 112"),
    Row("options-in-man", "an option that the page lacks", "docs/man/nestbox.1",
        ".It Fl Fl memory", ".It Fl Fl memories"),
    Row("options-in-man", "a letter that was changed", "runtime/request/options.c",
        "{ \"bind\", 'B'", "{ \"bind\", 'b'"),
    Row("options-in-help", "an option that the program lacks", "docs/man/nestbox.1",
        ".It Fl Fl cpus", ".It Fl Fl processors"),
    Row("verbs-in-man", "a verb that the page lacks", "runtime/commands/main.c", '{ "doctor", "', '{ "nurse", "'),
    Row("environment-in-man", "a variable more", "runtime/host/facts.c", '"HOME"', '"NESTBOX_HOME"'),
    Row("man-lint", "a macro that is none", "docs/man/nestbox.1", ".Sh FILES", ".Sh FILES\n.Zz"),
    Row("completion-options", "an option that bash lacks", "completions/nestbox.bash", "--pids-limit", "--pids"),
    Row("completion-options", "an option that zsh lacks", "completions/_nestbox", "--status-fd", "--status"),
    Row("completion-verbs", "a verb that is not there", "completions/_nestbox", "'doctor:", "'docter:"),
    Row("bash-completes", "a function that is broken", "completions/nestbox.bash", "nested strict", "nested"),
    Row("capture-complete", "a file that is left out", "docs/identity.md", "containerenv $root", "container $root"),
    Row("capture-complete", "a variable that is left out", "docs/identity.md", "|NOMAD_ALLOC_ID", ""),
    Row("capture-made", "a secret that is kept", "docs/identity.md", "WORKER_[A-Z_]*", "[A-Z_]*"),
    Row("capture-made", "a program that is not there", "docs/identity.md", "*) cat ", "*) catt "),
    Row("zsh-parses", "a quote that is open", "completions/_nestbox", "'doctor:", "doctor:"),
]
PARTS = ("docs", "runtime", "hooks", "completions", "tests")


@contextlib.contextmanager
def copy_of(tree):
    """A tree of its own, with what the checks look at."""
    with tempfile.TemporaryDirectory(prefix="nestbox-docs.") as place:
        for part in PARTS:
            shutil.copytree(tree.path(part), os.path.join(place, part), symlinks=True,
                            ignore=shutil.ignore_patterns("__pycache__", "data", "bench", "build*"))
        for name in os.listdir(tree.root):
            if os.path.isfile(tree.path(name)):
                shutil.copy(tree.path(name), place)
        yield Tree(place, tree.nestbox)


def found(copy, check, row, judge):
    """Does the check find more than before? The copy is as before afterwards."""
    text = copy.text(row.file)
    if row.old not in text:
        return "FAIL", [f"{row.file} has no '{row.old}' to be changed"]
    before = set(judge(check, copy)[1])
    with open(copy.path(row.file), "w", encoding="utf-8") as stream:
        stream.write(text.replace(row.old, row.new))
    word, lines = judge(check, copy)
    with open(copy.path(row.file), "w", encoding="utf-8") as stream:
        stream.write(text)
    if word == "SKIP":
        return word, lines
    new = [line for line in set(lines) - before if not line.startswith("could not be tried")]
    return ("PASS", []) if word == "FAIL" and new else ("FAIL", ["the mistake was not found"])
