# SPDX-License-Identifier: Apache-2.0
"""Rules about how the parts stand to each other: who may include whom, and where state may live."""
import os
import re
import shutil
import subprocess
import tempfile

from tree import Skip

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)
CONSTANT = re.compile(r"^\.(?:rodata|data\.rel\.ro|text|eh_frame|note|init_array|fini_array|gcc_except_table)|^\*")
STATE = re.compile(r"^\.(?:data|bss|tdata|tbss)")


def layer_table(tree):
    rows = (row.split(":", 1) for row in tree.table("layers.txt"))
    return {folder.strip(): set(allowed.split()) for folder, allowed in rows}


def folder_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else "."


def layers(tree):
    allowed = layer_table(tree)
    folders = {folder_of(f.path) for f in tree.files if f.path.startswith("runtime/")}
    for f in tree.of("c", "header"):
        if not f.path.startswith("runtime/"):
            continue
        here = folder_of(f.path)
        if here not in allowed:
            yield f"{f.path}:1: folder {here} has no row in layers.txt"
            continue
        for match in INCLUDE.finditer(f.text):
            there = match.group(1).split("/")[0] if "/" in match.group(1) else here
            line = f.text.count("\n", 0, match.start()) + 1
            if there in folders and there != here and there not in allowed[here] and "*" not in allowed[here]:
                yield f"{f.path}:{line}: {here} may not include from {there} (layers.txt)"


def public_headers(tree):
    folders = {folder_of(f.path) for f in tree.files if f.path.startswith("runtime/")} - {"."}
    for f in tree.of("c", "header"):
        here = folder_of(f.path) if f.path.startswith("runtime/") else None
        for match in INCLUDE.finditer(f.text):
            there, slash, name = match.group(1).partition("/")
            line = f.text.count("\n", 0, match.start()) + 1
            if slash and there in folders and there != here and name != there + ".h" and here is not None:
                yield f"{f.path}:{line}: {match.group(1)} is private to {there}; only {there}/{there}.h is for others"
            if there == "..":
                yield f"{f.path}:{line}: {match.group(1)} climbs out of its folder"


def layers_acyclic(tree):
    """The table itself: no folder reaches itself (rows that allow all are at the top)."""
    allowed = layer_table(tree)
    for start in sorted(allowed):
        seen, todo = set(), set(allowed[start])
        while todo:
            there = todo.pop()
            if there == start:
                yield f"layers.txt: {start} reaches itself"
                break
            if there not in seen:
                seen.add(there)
                todo |= allowed.get(there, set())


def once(tree):
    for f in tree.of("header"):
        if not re.search(r"^#pragma once$", f.text, re.M):
            yield f"{f.path}:1: no #pragma once"


def built(tree, where):
    """A build directory with the objects of runtime/: the one that was given, or one made now."""
    if tree.build:
        return tree.build
    if shutil.which("meson") is None or not os.path.exists(os.path.join(tree.root, "meson.build")):
        raise Skip("no --build directory, and no meson to make one")
    for command in (["meson", "setup", where, tree.root, "-Dtests=false"], ["meson", "compile", "-C", where]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n" + done.stdout.decode("utf-8", "replace")[-2000:])
    return where


def objects_below(build):
    for folder, _, names in os.walk(build):
        for name in names:
            full = os.path.join(folder, name)
            if name.endswith(".o") and "tests/" not in os.path.relpath(full, build):
                yield full


def mutable_state(tree):
    if shutil.which("nm") is None:
        raise Skip("nm is not installed")
    with tempfile.TemporaryDirectory(prefix="nestbox-lint.") as scratch:
        build = built(tree, os.path.join(scratch, "build"))
        objects = sorted(objects_below(build))
        if not objects:
            raise RuntimeError(f"no objects of runtime/ below {build}")
        for full in objects:
            command = ["nm", "-f", "sysv", "--defined-only", full]
            listed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            for line in listed.decode("utf-8", "replace").splitlines():
                columns = [c.strip() for c in line.split("|")]
                if len(columns) == 7 and STATE.match(columns[6]) and not CONSTANT.match(columns[6]):
                    where = os.path.relpath(full, build)
                    yield f"{where}: {columns[0]} is mutable ({columns[6]}); state belongs to a caller"
