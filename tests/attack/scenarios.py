# SPDX-License-Identifier: Apache-2.0
"""Attacks on the start of a box, and on what is left of it. Each shows first that the attack works where nothing stops it."""
import os
import random
import signal
import subprocess
import time

from hostile import HOSTILE
from world import Skip, become

STARTS_IN_A_RACE = 150
KILLS = 60


def box(world, command, image=None, options=(), verb="exec", **how):
    """nestbox VERB, as the world's user; the finished process with its output in one text."""
    options = list(options)
    if world.user.uid == 0 and verb != "wrap" and "--user" not in options:
        options += ["--user", f"{world.payload_uid()}:{world.payload_uid()}"]
    if world.policy:
        options += ["--policy", world.policy]
    place = [] if verb == "wrap" else [*options, image or world.image]
    return subprocess.run([world.nestbox, verb, *place, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, preexec_fn=as_user(world), timeout=120, check=False, **how)


def as_user(world, then=lambda: None):
    def in_child():
        become(world.user.uid)
        then()
    return in_child


def text(done):
    return done.stdout.decode("utf-8", "replace").strip()


def expect(condition, why):
    return ("PASS", "") if condition else ("FAIL", why)


def shown(condition, why):
    if not condition:
        raise Skip("not seen to succeed without the defence: " + why)


def environment(world, mark, **more):
    return {"PATH": "/usr/bin:/bin", "NESTBOX_ATTACK_MARK": mark, **more}


def open_place(world, name):
    """A directory that the world's user may write, outside of every box."""
    place = world.path(name)
    os.makedirs(place, exist_ok=True)
    os.chmod(place, 0o777)
    return place


def preload(world):
    library = os.path.join(os.path.dirname(world.source), "preload.so")
    if not os.path.exists(library):
        raise Skip(f"no {library}")
    mark = os.path.join(open_place(world, "marks"), "preload")
    env = environment(world, mark, LD_PRELOAD=library, LD_AUDIT=library, LD_LIBRARY_PATH=os.path.dirname(library))
    subprocess.run(["/bin/true"], env=env, check=True)
    shown(os.path.exists(mark), "LD_PRELOAD left no mark")
    os.unlink(mark)
    done = box(world, ["/bin/probe", "exit", "5"], env=env)
    return expect(not os.path.exists(mark) and done.returncode == 5, f"status {done.returncode}, mark {os.path.exists(mark)}")


def shell_environment(world):
    mark = os.path.join(open_place(world, "marks"), "shell")
    script = world.path("marks", "rc")
    with open(script, "w", encoding="ascii") as stream:
        stream.write(f"touch {mark}\n")
    env = environment(world, mark, BASH_ENV=script, ENV=script, PS4=f"$(touch {mark})", SHELLOPTS="xtrace")
    subprocess.run(["/bin/bash", "-c", "true"], env=env, check=False, stderr=subprocess.DEVNULL)
    shown(os.path.exists(mark), "BASH_ENV left no mark")
    os.unlink(mark)
    done = box(world, ["/bin/probe", "exit", "5"], env=env)
    return expect(not os.path.exists(mark) and done.returncode == 5, f"status {done.returncode}: {text(done)}")


def library_environment(world):
    """Variables that C libraries parse, with random bytes: the launcher must not notice."""
    names = ("GLIBC_TUNABLES", "MALLOC_PERTURB_", "TZ", "LOCPATH", "LANG", "LC_ALL", "GCONV_PATH", "RES_OPTIONS",
             "NESTBOX_CONFIG", "NESTBOX_POLICY", "POSIXLY_CORRECT", "TMPDIR", "LD_BIND_NOW", "MUSL_LOCPATH")
    dice = random.Random(2023)
    for _ in range(40):
        env = {n.encode(): bytes(dice.randrange(1, 256) for _ in range(dice.randrange(200))) for n in names}
        done = box(world, ["/bin/probe", "exit", "7"], env=env)
        if done.returncode != 7:
            return "FAIL", f"status {done.returncode} with {env}: {text(done)}"
    return "PASS", ""


def empty_argv(world):
    done = subprocess.run([world.probe, "no-arguments", world.nestbox], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=as_user(world), check=False)
    return expect(done.returncode in (0, 1, 2, 64, 125), f"status {done.returncode}: {text(done)}")


def signal_state(world):
    """SIGCHLD ignored by the caller would lose the payload's status; blocked signals would never be passed on."""
    def spoil():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    done = subprocess.run([world.nestbox, "exec", *user_option(world), world.image, "/bin/probe", "exit", "37"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=as_user(world, spoil), check=False)
    return expect(done.returncode == 37, f"status {done.returncode}: {text(done)}")


def user_option(world):
    """Options of every box that is not made by box()."""
    user = ["--user", f"{world.payload_uid()}:{world.payload_uid()}"] if world.user.uid == 0 else []
    return [*user, "--policy", world.policy]


def closed_descriptors(world):
    def close():
        for fd in range(3):
            os.close(fd)
    plain = subprocess.run([world.probe, "missing-fds"], preexec_fn=close, check=False)
    shown(plain.returncode == 0, f"status {plain.returncode}")
    done = subprocess.run([world.nestbox, "exec", *user_option(world), world.image, "/bin/probe", "missing-fds"],
                          preexec_fn=as_user(world, close), check=False)
    return expect(done.returncode == 1, f"status {done.returncode}")


def snapshot(*places):
    """Everything about a tree that a careless runtime would change."""
    seen = {}
    for place in places:
        for folder, below, names in os.walk(place):
            for name in [".", *below, *names]:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                seen[path] = (st.st_mode, st.st_uid, st.st_size, st.st_ino, st.st_mtime_ns if name != "." else st.st_nlink)
    return seen


def changed(before, after):
    return sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))[:5]


