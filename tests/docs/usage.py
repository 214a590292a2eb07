# SPDX-License-Identifier: Apache-2.0
"""Options and verbs: help, man page and completions say the same as the tables."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import sources
from tree import Skip

MAN, BASH, ZSH = "docs/man/nestbox.1", "completions/nestbox.bash", "completions/_nestbox"
# '(-S --job-dir)'{-S,--job-dir}'[...]:  or  '--env[...]:
ZSH_OPTION = re.compile(r"^\s+'(?:[^']*'\{-(\w),--([a-z-]+)\}'|\*?--([a-z-]+))\[(?:[^]'\\]|\\.|'\\'')*\]([:'])", re.M)
BY_PATH = {"tmp", "mount", "execute", "file", "hide"}


def steps_in_order(tree):
    """The rows of a real plan come in the order in which the page describes them."""
    for options in ([], ["--profile", "strict"], ["--memory", "64MiB"]):
        answer = tree.run("exec", "--explain", "--json", *options, "/", "/bin/true")
        if not answer.startswith("{"):
            if options[:1] == ["--memory"] and "cannot limit" in answer:
                continue
            yield f"nestbox exec --explain --json says: {answer[:200]}"
            continue
        page = {name: at for at, (name, _, _) in reversed(list(enumerate(sources.described(tree))))}
        seen = [row["step"] for row in json.loads(answer)["rows"] if row["step"] not in BY_PATH]
        for before, after in zip(seen, seen[1:]):
            if page[before] > page[after] and {before, after} != {"cgroup-make", "cgroup-limit"}:
                yield f"{sources.ARCHITECTURE}: {after} comes after {before} in a plan"


def plan_shown(tree):
    """Rows of a plan that the README shows are an ordinary user's, but for numbers."""
    def plain(line):
        return re.sub(r"\d+", "N", " ".join(line.split()))
    shown = [line for line in tree.text("README.md").splitlines() if re.match(r"(keeper|init|payload)  ", line)]
    status, said = tree.run_as_user("exec", "--explain", "/", "true")
    rows = {plain(line) for line in said.splitlines()}
    if status != 0 or not shown:
        yield f"README.md: {len(shown)} rows; nestbox exec --explain: status {status}: {said[:200]}"
    for line in shown:
        if plain(line) not in rows:
            yield f"README.md: no row of a plan: {line}"


def man_options(tree):
    """Long names and letters in the list of options: .It Fl B , Fl Fl bind Ar ..."""
    part = tree.text(MAN).split(".Ss Options of exec, shell and run", 1)[1].split("\n.S", 1)[0]
    found = {}
    for line in re.findall(r"^\.It (.*)$", part, re.M):
        letter = re.match(r"Fl (\w) ,", line)
        name = re.search(r"Fl Fl ([a-z-]+)", line)
        if name:
            found[name.group(1)] = (letter.group(1) if letter else "", " Ar " in line)
    return found


def differences(place, found, wanted):
    for name in sorted(set(wanted) - set(found)):
        yield f"{place}: --{name} is missing"
    for name in sorted(set(found) - set(wanted)):
        yield f"{place}: there is no option --{name}"
    for name in sorted(set(found) & set(wanted)):
        if found[name] != wanted[name]:
            yield f"{place}: --{name}: letter and value are {wanted[name]}, not {found[name]}"


def table(tree):
    return {name: (letter, value) for name, letter, value in tree.options()}


def options_in_man(tree):
    yield from differences(MAN, man_options(tree), table(tree))


def options_in_help(tree):
    """What the man page lists is what --help of the program lists."""
    text = tree.run("exec", "--help")
    rows = re.findall(r"^  (?:-(\w),|   ) --([a-z-]+)( \S+)?  ", text, re.M)
    found = {name: (letter, bool(value)) for letter, name, value in rows}
    yield from differences("nestbox exec --help", found, man_options(tree))


def verbs_in_man(tree):
    text = tree.text(MAN)
    for verb in tree.verbs():
        if not re.search(rf"^\.(?:It )?Cm {verb}\b", text, re.M):
            yield f"{MAN}: the synopsis has no {verb}"
    for verb in set(re.findall(r"^\.Cm (\w+)", text, re.M)) - set(tree.verbs()):
        yield f"{MAN}: there is no verb {verb}"


