# SPDX-License-Identifier: Apache-2.0
"""Bad input: one sentence with what, where and who must act, status 125, no payload."""
import json
import os
import resource

from box import Skip, ended, refused, require

OPTIONS = [
    (["exec", "--nonsense", "/", "true"], "--nonsense"),
    (["exec", "-Z", "/", "true"], "-Z"),
    (["exec", "--memory", "12q", "/", "true"], "--memory"),
    (["exec", "--memory=", "/", "true"], "--memory"),
    (["exec", "--memory", "1", "/", "true"], "1MiB"),
    (["exec", "--cpus", "-1", "/", "true"], "--cpus"),
    (["exec", "--cpus", "nan", "/", "true"], "--cpus"),
    (["exec", "--pids-limit", "0x10", "/", "true"], "--pids-limit"),
    (["exec", "--pids-limit", "99999999999999999999", "/", "true"], "--pids-limit"),
    (["exec", "--bind", "relative", "/", "true"], "--bind"),
    (["exec", "--bind", "/a:/b:wr", "/", "true"], "ro"),
    (["exec", "--bind", "/tmp:/../x", "/", "true"], "--bind"),
    (["exec", "--bind", "/nowhere:/mnt", "/", "true"], "/nowhere"),
    (["exec", "--env", "=x", "/", "true"], "--env"),
    (["exec", "--pwd", "x", "/", "true"], "--pwd"),
    (["exec", "--pwd", "/nowhere", "/", "true"], "/nowhere"),
    (["exec", "--profile", "loose", "/", "true"], "profile"),
    (["exec", "--status-fd", "1", "/", "true"], "--status-fd"),
    (["exec", "--status-fd", "77", "/", "true"], "--status-fd"),
    (["exec", "--user", "1:2:3", "/", "true"], "--user"),
    (["exec", "--user", "+1", "/", "true"], "--user"),
    (["exec", "--json", "/", "true"], "--explain"),
    (["exec", "--memory"], "--memory"),
    (["exec", "/"], "COMMAND"),
    (["exec"], "IMAGE"),
    (["exec", "", "true"], "IMAGE"),
    (["exec", "/", ""], "COMMAND"),
    (["exec", "/nowhere", "true"], "/nowhere"),
    (["exec", "/etc/passwd", "true"], "not a directory"),
    (["exec", "--policy", "/nowhere.json", "/", "true"], "/nowhere.json"),
    (["nonsense"], "nonsense"),
    (["help", "nonsense"], "nonsense"),
    (["version", "nonsense"], "nonsense"),
    (["kill", "--grace=soon", "x"], "soon"),
    (["kill", "--grace=1s", "no-such-box"], "no-such-box"),
    (["metrics", "--format=loose"], "--format"),
    (["doctor", "--user=nonsense"], "--user"),
]


def case_options(live):
    for args, word in OPTIONS:
        refused(live.run(*args), word)


def case_why_it_is_not_executed(live):
    """execve(2)'s errors mislead: a missing interpreter is "no such file", a directory "permission denied"."""
    programs = [("no-interpreter", "#!/no/such/interpreter\n", 0o755, 127, "interpreter"), ("crlf", "#!/bin/sh\r\n", 0o755, 127, "interpreter"),
                ("no-line", "echo\n", 0o755, 126, "#!"), ("empty", "", 0o755, 126, "#!"), ("no-mode", "#!/bin/sh\n", 0o644, 126, "chmod +x")]
    for name, text, mode, status, word in programs:
        path = policy_file(live, name, text, mode)
        done = live.run("exec", "/", path)
        ended(done, status)
        require(path in done.stderr and word in done.stderr and "the user must" in done.stderr, done.stderr)
    done = live.run("exec", "/", live.dir)
    ended(done, 126)
    require("directory" in done.stderr, done.stderr)
    ended(live.run("run", live.image, "ls"), 127, "nestbox exec IMAGE COMMAND")
    ended(live.run("exec", "/", "/no/such/program"), 127, "cannot execute /no/such/program: No such file or directory")


def case_wrap_explained(live):
    """The option stands before the verb; nothing is done, HTCondor is told nothing, and what stands behind is the job's."""
    failure = live.path("wrapper-error")
    env = {**live.env, "_CONDOR_WRAPPER_ERROR_FILE": failure}
    done = live.run("--explain", "wrap", "/bin/echo", "RAN", "--json", env=env)
    if live.caller.is_root:
        refused(done, "uid 0")
    else:
        ended(done, 0)
        require("execute /bin/echo" in done.stdout and "_CONDOR" not in done.stdout and "\nRAN" not in done.stdout, done.stdout)
    require(not os.path.exists(failure), "HTCondor's error file was written")
    refused(live.run("--explain", "exec", "/", "true"), "behind the verb")
    refused(live.run("--explain", "--nonsense", "wrap", "true"), "wrap COMMAND")


