# SPDX-License-Identifier: Apache-2.0
"""Pages whose content is the code's: steps, threats and their tests, sentences of errors."""
import os
import re

ARCHITECTURE, THREATS, ERRORS = "docs/architecture.md", "docs/threats.md", "docs/errors.md"
CODE = re.compile(r"`([^`]+)`")


def described(tree):
    rows = list(tree.rows(ARCHITECTURE, "steps"))[1:]
    return [(CODE.findall(row[0])[0], row[1], row[2]) for row in rows]


def steps_described(tree):
    """Each step of the step table has one row, with the process that performs it, and no other step has one."""
    table, page = dict(tree.steps()), described(tree)
    names = [name for name, _, _ in page]
    if not table:
        yield "no step found in runtime/plan/steps.c"
    for name in sorted(set(table) - set(names)):
        yield f"{ARCHITECTURE}: step {name} is not described"
    for name, who, what in page:
        if name not in table:
            yield f"{ARCHITECTURE}: there is no step {name}"
        elif who != table[name]:
            yield f"{ARCHITECTURE}: step {name} is done by {table[name]}, not by {who}"
        if names.count(name) != 1 or not what:
            yield f"{ARCHITECTURE}: step {name} needs one row with a text"


def attacks(tree):
    """Attack and row, from both lists of the attack tests."""
    for line in tree.text("tests/attack/attacks.tsv").splitlines():
        if line and not line.startswith("#"):
            cells = line.split("\t")
            yield cells[0], cells[1]
    for name in ("scenarios", "scenarios_host", "scenarios_limits"):
        yield from re.findall(r'^    \("([\w-]+)", "([A-Z]\d\d)", "', tree.text(f"tests/attack/{name}.py"), re.M)


def threats(tree):
    """Row by id: the cells after the id. Rows of the second kind (what is not covered) have two."""
    return {row[0]: row[1:] for row in tree.rows(THREATS) if re.fullmatch(r"[A-M]\d\d", row[0])}


def shown_by(cells):
    """The tests that a row names, by kind: 'attack a, b; live status.x'."""
    for part in cells[-1].split(";"):
        kind, _, names = part.strip().partition(" ")
        if kind:
            yield kind, [n.strip() for n in names.split(",") if n.strip()]


def threat_rows(tree):
    """Each attack belongs to a row, and the row names it; each row is there once."""
    ids = [row[0] for row in tree.rows(THREATS) if re.fullmatch(r"[A-M]\d\d", row[0])]
    for twice in sorted({i for i in ids if ids.count(i) > 1}):
        yield f"{THREATS}: row {twice} is there twice"
    rows = threats(tree)
    for attack, row in attacks(tree):
        if row not in rows:
            yield f"{THREATS}: no row {row}, which attack {attack} is about"
        elif attack not in dict(shown_by(rows[row])).get("attack", []):
            yield f"{THREATS}: row {row} does not name its attack {attack}"


def known_tests(tree):
    cases = re.compile(r"^def case_(\w+)", re.M)
    named = {}
    for kind in ("live", "audit"):
        names = [n for n in os.listdir(tree.path(f"tests/{kind}")) if re.fullmatch(r"cases_\w+\.py", n)]
        named[kind] = {f"{n[6:-3]}.{case}" for n in names for case in cases.findall(tree.text(f"tests/{kind}/{n}"))}
    condor = "".join(tree.text(n) for n in tree.files("tests/condor", ".py"))
    guest = "".join(tree.text(n) for n in tree.files("tests/vm", ".py"))
    secrets = "".join(tree.text(n) for n in ["tests/secrets/run", *tree.files("tests/secrets", ".py")])
    named["attack"] = {name for name, _ in attacks(tree)}
    named["condor"] = set(re.findall(r'\b[Cc]ase\("([\w-]+)"', condor))
    named["vm"] = set(re.findall(r"^def (\w+)", guest, re.M)) | {"power-cut"}
    named["secrets"] = set(re.findall(r"^def (?:test_)?(\w+)", secrets, re.M))
    named["unit"] = {os.path.basename(n)[5:-2] for n in tree.files("tests/unit", ".c")}
    named["lint"] = set(re.findall(r'^    \("([\w-]+)", ', tree.text("tests/lint/run"), re.M))
    named["containers"] = {"matrix"}
    return named