def hostile_images(world):
    """Images whose own entries lead outside: refused or harmless, and in both cases nothing outside is touched."""
    victim = open_place(world, "host")
    with open(os.path.join(victim, "secret"), "wb") as stream:
        stream.write(b"nestbox-attack-secret\n")
    wrong, refused = [], 0
    for name, make in HOSTILE:
        image = make(world, name, victim)
        before = snapshot(victim, os.path.realpath(image)), mounts(world)
        done = box(world, ["/bin/probe", "secret-by-proc", os.path.join(victim, "secret")], image=image)
        after = snapshot(victim, os.path.realpath(image)), mounts(world)
        refused += done.returncode == 125
        if done.returncode not in (1, 125, 126, 127):
            wrong.append(f"{name}: status {done.returncode}: {text(done)}")
        if before != after:
            wrong.append(f"{name}: changed {changed(before[0], after[0])} {set(after[1]) - set(before[1])}")
        if done.returncode == 125 and ("/" not in text(done) or len(text(done)) < 20):
            wrong.append(f"{name}: refused without a place: {text(done)}")
    if refused == 0:
        wrong.append("not one was refused")
    return expect(not wrong, "; ".join(wrong))


def mounts(world):
    """What is mounted at or from our places; other mounts come and go on a machine in use."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        return [line for line in stream if world.dir in line]


def image_untouched(world):
    before = snapshot(world.image)
    done = box(world, ["/bin/probe", "exit", "0"])
    after = snapshot(world.image)
    return expect(done.returncode == 0 and before == after, f"{text(done)} {changed(before, after)}")


def racing(world, first, second, start):
    """Call start many times while the two names are exchanged; the statuses that were seen."""
    racer = subprocess.Popen([world.probe, "swap", first, second], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    seen = {}
    try:
        if racer.stdout.readline() != b"ready\n":
            raise Skip("the racer did not start")
        for _ in range(STARTS_IN_A_RACE):
            done = start()
            seen.setdefault(done.returncode, text(done))
    finally:
        racer.stdin.close()
        racer.wait()
        racer.stdout.close()
    return seen


def image_race(world):
    """A directory of the image is exchanged for a link to the outside while boxes start."""
    wrong = []
    victim = open_place(world, "host")
    for name in ("etc", "dev", "proc", "tmp", "var"):
        image = world.make_other_image("race-" + name)
        os.symlink(victim, os.path.join(image, "link"))
        before = snapshot(victim), mounts(world)
        seen = racing(world, os.path.join(image, name), os.path.join(image, "link"),
                      lambda image=image: box(world, ["/bin/probe", "secret-by-proc", world.secret], image=image))
        if snapshot(victim) != before[0] or mounts(world) != before[1]:
            wrong.append(f"{name}: changed {changed(before[0], snapshot(victim))}")
        if set(seen) - {1, 125}:
            wrong.append(f"{name}: {seen}")
    return expect(not wrong, "; ".join(wrong))


def scratch_race(world):
    """The job's own directory is exchanged for a link to one of root's: the payload must never get that one."""
    mine, link = open_place(world, "mine"), world.path("link")
    world.give(mine)
    if not os.path.islink(link):
        os.symlink(world.dir, link)
    secret = os.path.join(mine, "secret")
    seen = racing(world, mine, link, lambda: box(world, ["/bin/probe", "secret", secret], options=["--job-dir", mine]))
    return expect(not set(seen) - {1, 125}, str(seen))


def passwd_race(world):
    """The image's passwd is exchanged for a link to a file of root's: its text must not get into the box."""
    image = world.make_other_image("race-passwd")
    private = world.path("private")
    with open(private, "wb") as stream:
        stream.write(b"nestbox-attack-secret:x:0:0::/:/bin/sh\n")
    os.chmod(private, 0o600)
    os.symlink(private, os.path.join(image, "etc/link"))
    seen = racing(world, os.path.join(image, "etc/passwd"), os.path.join(image, "etc/link"),
                  lambda: box(world, ["/bin/probe", "secret", "/etc/passwd"], image=image))
    return expect(not set(seen) - {1, 125}, str(seen))


def tokens():
    """Processes of ours that a box left behind."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                words = stream.read().split(b"\0")
        except OSError:
            continue
        if b"daemonise" in words or b"nestbox-attack-token" in words:
            found.append(int(pid))
    return found


