# SPDX-License-Identifier: Apache-2.0
"""What must not be possible, each seen to be possible without the defence: the value elsewhere, more memory, another socket."""
import os
import resource
import shutil
import signal
import socket
import subprocess

import life
from lab import Lab, Skip, expect, need

CANARY = b"CANARY"
NOBODY = 65534
ASKS = ("-S", "name=x;path=kv1/site;field=key;renew", "-S", "name=db;path=database/creds/atlas;field=password;renew",
        "-S", "name=proxy;path=secret/data/grid/proxy;field=proxy;wrap")


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as f:
        return f.read()


def memory_holds(pid, words):
    """Which of the words are in a process' writable memory."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if mode[:2] != "rw":
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(start)
                content = mem.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            found |= {w for w in words if w in content}
    return found


def root_only():
    if os.geteuid() != 0:
        raise Skip("needs root, to look into other processes")


def status_of(pid, key):
    return next(line.split()[1] for line in proc(pid, "status").decode().splitlines() if line.startswith(key + ":"))


class Living:
    """A keeper and a courier between first answers and end."""

    def __init__(self, lab, *args, **how):
        self.process = lab.start(*args, "-l", "60000", **how)
        self.courier = life.pid_of(self.process)
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if '"done"' in line:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        life.until("the courier ends", lambda: life.gone(self.courier))


def test_canary_nowhere_but_in_the_files(build):
    root_only()
    with Lab(build, ttl=60) as lab:
        with Living(lab, *ASKS, "-S", "name=long;path=kv1/long;field=key", "-j", "job1") as alive:
            values = [life.read(lab, n).encode()[-30:] for n in ("x", "db", "proxy", "long")]
            need("the files hold it", all(CANARY in v for v in values), values)
            need("not in events", "CANARY" not in alive.said, alive.said)
            for pid in (alive.courier, alive.process.pid):
                for name in ("cmdline", "environ", "comm"):
                    need(f"not in {name}", CANARY not in proc(pid, name))
            control = memory_holds(os.getpid(), values)
            expect("the search finds what is there (in this process)", len(control), 4)
            words = values + [b"hvs.CANARY-WRAP"]
            expect("in the courier's memory", memory_holds(alive.courier, words), set())
            expect("in the keeper's memory", memory_holds(alive.process.pid, words), set())


def test_environment_and_descriptors(build):
    with Lab(build, ttl=60) as lab:
        extra = os.open("/etc/passwd", os.O_RDONLY)
        with Living(lab, *ASKS, pass_fds=[extra], env=dict(os.environ, CANARY="1")) as alive:
            if os.geteuid() == 0:
                expect("environment", proc(alive.courier, "environ"), b"")
                links = {n: os.readlink(f"/proc/{alive.courier}/fd/{n}") for n in os.listdir(f"/proc/{alive.courier}/fd")}
                expect("0-2", [links.pop(n) for n in "012"], ["/dev/null"] * 3)
                need("3 and nothing else", list(links) == ["3"] and links["3"].startswith("socket:"), links)
            for key, value in (("Seccomp", "2"), ("NoNewPrivs", "1")):
                expect(key, status_of(alive.courier, key), value)
        os.close(extra)


def test_same_user_can_not_look_inside(build):
    root_only()
    with Lab(build) as lab:
        shutil.copy(lab.courier, lab.top)
        lab.courier = os.path.join(lab.top, "nestbox-courier")
        os.chmod(lab.socket, 0o666)
        peek = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "cat"]
        with subprocess.Popen(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "sleep", "30"]) as sleeper:
            life.until("the sleeper runs", lambda: status_of(sleeper.pid, "Uid") == str(NOBODY) and
                       proc(sleeper.pid, "comm") == b"sleep\n")
            open_one = subprocess.run([*peek, f"/proc/{sleeper.pid}/maps"], stdout=subprocess.DEVNULL, check=False)
            sleeper.kill()
        expect("another process of that user can be read", open_one.returncode, 0)
        with Living(lab, "-U", str(NOBODY), *ASKS[:2]) as alive:
            expect("the courier's user", status_of(alive.courier, "Uid"), str(NOBODY))
            for name in ("maps", "mem", "environ", "auxv"):
                done = subprocess.run([*peek, f"/proc/{alive.courier}/{name}"], capture_output=True, check=False)
                need(f"{name} is closed", done.returncode != 0 and b"denied" in done.stderr, done.stderr)


def dies_with_core(pid, *where):
    before = {(w, n) for w in where for n in os.listdir(w)}
    os.kill(pid, signal.SIGSEGV)
    life.until("dead", lambda: life.gone(pid))
    return [n for w in where for n in os.listdir(w) if (w, n) not in before and n.startswith("core")]


def test_no_core(build):
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
        if f.read().strip() != "core":
            raise Skip("core files do not go to the working directory here")
    unlimited = (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_CORE)[1])
    if unlimited[1] != resource.RLIM_INFINITY:
        raise Skip("the hard limit of core files is not unlimited")
    with Lab(build) as lab:
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, unlimited)
        with subprocess.Popen(["sleep", "30"], cwd=lab.top, preexec_fn=limit) as control:
            left = dies_with_core(control.pid, lab.top)
        need("without the defence a core is left", left)
        os.unlink(os.path.join(lab.top, left[0]))
        with Living(lab, *ASKS, cwd=lab.top, preexec_fn=limit) as alive:
            expect("the courier's core", dies_with_core(alive.courier, lab.top, "/"), [])


def peak_kib(build, path):
    with Lab(build) as lab:
        with Living(lab, "-b", "4000", "-S", f"name=x;path={path};field=value") as alive:
            return int(status_of(alive.courier, "VmHWM")), alive.said


def test_memory_stays_bounded(build):
    """16 MiB, whatever is sent; the figures are printed."""
    for path in ("kv1/site", "fault/endless", "fault/large-length", "fault/many", "fault/depth", "fault/headers", "big/data"):
        peak, _ = peak_kib(build, path)
        print(f"     peak of the courier, {path}: {peak} KiB")
        need(f"{path}: at most 16 MiB", peak <= 16 * 1024, peak)


def attacker(build, how, lab, other):
    program = os.path.join(build, "tests/secrets/secrets-attacker")
    done = subprocess.run([program, how, lab.socket, other], stdout=subprocess.PIPE, text=True, check=False, timeout=30)
    deeds = dict(line.split(": ") for line in done.stdout.splitlines())
    deeds["program"] = "done" if done.returncode == 0 else f"status {done.returncode}"
    return deeds


def test_confinement(build):
    """Each deed works without the confinement, and none but talking to the agent works with it."""
    with Lab(build) as lab:
        path = os.path.join(lab.top, "other.sock")
        other = socket.socket(socket.AF_UNIX)
        other.bind(path)
        other.listen(8)
        free, confined = attacker(build, "free", lab, path), attacker(build, "confined", lab, path)
        impossible = {k for k, v in free.items() if v != "done"} - {"io-uring"}
        expect("free: what can't be done", impossible, set())
        expect("confined: what can be done", {k for k, v in confined.items() if v == "done"}, {"agent"})
        other.close()


def test_file_names(build):
    """A name that leaves the directory, or hides in it, is refused before anything is asked."""
    with Lab(build) as lab:
        for name in ("../x", "a/b", ".", "..", "", ".hidden", "-x", "a b", "x" * 65, "\u00e9"):
            played = lab.play("-S", f"name={name};path=kv1/site;field=key")
            need(f"{name!r}", played.status == 2, played.text)
        expect("nothing written", (os.listdir(lab.dir), lab.server.requests()), ([], []))


def test_planted_file(build):
    """What lies in the directory already is replaced, not followed."""
    with Lab(build) as lab:
        victim = os.path.join(lab.top, "victim")
        with open(victim, "w", encoding="ascii") as f:
            f.write("mine")
        for name in ("x", ".new-x"):
            os.symlink(victim, os.path.join(lab.dir, name))
        lab.play("-S", ASKS[1])
        expect("victim", life.read_file(victim), "mine")
        need("a file of its own", not os.path.islink(os.path.join(lab.dir, "x")))