def threat_tests(tree):
    """What a row names as its test exists."""
    known = known_tests(tree)
    for row, cells in threats(tree).items():
        if len(cells) < 4:
            continue
        if not cells[-1]:
            yield f"{THREATS}: row {row} names no test; it belongs to the rows that are not covered"
        for kind, names in shown_by(cells):
            for name in names if kind in known else [kind]:
                if kind not in known or name not in known[kind]:
                    yield f"{THREATS}: row {row}: there is no test '{kind} {name}'"


def threat_steps(tree):
    """The steps that a row names are steps, and each step answers a threat."""
    table, named = {name for name, _ in tree.steps()}, set()
    for row, cells in threats(tree).items():
        steps = CODE.findall(cells[1]) if len(cells) == 4 else []
        named.update(steps)
        for step in sorted(set(steps) - table):
            yield f"{THREATS}: row {row}: there is no step {step}"
    for step in sorted(table - named):
        yield f"{THREATS}: step {step} is in no row: what is it for?"


def squeezed(text):
    return re.sub(r"\s+", " ", text)


def headings(tree):
    """The sentences of the page, each with its pattern."""
    part = tree.text(ERRORS).split("<!-- sentences -->", 1)[1].split("<!-- /sentences -->", 1)[0]
    for heading in re.findall(r"^### (.*)$", part, re.M):
        parts = [p.strip() for p in heading.strip("` ").split("…") if p.strip()]
        begins = "" if heading.strip("` ").startswith("…") else "^"
        yield heading, begins + ".*".join(re.escape(p) for p in parts)


def sentences(tree):
    """Each heading of the sentences is one of the program's: its parts between dots stand in one text, in order."""
    texts, count = [squeezed(t) for t in tree.literals()], 0
    for heading, pattern in headings(tree):
        count += 1
        if not any(re.search(pattern, text) for text in texts):
            yield f"{ERRORS}: the program says nowhere: {heading}"
    if count < 10:
        yield f"{ERRORS}: {count} sentences"


# bad input by an ordinary user, exit status
BAD = [
    (["exec", "--bogus", "/", "true"], 125), (["exec", "-Z", "/", "true"], 125), (["frob"], 125),
    (["exec", "/nonexistent-image", "true"], 125), (["exec", "/etc/passwd", "true"], 125),
    (["exec", "/", "nonexistent-command"], 127), (["exec", "/", "/etc/passwd"], 126),
    (["exec", "--user", "5", "/", "true"], 125), (["exec", "--pwd", "/nonexistent", "/", "true"], 125),
    (["exec", "--bind", "/nonexistent", "/", "true"], 125), (["exec", "--cpus", "many", "/", "true"], 125),
    (["exec", "--policy", "/dev/null", "/", "true"], 125),
]


def sentences_said(tree):
    """What bad input gets is on the page, with its status."""
    patterns = [pattern for _, pattern in headings(tree)]
    for arguments, wanted in BAD:
        status, said = tree.run_as_user(*arguments)
        sentence = squeezed(said.strip()).removeprefix("nestbox: ")
        if status != wanted or "\n" in said.strip():
            yield f"nestbox {' '.join(arguments)}: status {status}, not {wanted}: {said.strip()[:200]}"
        elif not any(re.search(pattern, sentence) for pattern in patterns):
            yield f"{ERRORS}: has not: {sentence}"


def classes(tree):
    """The table of classes has those of base.h, and the exit statuses are its."""
    words = set(re.findall(r'\[NB_\w+\] = "(\w+)"', tree.text("runtime/base/error.c"))) - {"none"}
    rows = {CODE.findall(r[0])[0] for r in tree.rows(ERRORS, "classes") if CODE.findall(r[0])}
    if words != rows or not words:
        yield f"{ERRORS}: classes {sorted(rows)}, base/error.c has {sorted(words)}"
    numbers = set(re.findall(r"NB_EXIT_\w+ = (\d+)", tree.text("runtime/base/base.h")))
    told = {CODE.findall(r[0])[0] for r in tree.rows(ERRORS, "statuses") if CODE.findall(r[0])}
    if not numbers <= told:
        yield f"{ERRORS}: exit statuses {sorted(numbers - told)} are not in the table"


def preflight_codes(tree):
    """The numbers that HTCondor gets from the preflight are those of the hook."""
    hook = dict(re.findall(r"^\t(\w+|\*)\) echo (\d+)", tree.text("hooks/prepare-job.in"), re.M))
    for row in tree.rows(ERRORS, "classes"):
        word = CODE.findall(row[0])
        if word and row[-1] != hook.get(word[0], hook.get("*")):
            yield f"{ERRORS}: class {word[0]}: the hook says {hook.get(word[0], hook.get('*'))}, not {row[-1]}"
