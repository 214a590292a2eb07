# SPDX-License-Identifier: Apache-2.0
"""The agent's socket: not there, not ready, not to be trusted; and what is said over it."""
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

from lab import Lab, Skip, expect, need

ASK = ("-S", "name=x;path=kv1/site;field=key")
NOBODY = 65534


def fault_of(lab, *args, ask=ASK):
    return lab.play("-b", "800", *args, *ask).seen()


def root_only():
    if os.geteuid() != 0:
        raise Skip("needs root, to act as other users")


def test_absent(build):
    with Lab(build, serve=False) as lab:
        expect("no socket", fault_of(lab), "absent")


def test_absent_then_there(build):
    with Lab(build) as lab:
        lab.server.stop()
        timer = threading.Timer(0.5, lab.server.start)
        timer.start()
        expect("the agent comes late", lab.play("-b", "8000", *ASK).seen(), '"CANARY-KV1"')
        timer.join()


def test_stale(build):
    with Lab(build) as lab:
        lab.server.stop(unlink=False)
        expect("nobody listens", fault_of(lab), "refused")


def test_restart_in_the_middle(build):
    with Lab(build) as lab:
        def restart():
            lab.server.stop(unlink=False)
            time.sleep(0.3)
            lab.server.start()

        def cut(conn):
            threading.Thread(target=restart).start()
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")

        lab.agent.scripted["kv1/site"] = [cut]
        expect("the agent restarts while it answers", lab.play("-b", "8000", *ASK).seen(), '"CANARY-KV1"')


def test_backlog_full(build):
    with Lab(build, serve=False) as lab:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(lab.socket)
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            filler.connect_ex(lab.socket)
            fillers.append(filler)
        expect("the queue is full", fault_of(lab), "busy")
        need("fillers were there", len(fillers) == 4)
        listener.close()


def test_never_accepted(build):
    with Lab(build, serve=False) as lab:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(lab.socket)
        listener.listen(8)
        expect("nobody accepts", fault_of(lab), "timeout")
        listener.close()


def test_no_socket_but_a_file(build):
    with Lab(build, serve=False) as lab:
        with open(lab.socket, "w", encoding="ascii"):
            pass
        expect("a file in its place", fault_of(lab), "untrusted")


def test_directory_writable_by_others(build):
    with Lab(build) as lab:
        expect("before", fault_of(lab), '"CANARY-KV1"')
        os.chmod(lab.top, 0o777)
        expect("anybody may put another socket there", fault_of(lab), "untrusted")


def test_symbolic_link(build):
    with Lab(build) as lab:
        os.symlink(lab.socket, os.path.join(lab.top, "link.sock"))
        lab.socket = os.path.join(lab.top, "link.sock")
        expect("a link to the socket", fault_of(lab), "untrusted")


def test_socket_of_another_user(build):
    root_only()
    with Lab(build) as lab:
        os.chown(lab.socket, NOBODY, NOBODY)
        expect("another user's socket", fault_of(lab), "untrusted")
        expect("the user is the agent's, says the policy; root listens", fault_of(lab, "-u", str(NOBODY)), '"CANARY-KV1"')


def test_peer_of_another_user(build):
    """The socket's file is root's; who listens isn't."""
    root_only()
    with Lab(build, serve=False) as lab:
        code = ("import socket,os,sys,time; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chown(sys.argv[1],0,0);"
                "os.setresuid(65534,65534,65534); s.listen(8); print('up',flush=True); time.sleep(30)")
        with subprocess.Popen([sys.executable, "-c", code, lab.socket], stdout=subprocess.PIPE) as peer:
            peer.stdout.readline()
            seen = fault_of(lab)
            agents = fault_of(lab, "-u", str(NOBODY))
            peer.kill()
        expect("who listens is nobody the policy knows", seen, "untrusted")
        expect("the same peer, named in the policy, is talked to", agents, "timeout")


def test_not_let_in(build):
    root_only()
    with Lab(build) as lab:
        os.chown(lab.dir, NOBODY, NOBODY)
        reach = os.path.dirname(os.path.abspath(lab.courier))
        probe = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--clear-groups", "test", "-x", lab.courier], check=False)
        if probe.returncode != 0:
            raise Skip(f"other users can't reach {reach}")
        expect("a 0600 socket of root", fault_of(lab, "-U", str(NOBODY)), "no-access")
        os.chmod(lab.socket, 0o666)
        expect("let in", fault_of(lab, "-U", str(NOBODY)), '"CANARY-KV1"')


def test_relative_and_long_paths(build):
    with Lab(build) as lab:
        for path in ("agent.sock", "/run/../agent.sock", "/" + "a" * 107):
            lab.socket = path
            played = lab.play("-b", "500", *ASK)
            need(f"socket {path} is refused", played.seen() == "untrusted" or played.status == 2, played.text)


