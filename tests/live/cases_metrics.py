# SPDX-License-Identifier: Apache-2.0
"""`nestbox metrics`: what it says of running boxes and of the logs, in both formats, read by a strict parser, by promtool and by
node_exporter."""
import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
import uuid

from box import Skip, ended, refused, require
from cases_limits import Delegated
from cases_record import log_of
from cases_registry import started

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\])*",?)+)\})? (\d+(?:\.\d+)?)$')
PARTS = {"histogram": ("_bucket", "_sum", "_count")}
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
SUFFIX = {"prometheus": {"counter": ("",), "gauge": ("",), **PARTS},
          "openmetrics": {"counter": ("_total",), "gauge": ("",), "info": ("_info",), **PARTS}}


def parsed(text, kind):
    """Samples by name and labels. Each family: HELP, TYPE, then its samples and no others; no family and no sample twice."""
    samples, families, now = {}, {}, None
    lines = text.split("\n")
    require(lines.pop() == "", "no newline at the end")
    if kind == "openmetrics":
        require(lines.pop() == "# EOF", "no # EOF")
    for line in lines:
        words = line.split(" ")
        if line.startswith("# HELP "):
            require(words[2] not in families and len(words) > 3, f"twice, or without a text: {line}")
            now, families[words[2]] = words[2], None
            continue
        if line.startswith("# TYPE "):
            require(words[2] == now and families[now] is None and words[3] in SUFFIX[kind], line)
            families[now] = words[3]
            continue
        found = SAMPLE.match(line)
        require(found is not None and found[1] in [now + tail for tail in SUFFIX[kind][families[now]]], f"not a sample of {now}: {line!r}")
        key = (found[1], *sorted((name, re.sub(r"\\(.)", r"\1", value)) for name, value in LABEL.findall(found[2] or "")))
        require(key not in samples, f"twice: {line}")
        samples[key] = float(found[3])
    for name, type_ in families.items():
        require(kind == "openmetrics" or (type_ == "counter") == name.endswith("_total"), f"{name} is a {type_}")
    return samples


def metrics(live, kind="prometheus"):
    done = live.run("metrics", "--format", kind, "--logs", os.path.dirname(log_of(live)))
    ended(done, 0)
    return done.stdout, parsed(done.stdout, kind)


def case_running_box(live):
    with Delegated(live):
        process, box = started(live, "echo up; exec sleep 60", "--memory", "64MiB", "--pids-limit", "20")
        for kind in ("prometheus", "openmetrics"):
            _, samples = metrics(live, kind)
            mine = {key[0]: value for key, value in samples.items() if ("box", box["id"]) in key}
            require(mine["nestbox_box_memory_limit_bytes"] == 64 << 20 and mine["nestbox_box_pids"] == 2, str(mine))
            require(0 < mine["nestbox_box_memory_bytes"] <= mine["nestbox_box_memory_peak_bytes"], str(mine))
            require(mine["nestbox_box_info"] == 1 and samples[("nestbox_boxes",)] >= 1, str(mine))
        process.terminate()
        process.wait()


def case_totals(live):
    if not live.caller.is_root:
        text, samples = metrics(live)
        require("nestbox_audit" not in text and ("nestbox_boxes",) in samples, "totals of others' logs")
        return
    # Others may use this worker's log at the same time: at least what was done here.
    before = metrics(live)[1]
    with Delegated(live):
        live.run("exec", "--memory", "64MiB", "/", "/usr/bin/python3", "-c", "x = bytearray(200 << 20)")
    live.sh("exit 3")
    live.sh(":")
    after = metrics(live)[1]
    for outcome in ("memory", "failure", "success"):
        key = ("nestbox_boxes_ended_total", ("outcome", outcome))
        require(after[key] >= before[key] + 1, f"{outcome}: {before[key]} and then {after[key]}")
    require(after[("nestbox_boxes_started_total",)] >= before[("nestbox_boxes_started_total",)] + 3, "started")
    require(after[("nestbox_oom_kills_total",)] >= before[("nestbox_oom_kills_total",)] + 1, "oom")


def case_file_is_replaced(live):
    place = live.path("metrics")
    os.makedirs(place, exist_ok=True)
    os.chown(place, *[0 if live.caller.is_root else live.caller.payload_uid] * 2)
    for _ in range(2):
        ended(live.run("metrics", "--output", place + "/nestbox.prom"), 0)
        require(os.listdir(place) == ["nestbox.prom"], str(os.listdir(place)))
    require(os.stat(place + "/nestbox.prom").st_mode & 0o777 == 0o644, "not for node_exporter to read")
    with open(place + "/nestbox.prom", encoding="ascii") as stream:
        parsed(stream.read(), "prometheus")
    refused(live.run("metrics", "--format", "xml"), "xml")
    refused(live.run("metrics", "--output", "/proc/nowhere/x"), "/proc/nowhere/x")