def case_accepted_is_kept(live):
    """What Singularity's users ask for is had, or refused."""
    own_user = live.run("exec", "-u", "/", "/bin/readlink", "/proc/self/ns/user")
    if live.caller.name == "root":
        refused(own_user, "--userns")
    else:
        ended(own_user, 0)
        require(own_user.stdout.strip() != os.readlink("/proc/self/ns/user"), own_user.stdout)
    ended(live.run("exec", "-p", "-i", "/", "/bin/true"), 0)
    shared = policy_file(live, "shared.json", '{"version":1,"namespaces":{"proc":["shared"]}}')
    refused(live.run("exec", "--pid", "--policy", shared, "/", "/bin/true"), "--pid", "shared.json:1")


def case_seccomp_file(live):
    """A filter of the caller's own, in both profiles; one that is not to be trusted, or is none, refuses."""
    mkdir = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
    own = policy_file(live, "own.json", json.dumps(mkdir))
    if live.caller.name == "user":
        os.chown(own, live.caller.payload_uid, live.caller.payload_uid)
    policy = policy_file(live, "with-own.json", '{"version":1,"environment":{"set":{"SITE":"here"}}}')
    for more in ([], ["--profile", "strict"], ["--policy", policy]):
        done = live.sh("mkdir /tmp/x; echo $SITE", "--seccomp", own, *more)
        require("not supported" in done.stderr and ("here" in done.stdout) == ("--policy" in more), f"{more}: {done.stdout} {done.stderr}")
    explained = live.run("exec", "--explain", "--seccomp", own, "/", "true")
    require(f"filter '{own}'" in explained.stdout and "(--seccomp)" in explained.stdout, explained.stdout)
    refused(live.run("exec", "--seccomp", "/nowhere.json", "/", "true"), "--seccomp", "/nowhere.json")
    refused(live.run("exec", "--seccomp", policy, "/", "true"), policy)
    os.chmod(own, 0o666)
    refused(live.run("exec", "--seccomp", own, "/", "true"), own, "not to be trusted")


def case_help_of_wrap(live):
    """Nothing after 'wrap' is an option, so its help is had in the other way."""
    done = live.run("help", "wrap")
    ended(done, 0)
    require("wrap COMMAND" in done.stdout, done.stdout)


def case_root_does_not_run_as_root(live):
    if not live.caller.is_root:
        refused(live.run("exec", "--user", "0", "/", "true"), "only root")
        refused(live.run("exec", "--as-root", "/", "true"), "only root")
        return
    refused(live.run("exec", "--user", "0", "/", "true"), "--as-root")
    done = live.run("exec", "--as-root", "/", "/usr/bin/id", "-u")
    ended(done, 0, "0")


def policy_file(live, name, text, mode=0o644):
    path = live.path(name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, mode)
    return path


def case_policies(live):
    for name, text, word in (("unknown.json", '{"version":1,\n"mountz":[]}', "mountz"), ("twice.json", '{"version":1,"version":1}', "version"),
                             ("broken.json", '{"version":1', "broken.json"), ("value.json", '{"version":1,\n"limits":{"pids":"many"}}', ":2")):
        refused(live.run("exec", "--policy", policy_file(live, name, text), "/", "true"), word)


def case_policy_writable_by_others(live):
    path = policy_file(live, "writable.json", '{"version":1}', 0o666)
    refused(live.run("exec", "--policy", path, "/", "true"), "writable", "chmod")


def case_namespace_without_root(live):
    """A worker that is Apptainer's or a pilot's: root's files belong to nobody there. What others may write is refused as ever."""
    if live.caller.name != "user":
        return
    uid = live.caller.payload_uid
    inside = ["-U", f"--map-user={uid}", f"--map-group={uid}", live.nestbox, "exec"]
    done = live.run(*inside, "/", "/usr/bin/id", "-u", program="unshare")
    if "unshare failed" in done.stderr:
        raise Skip("unshare --map-user")
    ended(done, 0, str(uid))
    loose = policy_file(live, "loose-inside.json", '{"version":1}', 0o666)
    refused(live.run(*inside, "--policy", loose, "/", "true", program="unshare"), "not to be trusted")
    theirs = policy_file(live, "theirs.json", '{"version":1}')
    os.chown(theirs, uid + 1, uid + 1)
    refused(live.run("exec", "--policy", theirs, "/", "true"), "not to be trusted")


