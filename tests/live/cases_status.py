# SPDX-License-Identifier: Apache-2.0
"""The payload ends, and nestbox ends the same way; signals arrive."""
import os
import random
import signal
import subprocess
import time

from box import boxes, ended, kill, refused, require


def case_exit_codes(live):
    for code in (0, 1, 2, 42, 124, 125, 126, 127, 128, 137, 139, 255):
        ended(live.sh(f"exit {code}"), code)


def case_every_exit_code(live):
    for code in range(256):
        done = live.sh(f"exit {code}")
        require(done.returncode == code and done.stderr == "", f"{code}: {done.returncode} {done.stderr!r}")


def case_every_deadly_signal(live):
    harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN,
                signal.SIGTTOU}
    for number in range(1, 32):
        if number not in harmless:
            ended(live.run("exec", "/", "/usr/bin/python3", "-c", f"import os; os.kill(os.getpid(), {number}); os._exit(99)"),
                  99 if number in (signal.SIGPIPE, signal.SIGXFSZ) else -number)


def case_signals_arrive(live):
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "WINCH", "XCPU"):
        process = live.start("exec", "/", "/bin/bash", "-c", f"trap 'exit 7' {name}; echo ready; while :; do sleep 0.02; done")
        require(process.stdout.readline() == b"ready\n", "no payload")
        kill(process, getattr(signal, "SIG" + name))
        process.wait(20)
        require(process.returncode == 7, f"{name}: status {process.returncode}")


def case_default_disposition_kills(live):
    process = live.start("exec", live.image, "sh", "-c", "echo ready; exec sleep 100")
    process.stdout.readline()
    kill(process, signal.SIGTERM)
    process.wait(20)
    require(process.returncode == -signal.SIGTERM, f"status {process.returncode}")


def states(processes):
    found = []
    for process in processes:
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8") as stream:
                found.append(stream.read().rsplit(")", 1)[1].split()[0])
        except OSError:
            continue
    return found


def payload_of(keeper, before):
    """The processes of a box but its pid 1."""
    found = []
    for process in boxes() - before:
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8") as stream:
                if stream.read().rsplit(")", 1)[1].split()[1] != str(keeper.pid):
                    found.append(process)
        except OSError:
            continue
    return found


def become(inside, wanted, seconds=30):
    """The states of these processes, once they are those that are wanted, or at the end of the time."""
    end = time.monotonic() + seconds
    while states(inside) != wanted and time.monotonic() < end:
        time.sleep(0.02)
    return states(inside)


def case_stop_and_continue(live):
    before = boxes()
    process = live.start("exec", live.image, "sh", "-c", "echo ready; exec sleep 1000")
    process.stdout.readline()
    inside = payload_of(process, before)
    kill(process, signal.SIGTSTP)
    stopped = become(inside, ["T"])
    kill(process, signal.SIGCONT)
    again = become(inside, ["S"])
    kill(process, signal.SIGTERM)
    process.wait(20)
    require(stopped == ["T"] and again == ["S"], f"stopped: {stopped}, continued: {again}")


def case_daemons_end_with_the_payload(live):
    script = "import os, time\nfor _ in range(5):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(1000)\n    os._exit(0)\n"
    ended(live.run("exec", "/", "/usr/bin/python3", "-c", script), 0)


def case_orphans_are_reaped(live):
    script = ("import os, time\nfor _ in range(500):\n  if os.fork() == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\n  os.wait()\n"
              "time.sleep(0.3)\nz = [p for p in os.listdir('/proc') if p.isdigit() and ') Z' in open('/proc/%s/stat' % p).read()]\nprint(len(z))")
    ended(live.run("exec", "/", "/usr/bin/python3", "-c", script), 0, "0")


def case_killed_keeper_ends_the_box(live):
    for _ in range(25):
        process = live.start("exec", live.image, "sleep", "1000")
        time.sleep(random.random() * 0.02)
        kill(process)
        process.wait(20)
    for _ in range(20):  # the next starts take away what a killed keeper could not
        time.sleep(0.1)
        ended(live.sh("exit 0"), 0)