def debian(package, name):
    """A program of a Debian package that isn't installed."""
    tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib/unpacked")
    done = subprocess.run([tool, package], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"{package} can't be had: {done.stderr.strip()[-100:]}")
    return os.path.join(done.stdout.strip(), "usr/bin", name)


# Holds a lock on each file that it is given, until its input ends.
KEEPER = """import fcntl, sys
files = [open(name, "r+") for name in sys.argv[1:]]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("locked", flush=True)
sys.stdin.read()"""


@contextlib.contextmanager
def many_entries(live, count):
    """Files of running boxes in the registry; a process of their user holds the locks, as their keepers would."""
    uid = 0 if live.caller.is_root else live.caller.payload_uid
    place = f"/run/nestbox/boxes/{uid}" if os.path.isdir("/run/nestbox/boxes") or uid == 0 else f"/tmp/nestbox-{uid}"
    os.makedirs(place, mode=0o700, exist_ok=True)
    os.chown(place, uid, uid)
    names = [os.path.join(place, "01a1fe00-0000-7000-8000-" + uuid.uuid4().hex[:12]) for _ in range(count)]
    fresh = [name + ".new" for name in names]  # as a keeper does it: boxes of others may be sweeping
    for number, name in enumerate(names):
        with open(fresh[number], "w", encoding="utf-8") as stream:
            os.chown(stream.name, uid, uid)
            json.dump({"schema_version": 1, "id": os.path.basename(name), "init": 1, "uid": uid, "started_ns": 1,
                       "memory": (number + 1) << 20, "milli_cpus": 1000, "pids": number + 1, "profile": "nested",
                       "slot": f'slot1_{number}"}} evil 1\n', "command": "x"}, stream, separators=(",", ":"))
    keeper = subprocess.Popen([*live.caller.prefix, "/usr/bin/python3", "-c", KEEPER, *fresh], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        require(keeper.stdout.readline() == b"locked\n", "no locks")
        for number, name in enumerate(names):
            os.rename(fresh[number], name)
        yield [os.path.basename(name) for name in names]
    finally:
        keeper.communicate()
        for name in (*names, *fresh):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def case_promtool_agrees(live):
    """Debian: prometheus. With the entries of 500 boxes, of which no label may end early."""
    promtool = debian("prometheus", "promtool")
    with many_entries(live, 500) as names:
        text, samples = metrics(live)
        require(samples[("nestbox_boxes",)] >= 500, str(samples[("nestbox_boxes",)]))
        for number, name in enumerate(names):
            require(samples[("nestbox_box_pids_limit", ("box", name))] == number + 1, name)
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    require(done.returncode == 0 and done.stdout + done.stderr == "", (done.stdout + done.stderr)[-500:])
    bad = subprocess.run([promtool, "check", "metrics"], input=text + "# TYPE bad_total gauge\nbad_total 1\n", capture_output=True,
                         text=True, check=False)
    require(bad.returncode != 0, "promtool finds nothing wrong with a gauge that is called _total")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scraped(port, tries=200):
    for _ in range(tries):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                return answer.read().decode("utf-8")
        except OSError:
            time.sleep(0.05)
    raise AssertionError("node_exporter does not answer")


def case_node_exporter_serves_it(live):
    """Debian: prometheus-node-exporter, its textfile collector alone, over loopback."""
    exporter = debian("prometheus-node-exporter", "prometheus-node-exporter")
    place = live.path("textfile")
    os.makedirs(place)
    os.chown(place, *[0 if live.caller.is_root else live.caller.payload_uid] * 2)
    port = free_port()
    with many_entries(live, 500) as names:
        ended(live.run("metrics", "--output", place + "/nestbox.prom"), 0)
        command = [exporter, f"--collector.textfile.directory={place}", "--collector.disable-defaults", "--collector.textfile",
                   f"--web.listen-address=127.0.0.1:{port}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                text = scraped(port)
            finally:
                process.kill()
    require("node_textfile_scrape_error 0" in text, "node_exporter refuses the file")
    with open(place + "/nestbox.prom", encoding="ascii") as stream:
        written = parsed(stream.read(), "prometheus")
    served = {line.rsplit(" ", 1)[0] for line in text.splitlines() if line.startswith("nestbox_")}
    require(len(served) == len(written), f"{len(written)} samples written, {len(served)} served")
    require(all(f'nestbox_box_memory_limit_bytes{{box="{name}"}}' in served for name in names), "a box is missing")


class Logs:
    """A directory of logs that only this case writes to, listed by whoever asks."""

    def __init__(self, live):
        self.dir = live.path("metrics-logs-" + uuid.uuid4().hex)
        self.state = os.path.join(self.dir, ".state")
        uid = 0 if live.caller.is_root else live.caller.payload_uid
        os.makedirs(self.dir)
        os.chown(self.dir, uid, uid)
        self.live, self.file = live, os.path.join(self.dir, f"audit-{uid}.jsonl")
        self.policy = live.path("metrics-policy.json")
        sinks = {"sinks": [{"type": "file", "path": self.dir}]}
        with open(self.policy, "w", encoding="utf-8") as stream:
            json.dump({"version": 1, "images": [live.image], "audit": sinks}, stream)

    def exec(self, *command, image=None):
        return self.live.run("exec", "--policy", self.policy, image or self.live.image, *command)

    def totals(self, *more):
        done = self.live.run("metrics", "--logs", self.dir, *more)
        ended(done, 0)
        return parsed(done.stdout, "prometheus")


def case_refusals_and_setup_are_counted(live):
    logs = Logs(live)
    for _ in range(25):
        refused(logs.exec("true", image="/bin/.."), "/")
    ended(logs.exec("true"), 0)
    ended(logs.exec("/no/such/command"), 127)
    for kind in ("prometheus", "openmetrics"):
        done = live.run("metrics", "--logs", logs.dir, "--format", kind)
        ended(done, 0)
        samples = parsed(done.stdout, kind)
        refusals = {key[1][1]: value for key, value in samples.items() if key[0] == "nestbox_refusals_total"}
        require(refusals == {"request": 1, "policy": 25, "host": 0, "secret": 0, "limit": 0, "bug": 0}, str(refusals))
        buckets = [value for key, value in samples.items() if key[0] == "nestbox_setup_seconds_bucket"]
        require(buckets == sorted(buckets) and buckets[-1] == samples[("nestbox_setup_seconds_count",)] == 1, str(buckets))
        require(0 < samples[("nestbox_setup_seconds_sum",)] < 60, str(samples))
        require(samples[("nestbox_boxes_ended_total", ("outcome", "not-started"))] == 1, str(samples))


def case_totals_outlive_their_logs(live):
    """With a state: only what is new is read, and nothing is counted twice or forgotten, whoever runs at the same time."""
    logs = Logs(live)
    started_key = ("nestbox_boxes_started_total",)
    ended(logs.exec("true"), 0)
    state = ["--state", logs.state]
    require(logs.totals(*state)[started_key] == 1, "not counted")
    many = [live.start("exec", "--policy", logs.policy, live.image, "true") for _ in range(12)]
    runs = [live.start("metrics", "--logs", logs.dir, *state) for _ in range(12)]
    require(not any(p.wait() for p in many + runs), str([p.returncode for p in many + runs]))
    require(logs.totals(*state)[started_key] == 13, "lost or counted twice")
    with open(logs.file, "a", encoding="utf-8") as stream:
        stream.write('{"nestbox":{},"event":{"action":"sandbox-start"')
    require(logs.totals(*state)[started_key] == 13, "half a line is counted")
    os.unlink(logs.file)
    require(logs.totals(*state)[started_key] == 13, "dropped with its log")
    ended(logs.exec("true"), 0)
    require(logs.totals(*state)[started_key] == 14 and logs.totals()[started_key] == 1, "the next log is not counted")
    with open(logs.state, "r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff")
    require(logs.totals(*state)[started_key] == 1, "a damaged state is believed")
    require(sorted(n for n in os.listdir(logs.dir) if n.startswith(".state")) == [".state"], str(os.listdir(logs.dir)))


MOST = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10, file=sys.stderr)"""


def case_file_without_a_line_is_not_held(live):
    """Everybody may make files where the logs are: a big one without a newline costs its maker nothing."""
    logs = Logs(live)
    ended(logs.exec("true"), 0)
    with open(os.path.join(logs.dir, "audit-1.jsonl"), "wb") as stream:
        stream.truncate(1 << 30)
    for _ in range(2):
        done = live.run("-c", MOST, live.nestbox, "metrics", "--logs", logs.dir, "--state", logs.state, program="/usr/bin/python3")
        ended(done, 0)
        require(parsed(done.stdout, "prometheus")[("nestbox_boxes_started_total",)] == 1, done.stdout)
        require(int(done.stderr) < 64, f"it took {done.stderr.strip()} MiB")
