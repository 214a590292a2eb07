# SPDX-License-Identifier: Apache-2.0
"""The report, in a real browser: complete, readable at several sizes, with nothing that a record could run or load."""
import json
import os

from audit import stories
from browser import Browser
from cases_output import HOSTILE, one_box

EDGES = "[...document.querySelectorAll('{}')].map(e => {{ const r = e.getBoundingClientRect(); return [r.left, r.right, r.top, r.bottom] }})"


def report(audit, *args):
    page = os.path.join(audit.top, "report.html")
    audit.run("report", "--since", "2000-01-01", "--output", page, *args)
    return page


def put(audit, *records):
    with open(os.path.join(audit.logs, "more.jsonl"), "w", encoding="utf-8") as out:
        for number, (box, action, time, more) in enumerate(records):
            record = {"@timestamp": time, "host": {"name": "wn1"}, "condor": {"owner": "cms"}, "nestbox": {"id": box, "exit": {"kind": "code"}},
                      "process": {"exit_code": 0}, "event": {"action": action, "hash": str(number)}}
            for name, members in more.items():
                record.setdefault(name, {}).update(members)
            out.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")


def readable(browser, what):
    """No label lies on another, and no column is narrower than its title or a word of seven letters."""
    labels = browser.value(EDGES.format("svg text"))
    assert len(labels) == 9 and all(a[1] < b[0] for a, b in zip(labels, labels[1:])), f"{what}: labels lie on each other: {labels}"
    for left, right, top, bottom in browser.value(EDGES.format("thead th")):
        assert bottom - top < 60 and right - left > 30, f"{what}: a title of {right - left} x {bottom - top}"
    width = browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, f"{what}: the page is {width} pixels too wide"
    assert len(browser.picture()) > 8000, f"{what}: the picture is empty"


def clean(browser, page, what):
    assert not browser.complaints(), f"{what}: {browser.complaints()[:3]}"
    assert browser.requests() == [f"file://{page}"], f"{what}: {browser.requests()[:3]}"


def case_complete(audit):
    audit.generate(1200, 2)
    one_box(audit)
    page = report(audit)
    with open(page, encoding="utf-8") as out:
        text = out.read()
    assert "<script" not in text and "http://" not in text and "src=" not in text and "url(" not in text
    assert "default-src 'none'" in text and "prefers-color-scheme" in text and 'scope="col"' in text
    boxes = len(stories(audit.records()))
    with Browser(audit.top) as browser:
        browser.open(page)
        clean(browser, page, "600 boxes")
        readable(browser, "600 boxes")
        assert browser.value("document.querySelectorAll('rect').length") == boxes == browser.value("document.querySelectorAll('tr[id]').length")
        assert browser.value("document.title") == "What ran" and "owned'</script" in browser.value("document.body.textContent")
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        browser.call("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)", "dark"
        browser.call("Emulation.setEmulatedMedia", media="print", features=[])
        assert browser.value("getComputedStyle(document.querySelector('.wide')).overflowX") == "visible", "paper does not scroll"


def case_sizes(audit):
    """One box, five thousand, and more at once than there are rows to draw."""
    with Browser(audit.top) as browser:
        put(audit, ("box-1", "sandbox-start", "2026-11-21T14:39:09Z", {}), ("box-1", "sandbox-end", "2026-11-21T15:39:09Z", {}))
        page = report(audit)
        for width in (390, 1200, 2560):
            browser.open(page, width)
            readable(browser, f"1 box at {width}")
        assert "1 box," in browser.value("document.body.textContent")
        put(audit, *((f"box-{n}", "sandbox-start", "2026-11-21T14:39:09Z", {}) for n in range(450)))
        browser.open(report(audit))
        assert "more than one box" in browser.value("document.querySelector('svg').parentNode.previousElementSibling.textContent")
        os.unlink(os.path.join(audit.logs, "more.jsonl"))
        audit.generate(10000, 50)
        page = report(audit)
        browser.open(page)
        clean(browser, page, "5000 boxes")
        readable(browser, "5000 boxes")
        assert browser.value("document.querySelectorAll('rect').length") == 5000


def case_hostile_and_long(audit):
    long = "L" * 5000
    hostile = HOSTILE + "\u2066\u0085\u2028"
    put(audit, ("box-1", "sandbox-start", "2026-11-21T14:39:09Z", {"condor": {"owner": hostile, "global_job_id": hostile},
                                                                  "host": {"name": hostile}, "mesos": {"task_id": hostile}}),
        ("box-2", "sandbox-start", "2026-11-21T14:40:09Z", {"condor": {"owner": long, "global_job_id": long}, "host": {"name": "日本語" * 40},
                                                           "mesos": {"task_id": "🎉" * 300}, "container": {"id": "c" * 64, "image": {"name": "/" + "x/" * 600}}}),
        (hostile[:50], "policy-denied", "2026-11-21T14:50:09Z", {"event": {"reason": hostile * 20}}))
    page = report(audit, "--where", "nestbox.exit.kind=code")
    with Browser(audit.top) as browser:
        for width in (390, 1200):
            browser.open(page, width)
            clean(browser, page, "hostile")
            readable(browser, f"hostile at {width}")
        assert browser.value("document.title") == "What ran" and browser.value("document.querySelectorAll('script, img, iframe').length") == 0
        assert browser.value("/[\\u202e\\u2066\\u0085\\u2028\\x1b]/.test(document.documentElement.outerHTML)") is False


def case_keyboard(audit):
    """Tab leads past the bars, whose words are in the table, and never through thousands of them."""
    audit.generate(400, 2)
    with Browser(audit.top) as browser:
        browser.open(report(audit))
        browser.key("Tab")
        first = browser.value("document.activeElement.getAttribute('href')")
        browser.key("Enter")
        assert first == "#boxes" and browser.value("location.hash") == "#boxes", first
        stops = browser.value("[...document.querySelectorAll('a')].filter(a => a.tabIndex >= 0).length")
        assert stops == 1, f"{stops} stops"
        browser.value("document.querySelector('svg a').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))")
        assert browser.value("location.hash").startswith("#b") and browser.value("document.querySelector('tr:target') !== null"), "a bar leads to its row"


def case_contradictions(audit):
    put(audit, ("box-1", "sandbox-start", "2026-11-21T14:39:09Z", {"event": {"id": "1"}}),
        ("box-1", "sandbox-end", "2026-11-21T15:39:09Z", {"event": {"id": "2"}}), ("box-1", "sandbox-end", "2026-11-21T16:39:09Z", {"event": {"id": "3"}}),
        ("box-2", "sandbox-start", "2026-11-21T14:39:09Z", {"event": {"id": "4"}}))
    with open(report(audit), encoding="utf-8") as page:
        text = page.read()
    assert text.count("contradicted") == 1 and "box-1" in text[text.index("contradicted"):text.index("contradicted") + 200], text
