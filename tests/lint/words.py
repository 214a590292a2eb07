# SPDX-License-Identifier: Apache-2.0
"""Rules about what is written: words, calls, form. Patterns are spelled so that they do not match themselves."""
import re

GOTO = re.compile(r"\bgo[t]o\b")
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")
REGISTRY = re.compile(r"(?:deb|security|ftp[.\w]*|snapshot)\.debian\.org|archive\.ubuntu\.com|\bpypi\.org"
                      r"|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|proxy\.golang\.org"
                      r"|static\.crates\.io|index\.crates\.io|rubygems\.org|repo1\.maven\.org")
ELSEWHERE = re.compile(r"\.\./share[d]\b|/wor[k]/(?:main|shared)\b|/tmp/nestbox-h[e]lper"
                       r"|\bfact[s]/[\w-]+\.md|\bCl[a]ude\b|\bAnthr[o]pic\b")
SPDX = re.compile(r"SPDX-License-Identifier: Apache-2\.0")


def grep(files, pattern, what, text=lambda f: f.text):
    for f in files:
        for number, line in enumerate(text(f).split("\n"), 1):
            match = pattern.search(line)
            if match:
                yield f"{f.path}:{number}: {what.format(match.group(0))}"


def no_goto(tree):
    what = "jumps; return early, or let a cleanup attribute do it"
    return grep(tree.of("c", "header"), GOTO, what, lambda f: f.code())


def unfinished(tree):
    return grep(tree.texts(), UNFINISHED, "'{}': finish it, or write down what is missing where users look")


def registry_names(tree):
    return grep(tree.texts(), REGISTRY, "names the registry {}: use the machine's own configuration")


def outside_world(tree):
    return grep(tree.texts(), ELSEWHERE, "'{}' means nothing to a reader of the project")


def banned_calls(tree):
    reasons = dict(row.split(None, 1) for row in tree.table("banned.txt"))
    call = re.compile(r"(?<![\w.>])(" + "|".join(map(re.escape, reasons)) + r")\s*\(")
    for f in tree.of("c", "header"):
        for number, line in enumerate(f.code().split("\n"), 1):
            for match in call.finditer(line):
                yield f"{f.path}:{number}: {match.group(1)}(): {reasons[match.group(1)]}"


def licence(tree):
    for f in tree.of("c", "header", "shell", "python"):
        if not any(SPDX.search(line) for line in f.lines[:3]):
            yield f"{f.path}:1: no SPDX-License-Identifier: Apache-2.0 in the first three lines"


def form(tree):
    for f in tree.of("c", "header", "shell", "python", "meson"):
        if f.text and not f.text.endswith("\n"):
            yield f"{f.path}:{len(f.lines)}: no line end at the end of the file"
        for number, line in enumerate(f.lines, 1):
            if line != line.rstrip():
                yield f"{f.path}:{number}: trailing white space"
            if f.kind in ("c", "header") and re.match(r" +[^ *]|\t* {8}", line):
                yield f"{f.path}:{number}: indented by spaces; C is indented by tabs"


def scripts_run(tree):
    for f in tree.texts():
        template = f.path.endswith(".in")
        if f.text.startswith("#!") and not f.executable and not template:
            yield f"{f.path}:1: has an interpreter line and is not executable"
        elif f.executable and not f.text.startswith("#!"):
            yield f"{f.path}:1: is executable and has no interpreter line"
