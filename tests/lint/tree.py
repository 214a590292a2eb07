# SPDX-License-Identifier: Apache-2.0
"""The files that lint looks at: what git would keep, sorted into kinds, read once."""
import os
import re
import subprocess


class Skip(Exception):
    """A rule that can't be tried here; its text is the reason."""


SHELLS = re.compile(r"^#!\s*(?:/usr)?/bin/(?:env\s+)?(?:ba|da)?sh\b")
PYTHONS = re.compile(r"^#!.*\bpython3?\b")
SUFFIXES = {".c": "c", ".h": "header", ".py": "python", ".sh": "shell", ".md": "text"}
NAMES = {"meson.build": "meson", "meson.options": "meson", "meson_options.txt": "meson"}
STRIPPED = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def blanked(match):
    """Nothing but the line ends of a comment; of a literal, the quotes too."""
    text = match.group(0)
    keep = text[0] if text[0] in "\"'" else " "
    return keep + re.sub(r"[^\n]", " ", text[1:-1]) + keep


class File:
    def __init__(self, root, path):
        self.path = path
        self.full = os.path.join(root, path)
        with open(self.full, "rb") as stream:
            raw = stream.read()
        self.text = raw.decode("utf-8", "replace")
        self.binary = b"\0" in raw
        self.kind = self.sort()
        self.executable = os.access(self.full, os.X_OK)

    def sort(self):
        base = os.path.basename(self.path)
        kind = NAMES.get(base) or SUFFIXES.get(os.path.splitext(base)[1])
        if kind is None and self.text.startswith("#!"):
            kind = "shell" if SHELLS.match(self.text) else "python" if PYTHONS.match(self.text) else None
        return kind or "other"

    @property
    def lines(self):
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n")

    def code(self):
        """C without comments and the contents of literals, lines kept."""
        return STRIPPED.sub(blanked, self.text)


class Tree:
    def __init__(self, root, build=None):
        self.root = root
        self.build = build  # a build directory with objects, or None
        self.files = [File(root, path) for path in sorted(self.paths())]

    def paths(self):
        if os.path.exists(os.path.join(self.root, ".git")):
            listed = subprocess.run(["git", "-C", self.root, "ls-files", "-z", "-co", "--exclude-standard"],
                                    stdout=subprocess.PIPE, check=True).stdout.decode()
            return {p for p in listed.split("\0") if p and self.regular(p)}
        found = set()
        for folder, below, names in os.walk(self.root):
            below[:] = [d for d in below if d not in (".git", ".cache", "__pycache__") and not d.startswith("build")]
            found.update(os.path.relpath(os.path.join(folder, n), self.root) for n in names)
        return {p for p in found if self.regular(p)}

    def regular(self, path):
        full = os.path.join(self.root, path)
        return os.path.isfile(full) and not os.path.islink(full)

    def of(self, *kinds):
        return [f for f in self.files if f.kind in kinds]

    def texts(self):
        return [f for f in self.files if not f.binary]

    def table(self, name):
        """Rows of a table beside this file: words, '#' starts a comment."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as stream:
            rows = [line.split("#")[0].strip() for line in stream]
        return [row for row in rows if row]