LAUNCHER = ["runtime/request", "runtime/plan", "runtime/box", "runtime/keeper", "runtime/commands", "runtime/condor"]


def environment_in_man(tree):
    """The variables that the launcher looks at are those that the page names."""
    names = [n for folder in LAUNCHER for n in tree.files(folder, ".c")]
    text = "".join(tree.text(n) for n in [*names, "runtime/host/facts.c"])
    read = set(re.findall(r'\benv, "([A-Z_]+)"', text)) - {"PATH"}
    part = tree.text(MAN).split(".Sh ENVIRONMENT", 1)[1].split("\n.Sh", 1)[0]
    told = {n for line in re.findall(r"^\.(?:It )?Ev (.*)$", part, re.M) for n in re.findall(r"[A-Z_]+", line)}
    for name in sorted(read ^ told):
        yield f"{MAN}: ENVIRONMENT: {name} is {'not told' if name in read else 'not read by the launcher'}"


def man_lint(tree):
    if not shutil.which("mandoc"):
        raise Skip("mandoc is not installed")
    for page in tree.files("docs/man", ".1"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", tree.path(page)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        yield from done.stdout.decode().splitlines()


def completion_options(tree):
    wanted = table(tree)
    bash = re.search(r"_nestbox_options='([^']*)'", tree.text(BASH)).group(1).split()
    yield from differences(BASH, {n[2:]: wanted.get(n[2:]) for n in bash if n.startswith("--")}, wanted)
    letters = {n[1:] for n in bash if re.fullmatch(r"-\w", n)}
    if letters != {letter for letter, _ in wanted.values() if letter}:
        yield f"{BASH}: the letters are not those of the option table"
    part = tree.text(ZSH).split("_nestbox_run() {", 1)[1].split("\n}", 1)[0]
    zsh = {}
    for match in ZSH_OPTION.finditer(part):
        zsh[match.group(2) or match.group(3)] = (match.group(1) or "", match.group(4) == ":")
    zsh.pop("help", None)
    yield from differences(ZSH, zsh, wanted)


def completion_verbs(tree):
    wanted = set(tree.verbs())
    bash = set(re.search(r"_nestbox_verbs='([^']*)'", tree.text(BASH)).group(1).split())
    zsh = set(re.findall(r"^\t\t'([a-z]+):", tree.text(ZSH), re.M))
    for place, found in ((BASH, bash), (ZSH, zsh)):
        if found != wanted:
            yield f"{place}: verbs that differ from the command table: {sorted(found ^ wanted)}"


# words typed so far (the last is being completed), what must be offered, what must not
COMPLETED = [
    (["nestbox", ""], {"exec", "audit", "doctor"}, {"--memory"}),
    (["nestbox", "exec", "--me"], {"--memory"}, {"--bind"}),
    (["nestbox", "exec", "--profile", ""], {"nested", "strict"}, {"exec"}),
    (["nestbox", "exec", "--bind", "/et"], {"/etc/"}, {"--bind"}),
    (["nestbox", "exec", "--bind", "/etc", ":", "/et"], {"/etc/"}, {"--bind"}),
    (["nestbox", "exec", "--profile", "="], {"nested", "strict"}, set()),
    (["nestbox", "exec", "--profile", "=", "s"], {"strict"}, {"nested"}),
    (["nestbox", "exec", "-B", "/etc", ":", "/x", "--me"], {"--memory"}, set()),
    (["nestbox", "exec", "--memory", "=", "2GiB", "/", "/bin/tru"], {"/bin/true"}, set()),
    (["nestbox", "exec", "-"], {"-B", "--explain"}, set()),
    (["nestbox", "audit", "v"], {"verify"}, {"find"}),
    (["nestbox", "policy", "ch"], {"check"}, {"show"}),
    (["nestbox", "identity", "--format", "c"], {"classad", "consul"}, {"json"}),
    (["nestbox", "help", "ex"], {"exec"}, {"audit"}),
    (["nestbox", "wrap", "--"], set(), {"--bind", "--memory"}),
]


def bash_completes(tree):
    for words, wanted, unwanted in COMPLETED:
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _nestbox; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-uc", script, "bash", tree.path(BASH), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        offered = set(done.stdout.decode().split())
        if done.returncode != 0 or not wanted <= offered or unwanted & offered:
            yield f"{BASH}: {' '.join(words)}<TAB> offers {sorted(offered)[:12]}"


def zsh_parses(tree):
    if not shutil.which("zsh"):
        raise Skip("zsh is not installed")
    done = subprocess.run(["zsh", "-n", tree.path(ZSH)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    yield from done.stdout.decode().splitlines()


IDENTITY = "docs/identity.md"
# nb_id_env(&v->env, "A B", ...), nb_id_set_env(id, FIELD, &v->env, "A B"), nb_id_env_ending(&v->env, "B", ...)
ENV_NAMES = re.compile(r'nb_id_(?:set_)?env(_ending)?\((?:id, \w+, )?&\w+(?:->|\.)?\w*,\s+"([A-Za-z_0-9 ]+)"')


def capture_complete(tree):
    """The command that makes a capture takes each file and each variable that identity reads."""
    block = re.search(r"```sh\n(p=self.*?)```", tree.text(IDENTITY), re.S).group(1)
    lines = dict(line.split(" ", 1) for line in block.split("<<END\n")[1].split("\nEND")[0].splitlines())
    table = re.findall(r'= \{ "([a-z0-9-]+)", (?:NB_RUNDIR )?"([^"]+)" \}', tree.text("runtime/host/identity_gather.c"))
    for name, path in table:
        told = re.sub(r"\$\w+", lambda m: {"$p": "self", "$one": "1"}.get(m.group(), ""), lines.pop(name, ""))
        if not told.endswith(path):
            yield f"{IDENTITY}: the capture has '{told}' for {name}, not {path}"
    for name in lines:
        yield f"{IDENTITY}: {name} is captured and never read"
    pattern = re.compile("|".join(re.findall(r"^v=['\"](?:\$v\|)?(.*)['\"]$", block, re.M)))
    sources_read = "".join(tree.text(n) for n in tree.files("runtime/host", ".c"))
    marks = re.search(r"#define JOB_MARKS(.*?)\n\n", sources_read, re.S).group(1)
    names = [(e, n) for e, n in ENV_NAMES.findall(sources_read)] + [("", " ".join(re.findall(r"_CONDOR\w+", marks)))]
    for ending, listed in names:
        for name in listed.split():
            if not pattern.fullmatch(("A_" if ending else "") + name):
                yield f"{IDENTITY}: the capture leaves out the variable {name}"


def capture_made(tree):
    """The command runs in a plain shell, keeps no secret, and what it made is understood."""
    if not tree.nestbox:
        raise Skip("needs --nestbox, a staged install")
    block = re.search(r"```sh\n(p=self.*?)```", tree.text(IDENTITY), re.S).group(1)
    with tempfile.TemporaryDirectory(prefix="nestbox-docs.") as place:
        variables = {"PATH": os.environ["PATH"], "WORKER_CONTAINER_IMAGE": "a/b:1", "VAULT_TOKEN": "hidden"}
        subprocess.run(["sh", "-c", block], cwd=place, env=variables, stdin=subprocess.DEVNULL, check=False)
        made = {name: open(os.path.join(place, "capture", name), "rb").read() for name in os.listdir(f"{place}/capture")}
        if not os.path.exists(f"{place}/capture.tgz") or not {"mountinfo", "cgroup", "environ"} <= set(made):
            yield f"{IDENTITY}: the capture has only {sorted(made)}"
        if b"WORKER_CONTAINER_IMAGE=a/b:1" not in made.get("environ", b"") or b"hidden" in b"".join(made.values()):
            yield f"{IDENTITY}: of the environment the capture has {made.get('environ')}"
        said = tree.run("identity", "--format", "json", "--from", f"{place}/capture")
        if not said.startswith("{"):
            yield f"nestbox identity --from says: {said[:200]}"
