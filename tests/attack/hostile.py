# SPDX-License-Identifier: Apache-2.0
"""Images that want to lead a careless runtime outside. Each function makes one and returns its path."""
import os
import shutil


def entry_to(entry, target):
    """The image's `entry` is a link to target ({victim} is a directory outside)."""
    def make(world, name, victim):
        image = world.make_other_image(name)
        path = os.path.join(image, entry)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target.format(victim=victim), path)
        return image
    return make


def entry_is(entry, make_it):
    """The image's `entry` is something else than a directory."""
    def make(world, name, victim):
        del victim
        image = world.make_other_image(name)
        path = os.path.join(image, entry)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        make_it(path)
        return image
    return make


def linked_image(world, name, victim):
    del victim
    path = world.path("link-" + name)
    os.symlink(world.make_other_image(name), path)
    return path


def file_image(world, name, victim):
    del victim
    path = world.path("file-" + name)
    with open(path, "wb") as stream:
        stream.write(b"not a directory\n")
    return path


def loop(path):
    os.symlink(os.path.basename(path), path)


def empty_file(path):
    with open(path, "wb"):
        pass


HOSTILE = [(name.strip(), make) for name, make in [
    *((f"{entry}-absolute", entry_to(entry, "{victim}")) for entry in ("dev", "proc", "sys", "tmp", "etc", "run", "var/tmp")),
    *((f"{entry}-up", entry_to(entry, "../../../../../../../{victim}")) for entry in ("dev", "proc", "tmp", "etc", "run")),
    ("var-absolute", entry_to("var", "{victim}")),
    ("proc-to-tmp", entry_to("proc", "/tmp")),
    ("dev-to-host-dir", entry_to("dev", "/host-dir")),
    ("etc-to-proc", entry_to("etc", "/proc/self")),
    ("proc-self-root", entry_to("tmp", "/proc/self/root")),
    ("passwd-to-secret", entry_to("etc/passwd", "{victim}/secret")),
    ("hosts-to-secret", entry_to("etc/hosts", "{victim}/secret")),
    ("resolv-conf-to-secret", entry_to("etc/resolv.conf", "{victim}/secret")),
    ("dev-loop", entry_is("dev", loop)),
    ("dev-file", entry_is("dev", empty_file)),
    ("proc-file", entry_is("proc", empty_file)),
    ("etc-fifo", entry_is("etc", os.mkfifo)),
    ("passwd-fifo", entry_is("etc/passwd", os.mkfifo)),
    ("passwd-directory", entry_is("etc/passwd", os.mkdir)),
    ("tmp-file", entry_is("tmp", empty_file)),
    ("linked-image", linked_image),
    ("file-image", file_image),
]]
