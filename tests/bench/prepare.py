# SPDX-License-Identifier: Apache-2.0
"""What the benchmark needs before it can run, made once and kept in the cache: tools, world, image, filter, bundles."""
import json
import os
import re
import shutil
import subprocess
import sys

import nestbox

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
UID = 2001  # of contenders that run as an ordinary user
WARN = ["-std=gnu17", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror", "-D_GNU_SOURCE"]
PAYLOADS = ["nothing", "true", "sleeper"]
IMAGE_DIRS = ["bin", "lib", "lib64", "usr/lib", "proc", "sys", "dev", "tmp", "var/tmp", "run", "etc", "cvmfs", "scratch"]
CONTROLLERS = ["memory", "cpu", "pids"]


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def newer(target, sources):
    return os.path.exists(target) and all(os.path.getmtime(s) <= os.path.getmtime(target) for s in sources)


def compile_c(target, sources, compiler, flags):
    if not newer(target, sources):
        subprocess.run([compiler, *WARN, *flags, *[s for s in sources if s.endswith(".c")], "-o", target], check=True)


def sources_in(folder):
    path = os.path.join(HERE, folder)
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith((".c", ".h")))


class Bench:
    """Paths below the cache, and the words that contenders are written with."""

    def __init__(self, cache):
        self.cache = cache
        self.world = f"{cache}/world"
        self.image = f"{cache}/image"
        self.filter = f"{cache}/filter.bpf"
        self.versions = {}
        self.absent = []    # contenders that do not start here
        self.left_out = []  # patterns of those that were not asked for

    def path(self, name):
        return os.path.join(self.cache, name)

    def words(self, payload):
        """{word} -> what contenders are run with."""
        data = self.path("data")
        cvmfs, scratch = f"{data}/cvmfs", f"{data}/scratch"
        with open(f"{TOP}/policies/default.json", encoding="utf-8") as file:
            hide = ",".join(json.load(file)["hide"])
        floor_all = f"-l {data}/log/floor-%s.log -g /{self.cgroup()}" + ("" if self.v1() else " -2")
        nodes = " ".join(f"-b /dev/{n}" for n in ("null", "zero", "full", "random", "urandom", "tty"))
        return {
            "payload": payload, "image": self.image, "filter": self.filter, "host": self.path("host"),
            "bundles": self.path("bundles"), "cvmfs": cvmfs, "scratch": scratch, "uid": str(UID),
            "apptainer_filter": self.path("apptainer.json"),
            "floor": self.path("tools/floor"), "floor_box": f"-f {self.filter} -c {cvmfs} -s {scratch}",
            "floor_worker": f"-r / -h {hide}",
            "floor_all_user": floor_all % "user", "floor_all_root": f"-1 -w userns -u {UID} " + floor_all % "root",
            "bwrap_box": "--unshare-user --unshare-pid --unshare-ipc --unshare-uts --die-with-parent --new-session --cap-drop ALL",
            "bwrap_mounts": f"--proc /proc --dev /dev --ro-bind /sys /sys --tmpfs /run --tmpfs /tmp --tmpfs /var/tmp --ro-bind {cvmfs} /cvmfs"
                            f" --bind {scratch} {scratch}",
            "minijail_box": "-p -l --uts -v -n -c 0 --ambient -T static",
            "minijail_mounts": "-k proc,/proc,proc,0xe -k tmpfs,/dev,tmpfs,0x2,mode=755 -k tmpfs,/run,tmpfs,0x6,mode=755"
                               " -k tmpfs,/tmp,tmpfs,0x6,mode=1777 -k tmpfs,/var/tmp,tmpfs,0x6,mode=1777"
                               f" {nodes} -b {cvmfs},/cvmfs -b {scratch},{scratch},1",
            "nestbox_mounts": f"-B {cvmfs}:/cvmfs:ro --job-dir {scratch}", "limits": "--memory 1GiB --cpus 1 --pids-limit 100",
            "nestbox": self.path("nestbox-plain/bin/nestbox"), "nestbox_all": self.path("nestbox-all/bin/nestbox"),
        }

    @staticmethod
    def v1():
        return os.path.exists("/sys/fs/cgroup/memory/tasks")

    @staticmethod
    def cgroup():
        return "bench-nestbox"

    # ---- the parts -------------------------------------------------------------------------------------------------

    def tools(self):
        os.makedirs(self.path("tools"), exist_ok=True)
        multiarch = subprocess.run(["gcc", "-print-multiarch"], check=True, capture_output=True, text=True).stdout.strip()
        kernel_headers = ["-idirafter", "/usr/include", "-idirafter", f"/usr/include/{multiarch}"]
        compile_c(self.path("tools/harness"), sources_in("harness"), "gcc", ["-static"])
        compile_c(self.path("tools/floor"), sources_in("floor"), "musl-gcc", ["-static", "-no-pie", "-fno-pie", *kernel_headers])
        compile_c(self.path("tools/nothing"), [f"{HERE}/payload/nothing.c"], "gcc", ["-static", "-nostdlib"])
        compile_c(self.path("tools/sleeper"), [f"{HERE}/payload/sleeper.c"], "musl-gcc", ["-static"])

    def make_world(self):
        subprocess.run([f"{HERE}/world", self.cache], check=True)
        for name in ("nothing", "sleeper"):
            shutil.copy2(self.path(f"tools/{name}"), f"{self.world}/usr/bin/{name}")
        for directory in ("cvmfs", "scratch"):
            os.makedirs(f"{self.world}/{directory}", exist_ok=True)
        with open(f"{self.world}/etc/passwd", encoding="utf-8") as file:
            known = f":{UID}:" in file.read()
        if not known:
            subprocess.run(["chroot", self.world, "useradd", "-u", str(UID), "-d", "/tmp", "-s", "/bin/sh", "bench"], check=True)
        self.versions = {name: self.version(*command) for name, command in {
            "bwrap": ["bwrap", "--version"], "crun": ["crun", "--version"], "apptainer": ["apptainer", "--version"],
            "minijail": ["dpkg-query", "-W", "-f", "minijail ${Version}", "minijail"]}.items()}

    def version(self, *command):
        out = subprocess.run(["chroot", self.world, *command], capture_output=True, text=True, check=False).stdout
        return re.sub(r"^\S+( version)? ", "", out.splitlines()[0]) if out else "unknown"

    def make_image(self):
        """A directory with the payloads and the libraries of the dynamic one, from the world."""
        shutil.rmtree(self.image, ignore_errors=True)
        for name in IMAGE_DIRS:
            os.makedirs(f"{self.image}/{name}", exist_ok=True)
        for payload in PAYLOADS:
            shutil.copy2(os.path.realpath(f"{self.world}/usr/bin/{payload}") if payload == "true"
                         else f"{self.world}/usr/bin/{payload}", f"{self.image}/bin/{payload}")
        self.copy_libraries(f"{self.world}/usr/bin/true", self.image, root=self.world)
        for name, text in {"passwd": f"bench:x:{UID}:{UID}::/tmp:/bin/sh\n", "group": f"bench:x:{UID}:\n"}.items():
            with open(f"{self.image}/etc/{name}", "w", encoding="ascii") as file:
                file.write("root:x:0:0::/:/bin/sh\n" + text if name == "passwd" else "root:x:0:\n" + text)
        for name in ("cvmfs", "scratch", "log"):
            os.makedirs(self.path(f"data/{name}"), exist_ok=True)
        for name in ("scratch", "log"):
            os.chmod(self.path(f"data/{name}"), 0o1777)
        os.makedirs(f"{self.image}{self.path('data/scratch')}", exist_ok=True)

    @staticmethod
    def libraries(program, root="/"):
        run = ["chroot", root, "ldd", "/" + os.path.relpath(program, root)]
        out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        return re.findall(r"(/\S+)", out.replace("=>", " "))

    def copy_libraries(self, program, to, root):
        for library in self.libraries(program, root):
            target = f"{to}/{library}"
            if not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy2(os.path.realpath(f"{root}/{library}"), target)

    def host_bwrap(self):
        """This machine's own bubblewrap, with its C library, so that it runs in the world too."""
        to = self.path("host")
        if os.path.exists(f"{to}/bwrap") or not shutil.which("bwrap"):
            return
        os.makedirs(to, exist_ok=True)
        for library in self.libraries("/usr/bin/bwrap"):
            shutil.copy2(os.path.realpath(library), f"{to}/{os.path.basename(library)}")
            if os.path.basename(library).startswith("ld-linux"):
                shutil.copy2(os.path.realpath(library), f"{to}/ld.so")
        shutil.copy2("/usr/bin/bwrap", f"{to}/bwrap")

    def bundles(self, profile):
        """OCI bundles for crun, and the profile in the form that Apptainer takes."""
        seccomp = oci_seccomp(profile)
        for who in ("user", "root"):
            for payload in PAYLOADS:
                directory = self.path(f"bundles/{who}-{payload}")
                os.makedirs(directory, exist_ok=True)
                with open(f"{directory}/config.json", "w", encoding="ascii") as file:
                    json.dump(self.oci_config(who == "root", payload, seccomp), file)
        plain = {key: value for key, value in seccomp.items() if key != "defaultErrnoRet"}
        plain["syscalls"] = [s for s in seccomp["syscalls"] if s["action"] == "SCMP_ACT_ALLOW"]
        # It knows no error but EPERM, after which its own runtime does not fall back from clone3 to clone.
        plain["syscalls"].append({"names": ["clone3"], "action": "SCMP_ACT_ALLOW"})
        with open(self.path("apptainer.json"), "w", encoding="ascii") as file:
            json.dump(plain, file)

    def oci_config(self, root, payload, seccomp):
        data = self.path("data")
        safe = ["nosuid", "nodev"]
        mounts = [("/proc", "proc", "proc", [*safe, "noexec"]), ("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755"]),
                  ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
                  ("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777"]), ("/sys", "none", "/sys", ["rbind", "ro", *safe]),
                  ("/run", "tmpfs", "tmpfs", [*safe, "mode=755"]), ("/tmp", "tmpfs", "tmpfs", [*safe, "mode=1777"]),
                  ("/var/tmp", "tmpfs", "tmpfs", [*safe, "mode=1777"]), ("/cvmfs", "bind", f"{data}/cvmfs", ["bind", "ro", *safe]),
                  (f"{data}/scratch", "bind", f"{data}/scratch", ["bind", "rw", *safe])]
        linux = {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount")], "seccomp": seccomp}
        if root:
            linux["resources"] = {"memory": {"limit": 1 << 30}, "cpu": {"shares": 1024}, "pids": {"limit": 100}}
        else:
            one = [{"containerID": 0, "hostID": UID, "size": 1}]
            linux["namespaces"].append({"type": "user"})
            linux.update({"uidMappings": one, "gidMappings": one})
        inside = UID if root else 0
        empty = {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}
        return {"ociVersion": "1.0.2", "root": {"path": self.image, "readonly": True}, "hostname": "box", "linux": linux,
                "mounts": [dict(zip(("destination", "type", "source", "options"), row)) for row in mounts],
                "process": {"user": {"uid": inside, "gid": inside}, "args": [f"/bin/{payload}"], "env": ["PATH=/bin"], "cwd": "/",
                            "capabilities": empty, "noNewPrivileges": True}}


def oci_seccomp(profile):
    """A containers-common profile -> the linux.seccomp object of an OCI config.json, for a payload without capabilities."""
    with open(profile, encoding="utf-8") as file:
        source = json.load(file)
    rows = []
    for rule in source["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or "amd64" not in includes.get("arches", ["amd64"]) or "amd64" in excludes.get("arches", []):
            continue
        row = {"names": rule["names"], "action": rule["action"]}
        if rule["action"] == "SCMP_ACT_ERRNO":
            row["errnoRet"] = rule.get("errnoRet", 1)
        if rule.get("args"):
            row["args"] = rule["args"]
        rows.append(row)
    return {"defaultAction": source["defaultAction"], "defaultErrnoRet": source.get("defaultErrnoRet", 1),
            "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rows}


def set_up():
    if os.getuid() != 0:
        sys.exit("bench: run as root: contenders are launched as root and as an ordinary user")
    bench = Bench(os.environ.get("NESTBOX_TEST_CACHE", "/var/cache/nestbox-tests") + "/bench")
    os.makedirs(bench.cache, exist_ok=True)
    say(f"set-up in {bench.cache}")
    bench.tools()
    bench.make_world()
    bench.make_image()
    bench.host_bwrap()
    nestbox.install(bench)
    bench.bundles(nestbox.profile())
    return bench
