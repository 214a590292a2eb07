# SPDX-License-Identifier: Apache-2.0
"""Real peers: Debian bullseye's consul, a Go HTTP server on a unix socket; and a site's own agent.

consul has no vault API, but /v1/agent/services answers {"ID": {"Address": ..., "Tags": [...]}}: a service named "data" looks like a
key-value reply, in Go's own framing, at any length.
"""
import glob
import http.client
import json
import os
import shutil
import socket
import subprocess
import time

from lab import Lab, Skip, expect, need

CACHE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".cache", "consul")


def mirror():
    """Where apt gets Debian from on this machine."""
    for path in glob.glob("/etc/apt/sources.list.d/debian.sources") + ["/etc/apt/sources.list"]:
        try:
            with open(path, encoding="utf-8") as f:
                for line in f:
                    words = line.split()
                    if words and (words[0] == "URIs:" or words[0] == "deb"):
                        return words[1]
        except OSError:
            continue
    raise Skip("apt knows no mirror of Debian here")


def apt(state, *command, cwd=None):
    options = [f"Dir::State={state}/state", f"Dir::Cache={state}/cache", f"Dir::Etc::sourcelist={state}/sources.list",
               "Dir::Etc::sourceparts=/dev/null", "APT::Sandbox::User=root", "Acquire::Check-Valid-Until=false"]
    line = [command[0], "-qq"]
    for option in options:
        line += ["-o", option]
    return subprocess.run(line + list(command[1:]), cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def consul():
    """Its program, unpacked once below tests/.cache; never installed."""
    program = os.path.join(CACHE, "root", "usr", "bin", "consul")
    if os.path.exists(program):
        return program
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Skip("no apt-get here to get consul with")
    for name in ("state/lists/partial", "cache/archives/partial", "deb"):
        os.makedirs(os.path.join(CACHE, name), exist_ok=True)
    with open(os.path.join(CACHE, "sources.list"), "w", encoding="ascii") as f:
        f.write(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror()} bullseye main\n")
    where = os.path.join(CACHE, "deb")
    for command in (("apt-get", "update"), ("apt-get", "download", "consul")):
        done = apt(CACHE, *command, cwd=where)
        if done.returncode != 0:
            raise Skip(f"bullseye's consul can't be had: {done.stderr.strip()[-200:]}")
    package = glob.glob(os.path.join(where, "consul_*.deb"))
    subprocess.run(["dpkg-deb", "-x", package[0], os.path.join(CACHE, "root")], check=True)
    return program


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    connection = UnixConnection(path)
    connection.request(method, target, body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


class Consul:
    def __init__(self, lab):
        self.lab = lab
        program = consul()
        hcl = f'addresses{{http="unix://{lab.socket}"}} unix_sockets{{mode="0600"}} ports{{dns=-1 grpc=-1 serf_wan=-1}}'
        with open(os.path.join(lab.top, "consul.log"), "wb") as log:
            self.process = subprocess.Popen([program, "agent", "-dev", "-hcl", hcl], stdout=log, stderr=log)

    def __enter__(self):
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if ask(self.lab.socket, "GET", "/v1/status/leader")[1].strip(b'"\n'):
                    return self
            except OSError:
                pass
            time.sleep(0.2)
        self.__exit__()
        with open(os.path.join(self.lab.top, "consul.log"), encoding="utf-8", errors="replace") as f:
            raise Skip(f"consul does not start here: {f.read()[-300:]}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def service(self, tags):
        body = json.dumps({"ID": "data", "Name": "data", "Address": "value-of-a-secret", "Tags": tags})
        expect("registered", ask(self.lab.socket, "PUT", "/v1/agent/service/register", body)[0].status, 200)


def test_consul(build):
    with Lab(build, serve=False) as lab, Consul(lab) as real:
        address = "name=x;path=agent/services;field=Address"
        tags = "name=tags;path=agent/services;field=Tags"
        for count, framing in ((1, "Content-Length"), (200, "Transfer-Encoding")):
            wanted = [f"tag-{i}-" + "y" * 40 for i in range(count)]
            real.service(wanted)
            need(f"{count} tags come with {framing}", ask(lab.socket, "GET", "/v1/agent/services")[0].getheader(framing))
            played = lab.play("-S", address, "-S", tags)
            expect("text", played.seen(), '"value-of-a-secret"')
            expect("raw JSON", json.loads(played.seen("tags")[1:-1]), wanted)
        expect("no such key", lab.play("-S", "name=x;path=kv/none;field=y").seen(), "not-json")
        expect("no data", lab.play("-S", "name=x;path=agent/self;field=y").seen(), "no-data")
        expect("no such endpoint", lab.play("-S", "name=x;path=sys/none;field=y").seen(), "not-json")


def test_double_frames_as_consul_does(build):
    """The rules that the double follows, asked of a Go server: missing Host, dirty paths, HTTP/1.0."""
    with Lab(build) as lab:
        mine = {name: first_line(lab.socket, raw) for name, raw in RAW.items()}
        lab.server.stop()
        lab.server = None
        with Consul(lab):
            real = {name: first_line(lab.socket, raw) for name, raw in RAW.items()}
    expect("first lines", mine, real)


RAW = {
    "no host": b"GET /v1/agent/self HTTP/1.1\r\n\r\n",
    "two slashes": b"GET /v1//agent/self HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\n\r\n",
    "dots": b"GET /v1/../v1/agent/self HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\n\r\n",
}


def first_line(path, raw):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path)
        s.sendall(raw)
        return s.recv(4096).split(b"\r\n")[0].split(b" ")[1]


def site(build, *args):
    """A keeper that asks the site's own agent."""
    path = os.environ.get("NESTBOX_TEST_VAULT")
    if not path:
        raise Skip("NESTBOX_TEST_VAULT names no socket")
    with Lab(build, serve=False) as lab:
        lab.socket = path
        return lab.play("-b", "10000", *args), lab


def test_site_health(build):
    played, _ = site(build, "-h", "-l", "2000")
    need("health", played.of("health") and "status 200" in played.of("health")[0]["text"], played.text)


def test_site_missing(build):
    played, _ = site(build, "-S", "name=x;path=secret/data/nestbox-contract-test/none;field=x")
    need("missing, denied or without an engine", played.seen() in ("missing", "denied", "no-mount"), played.text)


def test_site_wrong_path(build):
    played, _ = site(build, "-S", "name=x;path=secret/nestbox-contract-test;field=x")
    need("wrong path, denied, missing or without an engine", played.seen() in ("wrong-path", "denied", "no-mount", "missing"),
         played.text)


def test_site_secret(build):
    what = os.environ.get("NESTBOX_TEST_VAULT_SECRET")
    if os.environ.get("NESTBOX_TEST_VAULT") and not what:
        raise Skip("NESTBOX_TEST_VAULT_SECRET names none, such as 'path=secret/data/x;field=y'")
    for more in ("", ";wrap"):
        played, _ = site(build, "-S", f"name=x;{what}{more}")
        need("issued", played.of("issued"), played.text)
