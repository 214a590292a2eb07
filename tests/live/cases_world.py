# SPDX-License-Identifier: Apache-2.0
"""The worker's own tree as the image, and what of the worker a payload can see."""
import ctypes
import json
import os
import subprocess

from box import ended, refused, require


def case_read_only_world(live):
    done = live.run("exec", "/", "/bin/sh", "-c", "for d in / /etc /usr /var /srv /opt /run /dev; do touch $d/x 2>/dev/null && echo wrote $d; done; echo end")
    ended(done, 0)
    require(done.stdout == "end\n", done.stdout)


def case_submounts_are_read_only(live):
    place = live.path("sub")
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=777", "tmpfs", place], check=True)
    try:
        done = live.run("exec", "/", "/usr/bin/touch", place + "/x")
        require(done.returncode != 0 and "Read-only" in done.stderr, done.stderr)
    finally:
        subprocess.run(["umount", place], check=True)


def case_hidden(live):
    done = live.run("exec", "/", "/bin/sh", "-c", "ls -A /root /var/log/nestbox /etc/ssh 2>&1; cat /etc/shadow; ls -A /run; echo end")
    require("jsonl" not in done.stdout and "root:*" not in done.stdout and "root:!" not in done.stdout and "root:$" not in done.stdout and done.stdout.endswith("end\n"), done.stdout)


def case_scratch(live):
    scratch, other = live.path("execute", "dir_1"), live.path("execute", "dir_2")
    for path in (scratch, other):
        os.makedirs(path)
        os.chown(path, live.caller.payload_uid, live.caller.payload_uid)
    ended(live.run("exec", "--job-dir", scratch, "/", "/usr/bin/touch", scratch + "/made"), 0)
    require(os.path.exists(scratch + "/made"), "scratch is not writable")
    done = live.run("exec", "--job-dir", scratch, "/", "/usr/bin/touch", other + "/made")
    require(done.returncode != 0, "another directory is writable")


def case_scratch_of_the_boxs_own(live):
    """-S as in Singularity: nothing of the worker's directory of that name is seen, and nothing is left on it."""
    there = live.path("there")
    os.makedirs(there)
    with open(there + "/secret", "w", encoding="ascii") as stream:
        stream.write("x")
    os.chmod(there, 0o777)
    script = f"set -e; for d in {there} /made /a/b; do ls $d; echo x >$d/mine; done; cat /made/hosts/hostname /tmp/mine"
    done = live.run("exec", "-S", f"{there}/,/made", "--scratch=/a/b", "-B", "/etc:/made/hosts:ro", "/", "/bin/sh", "-c", script)
    require(done.returncode == 1 and done.stdout.split("\n")[0] == "hosts" and "/tmp/mine" in done.stderr, f"{done.stdout} {done.stderr}")
    require(os.listdir(there) == ["secret"] and not os.path.exists("/made"), str(os.listdir(there)))
    ended(live.run("exec", "-S", "/made", live.image, "sh", "-c", "echo ok >/made/x; cat /made/x"), 0, "ok")
    refused(live.run("exec", "-S", "/", "/", "true"), "--scratch")
    refused(live.run("exec", "-S", ",".join(f"/d{i}" for i in range(17)), "/", "true"), "more than 16")


def case_execute_behind_a_link(live):
    """Sites lead EXECUTE to a bigger disk by a link. The starter names the link, the working directory is what it leads to: the
    job may write there by both names, and sees no other job's directory by either."""
    if live.caller.is_root:
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/lib"], check=True)
    try:
        os.makedirs("/var/lib/condor")
        for real, link in ((live.path("disk"), "/var/lib/condor/execute"), ("/var/lib/condor/real", live.path("a-link")),
                           (live.path("big"), live.path("z-link")), (live.path("z-big"), live.path("b-link"))):
            for name in ("dir_1", "dir_2", "dir_3/scratch", "dir_3/user"):
                os.makedirs(f"{real}/{name}")
                os.chown(f"{real}/{name}", live.caller.payload_uid, live.caller.payload_uid)
            os.symlink(real, link)
            for name, parent in (("dir_1", ""), ("dir_3/scratch", "dir_3/")):
                script = f"set -e; cat /proc/self/cwd/given; echo x >here; test -e {link}/{name}/here; echo y >{link}/{name}/there; " \
                         f"ls {real} {link}/ {real}/{parent} {link}/{parent}; ls -d {link}/{parent}user 2>/dev/null || :"
                with open(f"{real}/{name}/given", "w", encoding="ascii") as stream:
                    stream.write("given\n")
                done = live.run("wrap", "/bin/sh", "-c", script, cwd=f"{link}/{name}", env={**live.env, "_CONDOR_SCRATCH_DIR": f"{link}/{name}"})
                ended(done, 0, "given")
                require(set(os.listdir(f"{real}/{name}")) == {"given", "here", "there"}, str(os.listdir(f"{real}/{name}")))
                require("dir_2" not in done.stdout and (not parent or f"{link}/dir_3/user" in done.stdout), done.stdout)
    finally:
        subprocess.run(["umount", "/var/lib"], check=True)


