# SPDX-License-Identifier: Apache-2.0
"""Records against the Elastic Common Schema's own list of fields and types."""
import csv
import os
import re

FIELDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "ecs", "fields.csv")
OWN = ("nestbox", "condor", "wlcg", "mesos", "k8s", "secrets", "labels", "pilot", "cvmfs", "marathon")
DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")
CHECKS = {
    "keyword": lambda v: isinstance(v, str),
    "long": lambda v: isinstance(v, int) and not isinstance(v, bool) and abs(v) < 2**53,
    "date": lambda v: isinstance(v, str) and DATE.match(v),
    "boolean": lambda v: isinstance(v, bool),
}


def schema():
    with open(FIELDS, encoding="utf-8") as table:
        return {row["Field"]: row for row in csv.DictReader(table)}


def leaves(value, path=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def dotted(value):
    """Names with a dot in them: what reads the log would take them for objects."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        if "." in name:
            yield name
        yield from dotted(inner)


def judge(record, fields):
    """What is wrong with a record; and the schema's fields that the list does not know."""
    wrong, unknown = [f"{name}: a dot in a name" for name in dotted(record)], set()
    for path, value in leaves(record):
        if path.split(".")[0] in OWN or path.endswith("_b64"):
            wrong += [f"{path}: a float"] if isinstance(value, float) else []
            continue
        row = fields.get(path)
        if row is None:
            unknown.add(path)
            continue
        if isinstance(value, list) != (row["Normalization"] == "array"):
            wrong.append(f"{path} is {'an' if isinstance(value, list) else 'no'} array")
        for one in value if isinstance(value, list) else [value]:
            if not CHECKS[row["Type"]](one):
                wrong.append(f"{path} = {one!r} is no {row['Type']}")
    return wrong, unknown


def check(records):
    fields = schema()
    wrong, unknown, count = [], set(), 0
    for record in records:
        bad, new = judge(record, fields)
        wrong += bad
        unknown |= new
        count += 1
    assert count > 0 and not wrong, f"{count} records: {sorted(set(wrong))[:8]}"
    allowed = {"process.exit_code", "process.parent.pid", "process.parent.name", "user.id", "user.name", "user.group.id", "error.message",
               "process.supplemental_groups.id"}
    assert unknown <= allowed, f"fields that the schema's list does not have: {sorted(unknown - allowed)}"