def case_policy_applies(live):
    path = policy_file(live, "env.json", json.dumps({"version": 1, "environment": {"set": {"SITE": "here"}, "drop": ["SECRET_*"]}}))
    done = live.run("exec", "--policy", path, live.image, "env", env={**live.env, "SECRET_X": "1", "KEPT": "2"})
    ended(done, 0)
    require("SITE=here" in done.stdout and "SECRET_X" not in done.stdout and "KEPT=2" in done.stdout, done.stdout)


def case_policy_is_never_half_done(live):
    """What the policy asks for and nestbox can't give refuses the start; it is not left out silently."""
    sink = policy_file(live, "sink.json", '{"version":1,\n"audit":{"sinks":[{"type":"journald"}],"on_failure":"refuse"}}')
    refused(live.run("exec", "--policy", sink, "/", "/bin/echo", "RAN"), "sink", "sink.json:2")
    mount = policy_file(live, "mount.json", json.dumps({"version": 1, "mounts": [{"source": live.image}]}))
    ended(live.run("exec", "--policy", mount, live.image, "ls", live.image + "/bin/busybox"), 0)
    if live.caller.name == "user":
        group = policy_file(live, "group.json", '{"version":1,"identity":{"refuse_groups":[%d]}}' % live.caller.payload_uid)
        refused(live.run("exec", "--policy", group, "/", "/bin/echo", "RAN"), "group")


def wrap(live, job=None, machine=None, **env):
    names = {"_CONDOR_JOB_AD": job, "_CONDOR_MACHINE_AD": machine, **env}
    return live.run("wrap", "/bin/echo", "RAN", env={k: v for k, v in names.items() if v is not None})


def case_ads(live):
    if live.caller.is_root:
        refused(wrap(live), "uid 0")
        return
    fifo, link, huge = live.path("fifo"), live.path("link"), live.path("huge")
    os.mkfifo(fifo, 0o666)
    os.symlink("/etc/passwd", link)
    with open(huge, "wb") as stream:
        stream.truncate(1 << 30)
    bad = policy_file(live, "bad.ad", "ClusterId = 1\nthis is no ad\n")
    nul = policy_file(live, "nul.ad", "ClusterId = 1\nA = \"\0\"\n")
    text = policy_file(live, "text.ad", 'Memory = "lots"\nCpus = 1\n')
    for path, word in ((fifo, "regular"), (link, "link"), (huge, "bytes"), (bad, ":2"), (nul, ":2"), ("/nowhere.ad", "/nowhere.ad")):
        refused(wrap(live, job=path), word)
    refused(wrap(live, machine=text), "Memory")


def case_job_in_no_slot(live):
    """HTCondor's local universe: the machine ad is there and names nothing. In a slot that is a damaged ad."""
    if live.caller.is_root:
        return
    empty, local, vanilla = policy_file(live, "empty.ad", ""), policy_file(live, "local.ad", "JobUniverse = 12\n"), policy_file(live, "vanilla.ad", "JobUniverse = 5\n")
    ended(wrap(live, job=local, machine=empty), 0, "RAN")
    refused(wrap(live, job=vanilla, machine=empty), "Memory")
    refused(wrap(live, job=local, machine=empty, _CONDOR_SLOT="slot1_1"), "Memory")
    refused(wrap(live, job=local, machine=policy_file(live, "half.ad", "Cpus = 1\n")), "Memory")


def case_wrapper_without_command(live):
    refused(live.run("wrap"), "executable")
    refused(live.run("wrap", ""), "executable")


def case_directory_as_stdin(live):
    fd = os.open("/", os.O_RDONLY)
    refused(live.run("exec", "/", "true", stdin=fd), "descriptor 0", "directory")
    os.close(fd)


def case_no_memory_for_a_process(live):
    if live.caller.name != "user":
        return
    done = live.run("--nproc=1", live.nestbox, "exec", "/", "/bin/sh", "-c", "echo RAN", program="prlimit")
    ended(done, 125)
    require("RAN" not in done.stdout, "a payload ran")


def case_every_step_that_fails(live):
    """Row by row: status 125, no payload, nothing left behind (looked at after each case)."""
    rows = len(json.loads(live.run("exec", "--explain", "--json", live.image, "true").stdout)["rows"])
    require(rows > 20, f"{rows} rows")
    for row in range(rows):
        done = live.run("exec", live.image, "sh", "-c", "echo RAN", program=live.broken, env={**live.env, "NESTBOX_FAIL_AT": str(row)})
        require(done.returncode == 125 and "RAN" not in done.stdout, f"row {row}: {done.returncode} {done.stdout!r} {done.stderr!r}")


def case_no_room_for_files(live):
    """A limit on the size of files (RLIMIT_FSIZE) is an error too, and no signal that would pass for the payload's."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    refused(live.run("exec", "--policy", policy_file(live, "plain.json", '{"version":1}'), live.image, "sh", "-c", "echo RAN",
                     preexec_fn=limit), "nestbox")