def wait_gone(seconds=5.0):
    end = time.monotonic() + seconds
    while tokens() and time.monotonic() < end:
        time.sleep(0.02)
    return tokens()


def daemon_left(world):
    """A daemon that ignores signals and holds standard output open: it must die with the box, and the pipe must end."""
    plain = subprocess.Popen([world.probe, "daemonise", "3", "nestbox-attack-token"], stdout=subprocess.DEVNULL)
    plain.wait()
    time.sleep(0.1)
    shown(tokens(), "no daemon was left")
    for pid in tokens():
        os.kill(pid, signal.SIGKILL)
    done = box(world, ["/bin/probe", "daemonise", "60", "nestbox-attack-token"])
    left = wait_gone()
    return expect(done.returncode == 0 and not left, f"status {done.returncode}, left {left}: {text(done)}")


def keeper_killed(world):
    """SIGKILL to the keeper at random instants: nothing of the box lives on."""
    dice = random.Random(4)
    command = [world.nestbox, "exec", *user_option(world), world.image, "/bin/probe", "daemonise", "60", "nestbox-attack-token"]
    stay = command[:-3] + ["victim", "nestbox-attack-token"]
    for turn in range(KILLS):
        process = subprocess.Popen(stay if turn % 2 else command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=as_user(world))
        time.sleep(dice.random() * 0.03)
        process.kill()
        process.wait()
        process.stdin.close()
        left = wait_gone()
        if left:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return "FAIL", f"processes {left} live on after the keeper was killed (turn {turn})"
    return "PASS", ""


