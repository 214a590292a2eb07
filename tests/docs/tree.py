# SPDX-License-Identifier: Apache-2.0
"""What the checks look at: files of the tree, and tables that are taken out of its C sources."""
import os
import re
import subprocess

LITERALS = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*(?:NB_[A-Z]+\s*)?"(?:\\.|[^"\\\n])*")*')
PIECE = re.compile(r'"((?:\\.|[^"\\\n])*)"')
FORMAT = re.compile(r"%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z)?[diouxXcsp]|%%")


class Skip(Exception):
    """A check that can't be tried here; its text is the reason."""


class Tree:
    def __init__(self, root, nestbox=None):
        self.root = root
        self.nestbox = nestbox

    def path(self, name):
        return os.path.join(self.root, name)

    def text(self, name):
        with open(self.path(name), encoding="utf-8") as stream:
            return stream.read()

    def files(self, folder, suffix):
        for at, below, names in os.walk(self.path(folder)):
            below[:] = sorted(d for d in below if not d.startswith((".", "build", "__")))
            for name in sorted(names):
                if name.endswith(suffix):
                    yield os.path.relpath(os.path.join(at, name), self.root)

    def markdown(self):
        yield from (n for n in sorted(os.listdir(self.root)) if n.endswith(".md"))
        yield from self.files("docs", ".md")

    def run(self, *arguments):
        if not self.nestbox:
            raise Skip("needs --nestbox, a staged install")
        done = subprocess.run([self.nestbox, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, check=False)
        return done.stdout.decode("utf-8", "replace")

    def run_as_user(self, *arguments):
        """Status and output of nestbox as an ordinary user."""
        if not self.nestbox:
            raise Skip("needs --nestbox, a staged install")
        become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.getuid() == 0 else []
        done = subprocess.run([*become, "env", "-i", "PATH=/usr/bin:/bin", self.nestbox, *arguments], cwd="/",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def literals(self, folder="runtime"):
        """Every text of the C sources, adjacent pieces joined, and a mark in place of what is put in."""
        for name in [*self.files(folder, ".c"), *self.files(folder, ".h")]:
            for match in LITERALS.finditer(self.text(name)):
                whole = "".join(PIECE.findall(match.group(0))).replace('\\"', '"')
                yield FORMAT.sub("\0", whole)

    def steps(self):
        """Name and process of each row of the step table, in its order."""
        pattern = re.compile(r"\[NB_STEP_\w+\] = \{\s*\"([a-z-]+)\",\s*NB_(KEEPER|INIT|PAYLOAD),")
        return [(m.group(1), m.group(2).lower()) for m in pattern.finditer(self.text("runtime/plan/steps.c"))]

    def options(self):
        """Long name, letter and whether a value follows, of each row of the option table."""
        text = self.text("runtime/request/options.c")
        rows = re.findall(r"\{ \"([a-z-]+)\", (?:'(\w)'|0), (NULL|\"[^\"]*\")", text)
        return [(name, letter, value != "NULL") for name, letter, value in rows]

    def verbs(self):
        text = self.text("runtime/commands/main.c")
        return re.findall(r"^\t\{ \"([a-z]+)\", \"", text, re.M)

    def rows(self, name, mark=None):
        """Cells of the rows of all tables in a page, or of those between two marks."""
        text = self.text(name)
        if mark:
            text = text.split(f"<!-- {mark} -->", 1)[1].split(f"<!-- /{mark} -->", 1)[0]
        for line in text.splitlines():
            if line.startswith("|") and not re.match(r"^[|\s:-]+$", line):
                yield [cell.strip() for cell in line.strip("|").split("|")]
