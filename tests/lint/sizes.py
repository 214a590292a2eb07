# SPDX-License-Identifier: Apache-2.0
"""Rules of size: what a reader can hold in mind at once."""
import ast
import json
import re
import shutil
import subprocess

from tree import Skip

FILE_LINES = 400
FUNCTION_LINES = 60
COLUMNS = 120
COMPLEXITY = 15
SHELL_FUNCTION = re.compile(r"^(\s*)(?:function\s+)?([\w:.-]+)\s*\(\)")


def file_length(tree):
    for f in tree.of("c", "header", "shell", "python", "meson"):
        if len(f.lines) > FILE_LINES:
            yield f"{f.path}:1: {len(f.lines)} lines, at most {FILE_LINES}"


def line_length(tree):
    for f in tree.of("c", "header"):
        for number, line in enumerate(f.lines, 1):
            columns = len(line.expandtabs(8))
            if columns > COLUMNS:
                yield f"{f.path}:{number}: {columns} columns, at most {COLUMNS}"


def tool_over(tree, command):
    """Run a tool over the C files; its lines with the paths as the tree has them."""
    if shutil.which(command[0]) is None:
        raise Skip(f"{command[0]} is not installed")
    files = [f.path for f in tree.of("c", "header")]
    if not files:
        return []
    done = subprocess.run(command + files, cwd=tree.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False)
    return done.stdout.decode("utf-8", "replace").splitlines()


def c_functions(tree):
    command = ["ctags", "--options=NONE", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne",
               "--output-format=json", "-f", "-"]
    for line in tool_over(tree, command):
        tag = json.loads(line)
        if "end" in tag:
            yield tag["path"], tag["name"], tag["line"], tag["end"]


def shell_functions(tree):
    for f in tree.of("shell"):
        opened = None
        for number, line in enumerate(f.lines, 1):
            match = SHELL_FUNCTION.match(line)
            if opened is None and match and not re.search(r"\}\s*(#.*)?$", line):
                opened = (match.group(1), match.group(2), number)
            elif opened and re.match(re.escape(opened[0]) + r"[})]", line):
                yield f.path, opened[1], opened[2], number
                opened = None


def python_functions(tree):
    for f in tree.of("python"):
        for node in ast.walk(ast.parse(f.text, f.path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f.path, node.name, node.lineno, node.end_lineno


def function_length(tree):
    for functions in (c_functions, shell_functions, python_functions):
        for path, name, first, last in functions(tree):
            if last - first + 1 > FUNCTION_LINES:
                yield f"{path}:{first}: {name} has {last - first + 1} lines, at most {FUNCTION_LINES}"


def complexity(tree):
    for line in tool_over(tree, ["pmccabe"]):
        modified, value, _, first, _, where = line.split("\t")
        if int(value) > COMPLEXITY:
            path, name = re.match(r"(.*)\(\d+\): (.*)", where).groups()
            yield f"{path}:{first}: {name} has complexity {value} ({modified} with switch as one), at most {COMPLEXITY}"