def case_ignored_child_signal(live):
    done = live.run("exec", live.image, "sh", "-c", "exit 5", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    ended(done, 5)


def case_mask_and_dispositions_are_the_callers(live):
    def spoil():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    bare = subprocess.run([*live.caller.prefix, "grep", "-E", "SigIgn|SigBlk", "/proc/self/status"], preexec_fn=spoil, capture_output=True, text=True)
    done = live.run("exec", "/", "/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status", preexec_fn=spoil)
    require(done.stdout == bare.stdout, f"{done.stdout!r} is not {bare.stdout!r}")


def case_streams(live):
    data = os.urandom(300000)
    done = subprocess.run(live.command("exec", live.image, "cat"), input=data, capture_output=True, cwd="/", env=live.env)
    require(done.returncode == 0 and done.stdout == data, "the payload's streams are not the caller's")


def case_reader_sees_the_end(live):
    """A grandchild that keeps the output open doesn't keep the caller waiting."""
    begin = time.monotonic()
    ended(live.sh("sleep 100 & echo done"), 0, "done")
    require(time.monotonic() - begin < 30, "the output stayed open")


def case_fifty_at_once(live):
    many = [live.start("exec", live.image, "sh", "-c", f"exit {n}") for n in range(50)]
    for n, process in enumerate(many):
        _, said = process.communicate(timeout=60)
        require(process.returncode == n, f"{n}: status {process.returncode} {said}")


def case_arguments_are_exact(live):
    args = ["", "a b", "it's", '"q"', "back\\slash", "new\nline", "ü€", "--help", "-e", "$HOME", "\x01"]
    done = live.run("exec", "/", "/usr/bin/python3", "-c", "import sys; print(sys.argv[1:])", *args)
    ended(done, 0)
    require(done.stdout.strip() == repr(args), done.stdout)


def case_not_found_and_not_executable(live):
    ended(live.run("exec", live.image, "/nowhere"), 127, "No such file")
    ended(live.run("exec", live.image, "nowhere"), 127, "nowhere")
    ended(live.run("exec", "/", "/etc/passwd"), 126, "Permission denied")


def case_status_descriptor(live):
    read, write = os.pipe()
    process = subprocess.Popen(live.command("exec", "--status-fd", str(write), live.image, "sh", "-c", "exit 9"), pass_fds=[write], env=live.env,
                               cwd="/")
    os.close(write)
    process.wait(20)
    text = os.fdopen(read).read()
    require('"event":"started"' in text and '"exit_code":9' in text, text)


def case_own_failed_writes_are_not_the_payloads(live):
    """Nobody reads what nestbox says: its SIGPIPE must not reach the payload, nor pass for the payload's end."""
    default = {"preexec_fn": lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL)}
    read, write = os.pipe()
    os.close(read)
    done = live.run("exec", "--status-fd", str(write), live.image, "sh", "-c", "sleep 0.3; exit 9", pass_fds=[write], **default)
    ended(done, 9)
    done = subprocess.run(live.command("exec", "/nowhere", "true"), stdin=subprocess.DEVNULL, stderr=write, env=live.env, check=False, **default)
    os.close(write)
    require(done.returncode == 125, f"status {done.returncode}")
    ended(live.run("exec", live.image, "sh", "-c", "kill -PIPE $$", **default), -signal.SIGPIPE)


def case_umask_is_the_payloads_alone(live):
    """An administrator's umask is the payload's, and takes nothing of the box from it."""
    data = live.path("data")
    os.mkdir(data)
    image = live.make_image("umask")
    script = "cat /run/nestbox/status.json && ls -d /new/place/. /dev/pts/. /dev/shm/. /run/nestbox/hidden/. && grep Umask /proc/self/status"
    for mask, said in ((0o077, "0077"), (0o027, "0027"), (0, "0000")):
        done = live.run("exec", "--bind", f"{data}:/new/place", image, "sh", "-c", script, preexec_fn=lambda mask=mask: os.umask(mask))
        ended(done, 0, said)


def case_deep_working_directory(live):
    """However long its path, the job starts there, and not somewhere else; where that can't be, it does not start."""
    top = live.path("deep")
    place = os.path.join(top, *["d" * 200] * 10)
    os.makedirs(place)
    for folder, _, _ in os.walk(top):
        os.chown(folder, live.caller.payload_uid, -1)
    ended(live.run("exec", "--job-dir", top, "/", "/bin/pwd", cwd=place), 0, place)
    if live.caller.is_root:
        return
    env = {**live.env, "_CONDOR_SCRATCH_DIR": top}
    ended(live.run("wrap", "/bin/pwd", cwd=place, env=env), 0, place)
    gone = os.path.join(top, "gone")
    os.mkdir(gone)
    os.chown(gone, live.caller.payload_uid, -1)
    script = f"cd {gone} && rmdir {gone} && exec {live.nestbox} wrap /bin/echo RAN"
    refused(subprocess.run([*live.caller.prefix, "/bin/sh", "-c", script], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           check=False), "working directory")
