# SPDX-License-Identifier: Apache-2.0
"""Images: directories that belong to somebody else, complete or not, friendly or not."""
import os
import shutil
import subprocess

from box import ended, refused, require


def tree(path):
    found = []
    for top, dirs, files in os.walk(path):
        for name in dirs + files:
            st = os.lstat(os.path.join(top, name))
            found.append((os.path.join(top, name), st.st_mode, st.st_mtime_ns, st.st_uid))
    return sorted(found)


def case_complete_image(live):
    done = live.sh("ls /; cat /proc/1/comm; id -u; touch /x /etc/x /bin/x || true; touch /tmp/x /var/tmp/x /dev/shm/x && echo written")
    ended(done, 0, "written")
    require(str(live.caller.payload_uid) in done.stdout and "Read-only" in done.stderr, done.stdout + done.stderr)


def case_image_without_mount_points(live):
    image = live.make_image("bare")
    before = tree(image)
    done = live.run("exec", image, "sh", "-c", "ls /; ls /proc/self/fd; ls /dev; touch /tmp/a && echo written")
    ended(done, 0, "written")
    require(tree(image) == before, "something was made in the image")
    require("null" in done.stdout and "proc" in done.stdout, done.stdout)


def case_image_on_read_only_file_system(live):
    image, mount = live.make_image("source"), live.path("mounted")
    os.mkdir(mount)
    subprocess.run(["mount", "--bind", image, mount], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", mount], check=True)
    try:
        ended(live.run("exec", mount, "sh", "-c", "ls /dev/null /proc/self && touch /tmp/a && echo written"), 0, "written")
        ended(live.run("exec", "--bind", "/etc:/srv/deep/etc", mount, "cat", "/srv/deep/etc/hostname"), 0)
    finally:
        subprocess.run(["umount", mount], check=True)


def case_nothing_leads_out(live):
    """The worker's root is gone, however the image was put together."""
    secret = live.path("secret")
    with open(secret, "w", encoding="utf-8") as stream:
        stream.write("of the worker")
    for image in (live.image, live.make_image("bare2")):
        for way in ("/..", "/../..", "/proc/1/root", "/proc/self/root/..", "/dev/.."):
            done = live.run("exec", image, "cat", f"{way}{secret}")
            require(done.returncode != 0 and "of the worker" not in done.stdout, f"{image} {way}: {done.stdout}")
        mounts = live.run("exec", image, "cat", "/proc/self/mountinfo").stdout
        roots = [line for line in mounts.splitlines() if line.split()[4] == "/"]
        require(len(roots) == 1, "\n".join(roots))


def case_hostile_images(live):
    for name in ("proc", "dev", "run"):
        image = live.make_image("hostile-" + name)
        victim = live.path("victim-" + name)
        os.mkdir(victim)
        os.symlink(victim, os.path.join(image, name))
        before = os.stat(victim).st_mtime_ns
        refused(live.run("exec", image, "/bin/sh", "-c", "echo RAN"), "/" + name)
        require(os.stat(victim).st_mtime_ns == before and os.listdir(victim) == [], "the link was followed")
    image = live.make_image("file-proc")
    with open(os.path.join(image, "proc"), "w", encoding="utf-8"):
        pass
    refused(live.run("exec", image, "/bin/sh", "-c", "echo RAN"), "/proc")


def case_passwd_gets_the_user(live):
    image = live.make_image("names", "etc")
    with open(os.path.join(image, "etc/passwd"), "w", encoding="utf-8") as stream:
        stream.write("root:x:0:0::/:/bin/sh")
    done = live.run("exec", image, "cat", "/etc/passwd")
    ended(done, 0, f":x:{live.caller.payload_uid}:")
    os.remove(os.path.join(image, "etc/passwd"))
    os.symlink("/etc/shadow", os.path.join(image, "etc/passwd"))
    refused(live.run("exec", image, "cat", "/etc/passwd"), "/etc/passwd")


def case_binds(live):
    data = live.path("data")
    os.mkdir(data)
    os.chmod(data, 0o777)
    with open(os.path.join(data, "file"), "w", encoding="utf-8") as stream:
        stream.write("bound")
    ended(live.run("exec", "--bind", f"{data}:/srv/new/place", live.image, "cat", "/srv/new/place/file"), 0, "bound")
    ended(live.run("exec", "--bind", f"{data}:/mnt", live.image, "touch", "/mnt/made"), 0)
    require(os.path.exists(os.path.join(data, "made")), "the bind is not writable")
    done = live.run("exec", "--bind", f"{data}:/mnt:ro", live.image, "touch", "/mnt/made2")
    require(done.returncode != 0 and "Read-only" in done.stderr, done.stderr)
    ended(live.run("exec", "--bind", f"{data}/file:/etc/one-file", live.image, "cat", "/etc/one-file"), 0, "bound")
    shutil.rmtree(data)


def case_image_path_is_resolved_once(live):
    link = live.path("image-link")
    os.symlink(live.image, link)
    ended(live.run("exec", link, "true"), 0)
    os.remove(link)


def case_root_that_the_payload_may_not_enter(live):
    """An error like others, and not a payload that ended with 125."""
    image = live.make_image("closed", "proc", "dev", "tmp", "var/tmp", "run", "sys", "etc")
    os.chown(image, live.caller.payload_uid, live.caller.payload_uid)
    os.chmod(image, 0o000)
    read, write = os.pipe()
    done = live.run("exec", "--status-fd", str(write), image, "/bin/true", pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    refused(done, "the image")
    require('"failed"' in said and "started" not in said, said)


def case_root_of_another_process(live):
    """It is called "/" as the worker's own is: that must not be taken for it."""
    other = live.start("exec", live.image, "sh", "-c", "echo up; exec sleep 60")
    require(other.stdout.readline() == b"up\n", "no start")
    try:
        with open(f"/proc/{other.pid}/task/{other.pid}/children", encoding="ascii") as stream:
            init = stream.read().split()[0]
        with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as stream:
            payload = stream.read().split()[0]
        refused(live.run("exec", f"/proc/{payload}/root", "sh", "-c", "echo RAN"), "image", "process")
        ended(live.run("exec", "/proc/self/root", "echo", "the worker's"), 0, "the worker's")
    finally:
        other.terminate()
        other.wait()