def keeper_traced(world):
    """Another process of the same user, outside, goes for the keeper and for pid 1."""
    attacks = ("trace", "memory", "pry", "write-memory", "steal-fd")
    box_process = subprocess.Popen([world.nestbox, "exec", *user_option(world), world.image, "/bin/probe", "victim"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=as_user(world))
    reached = []
    try:
        if box_process.stdout.readline() != b"ready\n":
            return "FAIL", "the box did not start"
        with open(f"/proc/{box_process.pid}/task/{box_process.pid}/children", encoding="ascii") as stream:
            targets = {"keeper": box_process.pid, "pid 1": int(stream.read().split()[0])}
        for name, pid in targets.items():
            for attack in attacks:
                done = subprocess.run([world.probe, attack, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      preexec_fn=lambda: become(world.payload_uid()), check=False)
                if done.returncode != 1:
                    reached.append(f"{name}: {text(done)}")
    finally:
        box_process.stdin.close()
        box_process.wait()
        box_process.stdout.close()
    return expect(not reached, "; ".join(reached))


def sibling_scratch(world):
    """As HTCondor starts it: the directories of other jobs are not there, one's own is."""
    return min(siblings_of(world, open_place(world, name)) for name in ("execute", "/".join(["e" * 150] * 4)))  # FAIL comes first


def siblings_of(world, execute):
    os.chmod(execute, 0o755)
    own, other = os.path.join(execute, "dir_1"), os.path.join(execute, "dir_2")
    for place in (own, other):
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, "secret"), "wb") as stream:
            stream.write(b"nestbox-attack-secret\n")
        world.give(place, os.path.join(place, "secret"))
    program = os.path.join(own, "probe")
    with open(world.probe, "rb") as source, open(program, "wb") as stream:
        stream.write(source.read())
    os.chmod(program, 0o755)
    env = {"_CONDOR_SCRATCH_DIR": own, "PATH": "/usr/bin:/bin"}
    plain = subprocess.run([program, "secret", os.path.join(other, "secret")], preexec_fn=as_user(world), check=False,
                           stderr=subprocess.DEVNULL)
    shown(plain.returncode == 0, f"status {plain.returncode}")
    mine = box(world, [program, "secret", os.path.join(own, "secret")], verb="wrap", env=env, cwd=own)
    done = box(world, [program, "secret", os.path.join(other, "secret")], verb="wrap", env=env, cwd=own)
    listed = box(world, [program, "more-than", execute, "dir_1"], verb="wrap", env=env, cwd=own)
    return expect((mine.returncode, done.returncode, listed.returncode) == (0, 1, 1),
                  f"own {text(mine)}; other {text(done)}; list {text(listed)}")


def root_wrapped(world):
    """HTCondor never starts a job as root; if somebody does, it does not run."""
    done = box(world, [os.path.join(world.scratch, "probe"), "exit", "0"], verb="wrap", env={"PATH": "/bin"})
    return expect(done.returncode == 125, f"status {done.returncode}: {text(done)}")


def propagation(world):
    """A mount made in the box on a worker whose mounts are shared: the worker must not see it."""
    look = "grep -c nestbox-attack /proc/self/mountinfo || true"
    plain = f"unshare -m --propagation unchanged mount -t tmpfs nestbox-attack /mnt; {look}"
    boxed = " ".join([world.nestbox, "exec", *user_option(world), world.image, "/bin/probe", "mount-nested", "/tmp"])
    inside = f"({boxed}) & sleep 0.3; {look}; wait; {look}"
    counts = []
    for script in (plain, inside):
        done = subprocess.run(["unshare", "-m", "--propagation", "shared", "sh", "-c", script], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        counts.append(text(done).splitlines())
    shown(counts[0] and counts[0][-1] == "1", f"no propagation: {counts[0]}")
    numbers = [line for line in counts[1] if line.isdigit()]
    return expect(numbers == ["0", "0"], f"{counts[1]}")


def lost_start_directory(world):
    """The caller's directory is below the secret's: the payload's must not lead there."""
    plain = subprocess.run([world.probe, "secret", "secret"], cwd=world.dir, check=False, stderr=subprocess.DEVNULL)
    shown(plain.returncode == 0, f"status {plain.returncode}")
    done = box(world, ["/bin/probe", "secret", "secret"], cwd=world.dir)
    lost = box(world, ["/bin/probe", "lost-directory"], cwd=world.dir)
    return expect(done.returncode in (1, 125) and lost.returncode in (1, 125), f"{text(done)}; {text(lost)}")


# name, row of docs/threats.md, who, scenario
SCENARIOS = [
    ("preload", "A01", "any", preload),
    ("shell-environment", "A03", "any", shell_environment),
    ("library-environment", "A02", "any", library_environment),
    ("empty-argv", "A05", "any", empty_argv),
    ("signal-state", "A09", "any", signal_state),
    ("closed-descriptors", "A06", "any", closed_descriptors),
    ("hostile-images", "C03", "any", hostile_images),
    ("image-untouched", "C13", "any", image_untouched),
    ("image-race", "C01", "any", image_race),
    ("passwd-race", "L06", "root", passwd_race),
    ("scratch-race", "C02", "any", scratch_race),
    ("daemon-left", "B05", "any", daemon_left),
    ("keeper-killed", "B04", "any", keeper_killed),
    ("keeper-traced", "B02", "any", keeper_traced),
    ("sibling-scratch", "C15", "user", sibling_scratch),
    ("root-wrapped", "F07", "root", root_wrapped),
    ("propagation", "C07", "root", propagation),
    ("lost-start-directory", "C10", "any", lost_start_directory),
]