def test_not_logged_in_yet(build):
    with Lab(build) as lab:
        lab.agent.ready = False
        expect("without grace", fault_of(lab), "denied")
        timer = threading.Timer(0.4, setattr, (lab.agent, "ready", True))
        timer.start()
        expect("with grace", lab.play("-b", "8000", "-g", "6000", *ASK).seen(), '"CANARY-KV1"')
        timer.join()
        lab.agent.scripted["kv1/site"] = [(400, b'{"errors":["missing client token"]}', ())]
        expect("in other words", lab.play("-b", "8000", "-g", "6000", *ASK).seen(), '"CANARY-KV1"')


def test_tls_forgotten(build):
    """An agent's listener wants TLS on a unix socket too, unless told otherwise: the sentence says what to write where."""
    with Lab(build) as lab:
        text = lab.play("-b", "800", "-S", "name=x;path=fault/tls;field=value").of("failed")[0]["text"]
        need("tls_disable", "tls_disable" in text and "the site must look at the agent" in text, text)


def test_retries_what_passes(build):
    with Lab(build) as lab:
        scripted = [(code, b'{"errors":["later"]}', ()) for code in (412, 429, 473, 500, 503)]
        lab.agent.scripted["kv1/site"] = scripted[:]
        expect("passing failures", lab.play("-b", "20000", *ASK).seen(), '"CANARY-KV1"')
        expect("requests", len(lab.server.requests("kv1/site")), 6)


def test_does_not_retry_what_stays(build):
    for code in (400, 403, 404, 405, 501):
        with Lab(build) as lab:
            lab.agent.scripted["kv1/site"] = [(code, b'{"errors":["no"]}', ())]
            need(f"{code} is final", lab.play("-b", "3000", *ASK).of("failed"))
            expect(f"requests after {code}", len(lab.server.requests("kv1/site")), 1)


def test_what_is_said(build):
    with Lab(build) as lab:
        lab.agent.namespace = "grid/atlas"
        played = lab.play("-n", "grid/atlas", "-j", "sched#1.0#1#box7", *ASK)
        expect("a namespace", played.seen(), '"CANARY-KV1"')
        request = lab.server.requests("kv1/site")[0]
        said = {n.lower(): v for n, v in request.headers}
        expect("host", said["host"], "localhost")
        expect("vault's rule", request.all("X-Vault-Request"), ["true"])
        expect("the job", said["x-nestbox-job"], "sched#1.0#1#box7")
        expect("HTTP", request.version, "HTTP/1.1")
        for name in ("accept-encoding", "expect", "x-vault-token", "x-vault-wrap-ttl"):
            need(f"no {name}", name not in said, said)
        expect("without the namespace", fault_of(lab), "no-mount")


def test_environment_is_not_read(build):
    with Lab(build) as lab:
        env = dict(os.environ, VAULT_ADDR="http://127.0.0.1:1", VAULT_TOKEN="CANARY-ENV", http_proxy="http://127.0.0.1:1",
                   ALL_PROXY="http://127.0.0.1:1", HOME=lab.top, VAULT_NAMESPACE="other", LD_PRELOAD="/none.so")
        with open(os.path.join(lab.top, ".netrc"), "w", encoding="ascii") as f:
            f.write("machine localhost login CANARY-NETRC password x\n")
        with lab.start(*ASK, env=env, stderr=subprocess.DEVNULL) as process:
            out = process.communicate(timeout=30)[0]
        need("issued", '"issued"' in out, out)
        need("nothing of the environment is said", "CANARY-" not in str(lab.server.requests()[0].headers))


def test_health(build):
    with Lab(build) as lab:
        lab.agent.health_status, lab.agent.health = 503, {"initialized": True, "sealed": True, "version": "1.2"}
        health = lab.play("-h", "-l", "600").of("health")
        need("health", health and "sealed" in health[0]["text"] and "503" in health[0]["text"], health)


def test_hundred_times_the_same(build):
    """64 secrets of one box, one of them failing: each is answered once."""
    with Lab(build) as lab:
        asks = []
        for i in range(63):
            asks += ["-S", f"name=s{i};path=kv1/site;field=key"]
        played = lab.play("-b", "20000", *asks, "-S", "name=bad;path=kv1/none;field=key")
        expect("issued", len(played.of("issued")), 63)
        expect("failed", [e["name"] for e in played.of("failed")], ["bad"])
        expect("files", len(os.listdir(lab.dir)), 63)
        expect("modes", {oct(os.stat(os.path.join(lab.dir, n)).st_mode & 0o777) for n in os.listdir(lab.dir)}, {"0o400"})
        shutil.rmtree(lab.dir)
        os.mkdir(lab.dir)
