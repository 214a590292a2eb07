# SPDX-License-Identifier: Apache-2.0
"""From the harness's observations to figures, goals and tables."""
import statistics

# What the project promises. figure(results) gives the measured value, or None when it was not measured.
GOALS = [
    ("own cost, at most half of sid's bubblewrap's: same namespaces, mounts and filter, no cgroups", "x bwrap", 0.5, True,
     lambda r: ratio(r, "latency, nothing", "nestbox", "bwrap")),
    ("the same against this machine's own bubblewrap", "x bwrap-host", 0.5, True,
     lambda r: ratio(r, "latency, nothing", "nestbox", "bwrap-host")),
    ("own cost with cgroups and audit log, at most half of this machine's own bubblewrap's without either", "x bwrap-host",
     0.5, True, lambda r: ratio(r, "latency, nothing", "nestbox+all", "bwrap-host")),
    ("own cost with cgroups and audit log, at most 1.5 times the floor", "x floor", 1.5, True,
     lambda r: ratio(r, "latency, nothing", "nestbox+all", "floor+all")),
    ("resident memory of a box (PSS), the only one on the machine", "KiB", 150, True,
     lambda r: value(r, "memory, 1 box", "nestbox+all")),
    ("resident memory of a box (PSS), one of eight", "KiB", 150, True, lambda r: value(r, "memory, 8 boxes", "nestbox+all")),
    ("launches a second with cgroups and audit log, best of the tried numbers of launchers", "/s", 800, False,
     lambda r: best(r, "nestbox+all")),
]


GOAL_BASES = ["bwrap", "bwrap-host", "floor+all"]


def parse(text):
    """[(mode, name, round, value, status, rest...)] of the harness's lines."""
    rows = []
    for line in text.splitlines():
        mode, name, number, measured, status, *rest = line.split("\t")
        rows.append((mode, name, int(number), float(measured), int(status), rest))
    return rows


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def summary(rows):
    """{contender: figures}; `samples` by round are dropped by finish()."""
    out = {}
    for _, name, number, measured, status, rest in rows:
        entry = out.setdefault(name, {"failed": 0, "samples": {}})
        if status:
            entry["failed"] += 1
        if rest:
            entry.update({"rss": int(rest[0]), "uss": int(rest[1]), "processes": float(rest[2])})
        if not status or rows[0][0] == "throughput":
            entry["samples"][number] = measured
    for entry in out.values():
        values = list(entry["samples"].values())
        if values:
            entry.update({"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values),
                          "p10": percentile(values, 0.1), "p95": percentile(values, 0.95)})
    return out


def quiet(entry):
    """The 10th percentile: what a launch costs while nothing else takes the CPU, on a busy machine too."""
    values = list(entry["samples"].values())
    return percentile(values, 0.1) if values else None


def relative(figures, name, base):
    """This contender's quiet time divided by the base's, measured in the same rounds."""
    mine, other = figures.get(name), figures.get(base)
    if not mine or not other or not quiet(mine) or not quiet(other):
        return None
    return quiet(mine) / quiet(other)


def finish(figures, floor_of, bwrap_of):
    for name, entry in figures.items():
        entry["of_floor"] = relative(figures, name, floor_of(name))
        entry["of_bwrap"] = relative(figures, name, bwrap_of(name))
    for name, entry in figures.items():
        entry["of"] = {base: relative(figures, name, base) for base in GOAL_BASES if base in figures}
    for entry in figures.values():
        del entry["samples"]
    return figures


def value(results, table, name):
    return results.get(table, {}).get(name, {}).get("median")


def ratio(results, table, name, base):
    return results.get(table, {}).get(name, {}).get("of", {}).get(base)


def best(results, name):
    found = [figures[name]["median"] for table, figures in results.items() if table.startswith("throughput") and name in figures]
    return max(found, default=None)


def goals(results):
    rows = []
    for text, unit, limit, at_most, figure in GOALS:
        measured = figure(results)
        met = None if measured is None else (measured <= limit if at_most else measured >= limit)
        rows.append({"goal": text, "unit": unit, "limit": limit, "at_most": at_most, "measured": measured, "met": met})
    return rows


# ---- tables --------------------------------------------------------------------------------------------------------

def number(x, digits=0):
    return "-" if x is None else f"{x:,.{digits}f}"


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" for _ in head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def time_table(figures):
    rows = [[name, number(f.get("median")), number(f.get("p10")), number(f.get("p95")), number(f.get("of_floor"), 2),
             number(f.get("of_bwrap"), 2), number(f.get("n")) + (f" ({f['failed']} failed)" if f["failed"] else "")]
            for name, f in figures.items()]
    return markdown(["contender", "median us", "p10 us", "p95 us", "x its floor", "x its bwrap", "launches"], rows)


def throughput_table(results):
    tables = {name.split(", ")[1]: figures for name, figures in results.items() if name.startswith("throughput")}
    names = list(dict.fromkeys(name for figures in tables.values() for name in figures))
    rows = [[name] + [number(tables[t].get(name, {}).get("median")) for t in tables] for name in names]
    return markdown(["contender"] + [t + "" for t in tables], rows)


def memory_table(alone, one_of_eight):
    rows = [[name, number(f.get("processes")), number(f.get("rss")), number(f.get("median")), number(f.get("uss")),
             number(one_of_eight.get(name, {}).get("median"))] for name, f in alone.items()]
    return markdown(["contender", "processes", "RSS KiB", "PSS KiB", "USS KiB", "PSS KiB, one of eight"], rows)


def step_table(figures):
    rows = [[name, number(f.get("p10")), number(1 - f["of_floor"], 3) if f.get("of_floor") else "-"]
            for name, f in figures.items()]
    return markdown(["floor", "p10 us", "the step's share"], rows)


def call_table(counted):
    """{contender: {what: how often}} -> table"""
    whats = next(iter(counted.values()))
    return markdown(["", *counted], [[what, *(str(c[what]) for c in counted.values())] for what in whats])


def goal_table(rows):
    words = {True: "met", False: "**missed**", None: "not measured"}
    return markdown(["goal", "limit", "measured", ""], [
        [g["goal"], ("<= " if g["at_most"] else ">= ") + f"{g['limit']} {g['unit']}",
         number(g["measured"], 2 if g["unit"].startswith("x") else 0), words[g["met"]]] for g in rows])


def tables(report):
    """The whole report as Markdown."""
    results = report["results"]
    parts = [goal_table(report["goals"])]
    for name, figures in results.items():
        if name.startswith(("latency", "pauses", "cpu")):
            parts += [f"### {report['titles'][name]}\n", time_table(figures)]
    if any(name.startswith("throughput") for name in results):
        parts += ["### Launches a second, payload `nothing`\n", throughput_table(results)]
    if "memory, 1 box" in results:
        parts += ["### Memory of one box while its payload sleeps (payload excluded)\n",
                  memory_table(results["memory, 1 box"], results.get("memory, 8 boxes", {}))]
    if "steps" in results:
        parts += ["### What the steps cost: the floor with everything, less one step\n", step_table(results["steps"])]
    return "\n".join(parts)
