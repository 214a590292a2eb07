# SPDX-License-Identifier: Apache-2.0
"""A log held against copies that another sink kept: what its own chain can't tell is named."""
import hashlib
import json
import os

from audit import ZEROS
from cases_chain import live, read, write

FULL = '<86>1 2026-11-21T14:39:09.123456Z wn1 nestbox 42 sandbox-start [nestbox@32473 id="x" sequence="1"] %s'
TRADITIONAL = "Nov 21 14:39:09 wn1 nestbox[42] %s"


def bare(line):
    return line


def prefixed(line):
    return FULL % line


def traditional(line):
    return TRADITIONAL % line


def exported(line):
    return f"__CURSOR=s=1\nMESSAGE=nestbox sandbox-start\nNESTBOX_RECORD={line}\nPRIORITY=6\n"


def in_json(line):
    return json.dumps({"__CURSOR": "s=1", "NESTBOX_RECORD": line, "MESSAGE": "x"})


def short(line):
    record = json.loads(line)
    return prefixed(json.dumps({"@timestamp": record["@timestamp"], "host": {"name": "wn1"}, "nestbox": {"id": record["nestbox"]["id"], "copy_of": {
        "sequence": record["event"]["sequence"], "hash": record["event"]["hash"], "bytes": len(line) + 1}}}, separators=(",", ":")))


FORMS = (bare, prefixed, traditional, exported, in_json, short)


def copies(audit, form=bare, lines=None):
    path = os.path.join(audit.top, "copies")
    lines = read(live(audit)).decode().splitlines() if lines is None else lines
    with open(path, "w", encoding="utf-8") as out:
        out.write("Nov 21 14:39:08 wn1 sshd[1]: something else\n")
        out.writelines(form(line) + "\n" for line in lines)
    return path


def against(audit, path, *args, status):
    found = json.loads(audit.run("verify", "--json", "--against", path, *args, status=status))
    return [(f["severity"], os.path.basename(f["file"]), f["line"]) for f in found["findings"]]


def rechained(lines):
    """Another history: every hash made anew, as whoever may write the log can."""
    before, out = ZEROS, []
    for number, line in enumerate(lines, 1):
        record = json.loads(line)
        text = line[:line.rindex(',"hash":"')].replace(record["nestbox"]["prev_hash"], before)
        text = text.replace(f'"sequence":{record["event"]["sequence"]}', f'"sequence":{number}')
        before = hashlib.sha256(bytes.fromhex(before) + text.encode()).hexdigest()
        out.append(f'{text},"hash":"{before}"}}}}')
    return out


def case_every_form_of_a_copy_fits(audit):
    audit.write(1, 20)
    for form in FORMS:
        assert against(audit, copies(audit, form), status=0) == [], form.__name__
    assert "20 records checked against 20 copies: all fit" in audit.run("verify", "--against", copies(audit))


def case_a_tail_that_was_cut_off_is_named(audit):
    audit.write(1, 20)
    lines = read(live(audit)).splitlines(keepends=True)
    for form, line in ((bare, 18), (prefixed, 18), (in_json, 18), (short, 18)):
        path = copies(audit, form, [one.decode().rstrip("\n") for one in lines])
        write(live(audit), b"".join(lines[:16]))
        audit.run("verify", status=0)
        assert against(audit, path, status=1) == [("fault", "copies", line)], form.__name__
        write(live(audit), b"".join(lines))


def case_another_history_is_named(audit):
    audit.write(1, 20)
    path = copies(audit)
    lines = read(live(audit)).decode().splitlines()
    changed = rechained(lines[:9] + [lines[9].replace('"0-9-', '"0-X-')] + lines[10:])
    write(live(audit), "".join(line + "\n" for line in changed).encode())
    audit.run("verify", status=0)
    found = against(audit, path, status=1)
    assert ("fault", "copies", 11) in found, found


def case_a_whole_log_that_was_deleted_is_named(audit):
    audit.write(2, 300, rotate=65536)
    gone = audit.files()[0]
    lines = [line for path in audit.files() for line in read(path).decode().splitlines() if '"chain-anchor"' not in line]
    path = copies(audit, lines=lines)
    assert against(audit, path, status=0) == []
    os.unlink(gone)
    assert ("fault", "copies", 2) in against(audit, path, "--partial", status=1)


def case_records_without_a_copy(audit):
    audit.write(1, 20)
    lines = read(live(audit)).decode().splitlines()
    assert against(audit, copies(audit, lines=lines[:15]), status=0) == [("note", "audit-0.jsonl", 16)]
    assert against(audit, copies(audit, lines=lines[5:]), status=0) == [], "a sink that is younger than the log"
    assert against(audit, copies(audit, lines=lines[:7] + lines[9:]), status=1) == [("fault", "audit-0.jsonl", 8)]


def case_copies_that_are_cut_or_changed(audit):
    audit.write(1, 10)
    lines = read(live(audit)).decode().splitlines()
    assert ("fault", "copies", 5) in against(audit, copies(audit, lines=lines[:3] + [lines[3][:200]] + lines[4:]), status=1)
    assert ("fault", "copies", 5) in against(audit, copies(audit, lines=lines[:3] + [lines[3].replace("wn1", "wn2", 1).replace("0-3", "0-7")] + lines[4:]),
                                             status=1)


def case_copies_of_several_workers(audit):
    audit.write(1, 10)
    lines = read(live(audit)).decode().splitlines()
    other = rechained([line.replace('{"@timestamp"', '{"host":{"name":"wn2"},"@timestamp"').replace(
        '{"host":{"name":"wn2"},"@timestamp":"' + json.loads(line)["@timestamp"] + '"',
        '{"@timestamp":"' + json.loads(line)["@timestamp"] + '","host":{"name":"wn2"}') for line in lines])
    mine = rechained([line.replace('","process"', '","host":{"name":"wn1"},"process"', 1) for line in lines])
    write(live(audit), "".join(line + "\n" for line in mine).encode())
    mixed = [line for pair in zip(mine, other) for line in pair]
    assert against(audit, copies(audit, lines=mixed), status=1) != []
    assert against(audit, copies(audit, lines=mixed), "--host", "wn1", status=0) == []
    audit.run("verify", "--against", copies(audit, lines=mixed), "--host", "wn3", status=125)
    assert "no copy of a record" in audit.said


def case_copies_since(audit):
    audit.write(1, 10)
    lines = read(live(audit)).decode().splitlines()
    write(live(audit), "".join(line + "\n" for line in rechained(lines[4:])).encode())
    path = copies(audit, lines=lines[:4] + rechained(lines[4:]))
    assert against(audit, path, status=1) != []
    assert against(audit, path, "--since", json.loads(lines[4])["@timestamp"], status=0) == []
