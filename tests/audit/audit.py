# SPDX-License-Identifier: Apache-2.0
"""A directory of audit logs, nestbox-audit on it, and the same questions answered by reading the JSON."""
import glob
import gzip
import json
import os
import shutil
import subprocess
import tempfile
from datetime import datetime

ZEROS = "0" * 64


class Skip(Exception):
    """What this machine lacks."""


def program(build, name):
    for below in ("", "runtime/audit/search", "tests/unit"):
        path = os.path.join(build, below, name)
        if os.access(path, os.X_OK):
            return path
    raise AssertionError(f"{name} is not in {build}: build it first")


class Audit:
    def __init__(self, build):
        self.build = build
        self.tool = program(build, "nestbox-audit")

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix="nestbox-audit-test-")
        self.logs = os.path.join(self.top, "logs")
        os.mkdir(self.logs)
        self.env = {"HOME": self.top, "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": os.path.join(self.top, "cache")}
        os.mkdir(self.env["XDG_CACHE_HOME"])
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, verb, *args, status=0, where=True, env=None):
        """Standard output; the exit status must be `status`. Standard error is in self.said."""
        source = ["--from", self.logs] if where else []
        done = subprocess.run([self.tool, verb, *source, *map(str, args)], env=env or self.env, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
        self.said = done.stderr.decode("utf-8", "replace")
        text = done.stdout.decode("utf-8", "replace")
        assert status is None or done.returncode == status, \
            f"{verb} {args}: exit status {done.returncode}, not {status}: {self.said}{text[:500]}"
        return text

    def reachable(self):
        """A copy of the program where anybody can run it."""
        copy = os.path.join(self.top, "nestbox-audit")
        if not os.path.exists(copy):
            shutil.copy(self.tool, copy)
            os.chmod(copy, 0o755)
        return copy

    def generate(self, records, hosts, ago=0):
        subprocess.run([program(self.build, "audit-generate"), self.logs, str(records), str(hosts), str(ago)], check=True,
                       stdout=subprocess.DEVNULL)

    def writers(self, processes, records, rotate=0, **options):
        return subprocess.Popen([program(self.build, "audit-writers"), self.logs, str(processes), str(records),
                                 str(rotate)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def build_writers(self):
        return program(self.build, "audit-writers")

    def write(self, processes, records, rotate=0):
        done = self.writers(processes, records, rotate)
        out, err = done.communicate(timeout=120)
        assert done.returncode == 0, err
        return out

    def files(self):
        """Log files, oldest first: the live one last."""
        paths = glob.glob(os.path.join(self.logs, "**/*.jsonl*"), recursive=True)
        return sorted(paths, key=lambda p: (os.path.dirname(p), p.endswith(".jsonl"), p))

    @staticmethod
    def records_of(path):
        for line in open_log(path):
            if line.endswith("\n"):
                try:
                    yield json.loads(line)
                except ValueError:
                    pass

    def records(self):
        for path in self.files():
            yield from self.records_of(path)

    def ids(self, *args, status=None):
        """The boxes that find names, each with its records' hashes. Records that belong to no box are left out."""
        text = self.run("find", *args, "--json", status=status)
        boxes = json.loads(text)["boxes"]
        return {box["id"]: sorted(r["event"]["hash"] for r in box["records"]) for box in boxes if box["id"]}


def open_log(path):
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    if path.endswith(".zst"):
        text = subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
        return text.splitlines(keepends=True)
    return open(path, encoding="utf-8", errors="replace")


def nanoseconds(text):
    whole, fraction = text.rstrip("Z").split(".")
    seconds = int((datetime.fromisoformat(whole) - datetime(1970, 1, 1)).total_seconds())
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


def stories(records):
    """nestbox.id -> its records"""
    boxes = {}
    for record in records:
        box = record["nestbox"].get("id")
        if box:
            boxes.setdefault(box, []).append(record)
    return boxes


def hashes(story):
    """Of a story's records, each once: a log may be there twice."""
    return sorted({r["event"]["hash"] for r in story})


def life(story):
    """Start and end in nanoseconds; no end: infinity."""
    start = [nanoseconds(r["@timestamp"]) for r in story if r["event"]["action"] == "sandbox-start"]
    ends = [r for r in story if r["event"]["action"] in ("sandbox-end", "sandbox-lost")]
    begin = start[0] if start else min(nanoseconds(r["event"].get("start", r["@timestamp"])) for r in ends)
    return begin, nanoseconds(ends[0]["@timestamp"]) if ends else float("inf")


def expect(got, want, what):
    assert got == want, f"{what}: {len(got)} found, {len(want)} expected; missing {sorted(set(want) - set(got))[:3]}, " \
        f"too many {sorted(set(got) - set(want))[:3]}, others differ in their records"
