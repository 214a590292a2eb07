# SPDX-License-Identifier: Apache-2.0
"""Other people's checkers, with the checks that have found something here and nothing that needs exceptions."""
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

from structure import built
from tree import Skip

TIDY = ",".join(["-*", "bugprone-*", "cert-err34-c", "cert-env33-c", "misc-redundant-expression",
                 "-bugprone-easily-swappable-parameters",  # positions are clear by name; types can't tell fd from fd
                 "-bugprone-reserved-identifier",          # _GNU_SOURCE
                 "-bugprone-narrowing-conversions",        # gcc -Wconversion, with fewer false ones
                 "-bugprone-assignment-in-if-condition",
                 "-bugprone-suspicious-include",
                 "-bugprone-sizeof-expression",            # arrays of pointers are meant
                 "-bugprone-macro-parentheses",            # type names can't have them
                 "-bugprone-suspicious-missing-comma",     # SQL over several lines
                 "-bugprone-integer-division",
                 "-bugprone-misplaced-widening-cast",
                 "-bugprone-implicit-widening-of-multiplication-result"])
# cppcheck knows neither cleanup attributes (memory) nor the linker's symbols (pointers); the sanitizer builds judge those.
CPPCHECK_OFF = ["missingInclude", "memleak", "resourceLeak", "comparePointers", "internalAstError"]


def need(tool):
    if shutil.which(tool) is None:
        raise Skip(f"{tool} is not installed")


def findings(command, root, pattern):
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if re.search(pattern, line):
            yield re.sub(r"^\S*?" + re.escape(root.lstrip("/")) + "/", "", line)


def shellcheck(tree):
    need("shellcheck")
    files = [f.path for f in tree.of("shell")]
    if files:  # SC2016: text in single quotes is meant for another shell
        command = ["shellcheck", "-x", "-P", "SCRIPTDIR", "-e", "SC2016", "-S", "info", "-f", "gcc"]
        yield from findings(command + files, tree.root, r":\d+:\d+: ")


def cppcheck(tree):
    need("cppcheck")
    files = [f.path for f in tree.of("c") if f.path.startswith("runtime/")]
    if files:
        yield from findings(["cppcheck", "-q", "-j2", "--enable=warning,performance,portability", "--inline-suppr",
                             "--std=c11", "-Iruntime", "--template=gcc"]
                            + ["--suppress=" + name for name in CPPCHECK_OFF] + files, tree.root,
                            r":\d+:\d+: (?:error|warning|performance|portability)")


def plain_units(tree, build):
    """What to check and how to read it: only the options that clang and gcc share."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        units = json.load(stream)
    for unit in units:
        words = shlex.split(unit["command"])
        kept = [w for w in words if re.match(r"-(?:std=|[DIU])", w)]
        unit["command"] = shlex.join(["cc"] + kept + [unit["file"]])
        unit["file"] = os.path.normpath(os.path.join(unit["directory"], unit["file"]))
    ours = os.path.join(tree.root, "runtime") + "/"
    return [u for u in units if u["file"].startswith(ours) and u["file"].endswith(".c")]


def clang_tidy(tree):
    need("clang-tidy")
    with tempfile.TemporaryDirectory(prefix="nestbox-lint.") as scratch:
        units = plain_units(tree, built(tree, os.path.join(scratch, "build")))
        with open(os.path.join(scratch, "compile_commands.json"), "w", encoding="utf-8") as stream:
            json.dump(units, stream)
        files = sorted({u["file"] for u in units})
        command = ["clang-tidy", "-p", scratch, "-checks=" + TIDY, "--quiet"]
        half = (len(files) + 1) // 2
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(list, findings(command + part, tree.root, r":\d+:\d+: (?:warning|error): |^error:"))
                     for part in (files[:half], files[half:]) if part]
        for part in parts:
            yield from part.result()