def case_a_slash_too_many(live):
    """Shells complete directories with a slash, and the starter puts one behind the site's "EXECUTE = /scratch/"."""
    scratch = live.path("slashes", "dir_1")
    os.makedirs(scratch)
    os.chown(scratch, live.caller.payload_uid, live.caller.payload_uid)
    ended(live.run("exec", "--bind", f"{live.dir}/:/mnt//", "/", "/bin/ls", "/mnt"), 0, "image")
    ended(live.run("exec", "--job-dir", scratch + "/", "/", "/usr/bin/touch", scratch + "/made"), 0)
    if not live.caller.is_root:
        env = {**live.env, "_CONDOR_SCRATCH_DIR": live.path("slashes//dir_1")}
        ended(live.run("wrap", "/usr/bin/touch", scratch + "/again", env=env), 0)
        require(os.path.exists(scratch + "/again"), "scratch is not writable")


def case_processes_are_the_boxes_own(live):
    done = live.run("exec", "/", "/bin/sh", "-c", "ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm; cat /proc/1/environ 2>&1; echo")
    ended(done, 0)
    require(int(done.stdout.split()[0]) < 8 and "nestbox" in done.stdout and "PATH=" not in done.stdout, done.stdout)


def case_privileges_are_gone(live):
    done = live.run("exec", "/", "/bin/cat", "/proc/self/status")
    ended(done, 0)
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        require(int(status[name], 16) == 0, f"{name} {status[name]}")
    require(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", str(status))
    require(status["Uid"].split() == [str(live.caller.payload_uid)] * 4, status["Uid"])


def case_nested_profile_nests(live):
    """A payload may start a sandbox of its own; without the host's help."""
    done = live.run("exec", "--profile", "nested", "/", "/usr/bin/unshare", "-Urmpf", "--mount-proc", "/bin/sh", "-c", "echo inner $(ls -d /proc/[0-9]* | wc -l)")
    ended(done, 0, "inner ")
    done = live.run("exec", "--profile", "nested", "/", "/usr/bin/unshare", "-Urn", "/bin/true")
    require(done.returncode != 0, "a network namespace could be made")


def case_strict_profile_does_not(live):
    done = live.run("exec", "--profile", "strict", "/", "/usr/bin/unshare", "-Ur", "/bin/true")
    require(done.returncode != 0 and "unshare" in done.stderr, done.stderr)
    ended(live.run("exec", "--profile", "strict", "/", "/bin/sh", "-c", "cat /proc/kallsyms | wc -c"), 0, "0")


def case_cvmfs_mounts_appear_later(live):
    """What is mounted below /cvmfs while the box lives shows up in it."""
    made = not os.path.isdir("/cvmfs")
    os.makedirs("/cvmfs", exist_ok=True)
    subprocess.run(["mount", "--bind", "/cvmfs", "/cvmfs"], check=True)
    subprocess.run(["mount", "--make-shared", "/cvmfs"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/cvmfs"], check=True)
    subprocess.run(["mount", "--make-shared", "/cvmfs"], check=True)
    os.mkdir("/cvmfs/late.example.org")
    try:
        process = live.start("exec", "/", "/bin/sh", "-c", "echo ready; while [ ! -e /cvmfs/late.example.org/file ]; do sleep 0.05; done; echo seen")
        require(process.stdout.readline() == b"ready\n", "no payload")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/cvmfs/late.example.org"], check=True)
        with open("/cvmfs/late.example.org/file", "w", encoding="utf-8"):
            pass
        try:
            require(process.communicate(timeout=20)[0] == b"seen\n", "not seen")
        finally:
            process.kill()
            process.wait()
    finally:
        subprocess.run(["umount", "/cvmfs/late.example.org"], check=False)
        subprocess.run(["umount", "/cvmfs"], check=True)
        subprocess.run(["umount", "/cvmfs"], check=True)
        if made:
            os.rmdir("/cvmfs")


def case_environment(live):
    done = live.run("exec", "--env", "A=1", "--cleanenv", "/", "/usr/bin/env", env={**live.env, "B": "2", "VAULT_TOKEN": "x"})
    ended(done, 0)
    require("A=1" in done.stdout and "B=2" not in done.stdout, done.stdout)
    done = live.run("exec", "/", "/usr/bin/env", env={**live.env, "B": "2", "VAULT_TOKEN": "x"})
    require("B=2" in done.stdout and "VAULT_TOKEN" not in done.stdout, done.stdout)


def case_explain_does_nothing(live):
    marker = live.path("marker")
    done = live.run("exec", "--explain", "--bind", f"{live.dir}:/mnt", "/", "/usr/bin/touch", "/mnt/marker")
    ended(done, 0, "execute /usr/bin/touch")
    require(not os.path.exists(marker), "it was done")


def with_proc(live, *ladder):
    path = live.path("proc.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "namespaces": {"proc": list(ladder)}}, stream)
    return ["--policy", path]


def landlock_abi():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset(2), LANDLOCK_CREATE_RULESET_VERSION


def case_proc_ladder(live):
    """Each rung alone: what it shows, and that the record says which one it was."""
    if live.caller.name == "root" and landlock_abi() < 6:
        refused(live.run("exec", *with_proc(live, "bind"), "/", "/bin/echo", "RAN"), "/proc", "Landlock")
        return
    done = live.run("exec", *with_proc(live, "bind"), "/", "/bin/sh", "-c", "kill -0 $PPID; readlink /proc/self/ns/pid; ls /proc/1/comm")
    ended(done, 0)
    require(os.readlink("/proc/self/ns/pid") not in done.stdout, "no pid namespace of its own")
    done = live.run("exec", *with_proc(live, "shared"), "/", "/bin/sh", "-c", "readlink /proc/self/ns/pid; (setsid sleep 1000 &); exit 4")
    ended(done, 4, os.readlink("/proc/self/ns/pid"))
    ended(live.run("exec", *with_proc(live, "empty"), "/", "/bin/sh", "-c", "echo /proc/*"), 0, "/proc/*")


def case_covered_proc(live):
    """Where the worker hides a part of its /proc, an ordinary user gets no new one: refused, or the rung that the policy names."""
    if live.caller.name == "root":
        return
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/proc/acpi" if os.path.isdir("/proc/acpi") else "/proc/irq"], check=True)
    place = "/proc/acpi" if os.path.isdir("/proc/acpi") else "/proc/irq"
    try:
        refused(live.run("exec", "/", "/bin/echo", "RAN"), "/proc", "unmask")
        ended(live.run("exec", *with_proc(live, "fresh", "bind"), "/", "/bin/true"), 0)
        done = live.run("exec", *with_proc(live, "fresh", "shared"), "/", "/bin/readlink", "/proc/self/ns/pid")
        ended(done, 0, os.readlink("/proc/self/ns/pid"))
    finally:
        subprocess.run(["umount", place], check=True)


def case_own_network(live):
    """One interface, lo, over which a payload can talk to itself and to nobody else."""
    talk = ("import socket; print([n for _, n in socket.if_nameindex()]); s = socket.create_server(('127.0.0.1', 0));"
            "c = socket.create_connection(s.getsockname()); c.sendall(b'heard'); print(s.accept()[0].recv(9).decode())")
    done = live.run("exec", "--net", "/", "/usr/bin/python3", "-c", talk)
    ended(done, 0, "['lo']\nheard\n")


def case_variables_with_long_names(live):
    """A name of any length is held against environment.drop, and set or kept as any other."""
    path = live.path("drop.json")
    with open(path, "w", encoding="ascii") as stream:
        json.dump({"version": 1, "environment": {"drop": ["SITE_*", "*_END"]}}, stream)
    for length in (10, 254, 255, 256, 257, 5000, 100000):
        long = "N" * length
        env = {**live.env, f"SITE_{long}": "dropped", f"{long}_END": "dropped", f"{long}_KEPT": "kept", f"{long}_SET": "old"}
        done = live.run("exec", "--policy", path, "--env", f"{long}_SET=new", live.image, "env", env=env)
        ended(done, 0)
        names = dict(line.split("=", 1) for line in done.stdout.splitlines())
        found = {name[:5] + name[-5:]: value for name, value in names.items() if "NNN" in name}
        require(found == {"NNNNN_KEPT": "kept", "NNNNNN_SET": "new"} and "dropped" not in done.stdout, f"{length}: {found}")
