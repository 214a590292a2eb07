# SPDX-License-Identifier: Apache-2.0
"""The double of a Vault/OpenBao agent: key-value engines, leases with a clock, wrapping, namespaces, logins, and every error body
as the real one writes it (OpenBao sdk/logical/translate_response.go, kv/path_data.go, agentproxyshared/cache).
"""
import hashlib
import json
import time

import faults

DENIED = "1 error occurred:\n\t* permission denied\n\n"
BAD_TOKEN = "permission denied"


def errors(status, *texts):
    return status, json.dumps({"errors": list(texts)}).encode() + b"\n", ()


def envelope(data, **more):
    body = {"request_id": "6f2ab3c1-0000-4000-8000-000000000000", "lease_id": "", "renewable": False, "lease_duration": 0, "data": data,
            "wrap_info": None, "warnings": None, "auth": None}
    body.update(more)
    return body


def good(body, extra=()):
    return 200, json.dumps(body).encode() + b"\n", extra


def kv2(data, version=1, deletion="", destroyed=False):
    return {"data": data, "metadata": {"version": version, "created_time": "2026-11-01T00:00:00.0Z", "deletion_time": deletion,
                                       "destroyed": destroyed, "custom_metadata": None}}


class Agent:
    """force: the agent's own token always; true: when the client sent none; None: the client's (no auto-auth)."""

    def __init__(self, use_auto_auth="force", require_header=True, caching=False, ttl=3, max_ttl=3600, role_ttl=60):
        self.use_auto_auth, self.require_header, self.caching = use_auto_auth, require_header, caching
        self.ttl, self.max_ttl, self.role_ttl = ttl, max_ttl, role_ttl
        self.kv1, self.kv2, self.scripted = {}, {}, {}
        self.leases, self.wrapped, self.cache, self.tokens, self.used_wraps = {}, {}, {}, {}, set()
        self.serial, self.ready, self.sealed, self.jwt = 0, True, False, "the.jobs.jwt"
        self.health = {"initialized": True, "sealed": False, "standby": False, "version": "2.2.0"}
        self.health_status, self.deny, self.namespace = 200, set(), ""
        self.origin = None
        self.batch = False  # logins give batch tokens, which nobody can renew or revoke
        self.renewable, self.said_ttl = True, None  # what is said of leases; None: the truth

    def next(self):
        self.serial += 1
        return self.serial

    # ---- who asks ----

    def token_of(self, request):
        given = request.one("X-Vault-Token") or request.one("Authorization").replace("Bearer ", "")
        own = "agent-token" if self.ready else ""
        if self.use_auto_auth == "force" or (self.use_auto_auth == "true" and not given):
            return own
        return given

    def allowed(self, token):
        return token == "agent-token" or self.tokens.get(token, 0) > time.monotonic()

    def __call__(self, request):
        if self.require_header and request.all("X-Vault-Request") != ["true"]:
            return errors(412, 'missing "X-Vault-Request" header')
        if not request.path.startswith("/v1/"):
            return 404, b"404 page not found\n", ()
        path = request.path[4:].replace("%40", "@")
        if path == "sys/health":
            return self.health_status, json.dumps(self.health).encode(), ()
        if path.startswith("fault/"):
            return faults.answer(path[6:])
        scripted = self.scripted[path].pop(0) if self.scripted.get(path) else None  # None: as it is
        if scripted is not None:
            return scripted
        if self.sealed:
            return errors(503, "Vault is sealed")
        if request.one("X-Vault-Namespace").strip("/") != self.namespace:
            return errors(404, f"no handler for route '{path}'. route entry not found.")
        if path.startswith("auth/") and path.endswith("/login"):
            return self.login(request)
        if not self.allowed(self.token_of(request)):
            return errors(403, BAD_TOKEN)
        return self.wrap(request, path, self.cached(request, path) if self.caching else self.route(request, path))

    # ---- the agent's cache (agentproxyshared/cache/lease_cache.go) ----

    def cached(self, request, path):
        """A 2xx answer with a renewable lease, of sys/leases/renew too, is given again as it was to the same request. Every header
        counts. The agent itself renews the lease, and forgets it when that goes no further."""
        key = hashlib.sha256((request.method + request.target + str(request.headers)).encode() + request.body).hexdigest()
        made, body = self.cache.get(key, (0, None))
        if body and self.keeps(body["lease_id"]):
            return good(body, (("X-Cache", "HIT"), ("Age", str(int(time.monotonic() - made)))))
        answer = self.route(request, path)
        body = json.loads(answer[1]) if answer[0] == 200 else {}
        if body.get("renewable") and body.get("lease_id"):
            self.cache[key] = (time.monotonic(), body)
        return answer[0], answer[1], (("X-Cache", "MISS"),)

    def keeps(self, lease):
        return lease in self.leases and time.monotonic() < self.leases[lease]["made"] + self.max_ttl - 0.15 * self.ttl

    def alive(self, lease):
        """Would the database still let in who has this lease?"""
        known = self.leases.get(lease, {"made": 0, "ends": 0})
        kept = any(body["lease_id"] == lease for _, body in self.cache.values())
        return time.monotonic() < max(known["ends"], known["made"] + self.max_ttl if kept else 0)

    def route(self, request, path):
        if path in self.deny:
            return errors(403, DENIED)
        table = {"sys/leases/renew": self.renew, "sys/leases/revoke": self.revoke, "sys/wrapping/unwrap": self.unwrap,
                 "auth/token/revoke-self": self.revoke_self, "auth/token/renew-self": self.renew_self}
        if path in table:
            return table[path](request)
        if path.startswith("secret/"):
            return self.read_kv2(request, path)
        if path.startswith("kv1/"):
            return self.read_kv1(path)
        if path.startswith("database/creds/"):
            return self.issue(request, path)
        if path.startswith("pki/issue/"):
            return self.pki(request)
        if path == "big/data":
            return good(envelope({"value": "x" * 300000}))
        if path == "empty/write":
            return 204, b"", ()
        return errors(404, f"no handler for route '{path}'. route entry not found.")

    # ---- engines ----

    def read_kv2(self, request, path):
        if not path.startswith("secret/data/"):
            warning = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use."
            return 404, json.dumps(envelope(None, warnings=[warning])).encode(), ()
        versions = self.kv2.get(path[12:])
        number = int(request.query.partition("version=")[2] or 0)
        if not versions or number > len(versions):
            return errors(404)
        chosen = versions[(number or len(versions)) - 1]
        gone = chosen["metadata"]["destroyed"] or (chosen["metadata"]["deletion_time"] and chosen["data"] is None)
        return (404 if gone else 200), json.dumps(envelope(chosen)).encode() + b"\n", ()

    def read_kv1(self, path):
        data = self.kv1.get(path[4:])
        if data is None:
            return errors(404)
        return good(envelope(data, lease_duration=data.get("ttl", 2764800)))

    def issue(self, request, path):
        number = self.next()
        lease = f"{path}/lease{number}"
        self.leases[lease] = {"made": time.monotonic(), "ends": time.monotonic() + self.ttl}
        return good(envelope({"username": f"u{number}", "password": f"CANARY-p{number}"}, lease_id=lease, renewable=self.renewable,
                             lease_duration=self.ttl if self.said_ttl is None else self.said_ttl))

    def pki(self, request):
        if request.method == "GET":
            return errors(405, "1 error occurred:\n\t* unsupported operation\n\n")
        name = json.loads(request.body)["common_name"]
        return good(envelope({"certificate": "CERT " + name, "private_key": "CANARY-KEY", "serial_number": "01:02",
                              "expiration": int(time.time()) + 3600}))

    # ---- leases, wrapping, logins ----

    def renew(self, request):
        wish = json.loads(request.body)
        lease = self.leases.get(wish["lease_id"])
        now = time.monotonic()
        if lease is None or lease["ends"] < now:
            return errors(400, "lease not found")
        left = max(0, self.max_ttl - (now - lease["made"]))
        seconds = int(min(int(wish.get("increment", 0)) or self.ttl, left))
        lease["ends"] = now + seconds
        return good(envelope(None, lease_id=wish["lease_id"], renewable=True,
                             lease_duration=seconds if self.said_ttl is None else self.said_ttl))

    def revoke(self, request):
        if self.leases.pop(json.loads(request.body)["lease_id"], None) is None:
            return errors(400, "lease not found")
        return 204, b"", ()

    def wrap(self, request, path, answer):
        ttl = request.one("X-Vault-Wrap-TTL")
        if not ttl or not isinstance(answer, tuple) or answer[0] != 200 or path == "sys/wrapping/unwrap":
            return answer
        token = f"hvs.CANARY-WRAP{self.next()}"
        self.wrapped[token] = answer
        info = {"token": token, "accessor": "acc", "ttl": 60, "creation_time": "2026-11-21T00:00:00Z",
                "creation_path": self.origin or path}
        return good({"request_id": "", "lease_id": "", "data": None, "wrap_info": info, "warnings": None, "auth": None})

    def unwrap(self, request):
        token = json.loads(request.body or b"{}").get("token", "")
        if request.one("X-Vault-Token") == token:
            self.wrapped.pop(token, None)  # both places: burnt
        answer = self.wrapped.pop(token, None)
        return answer or errors(400, "wrapping token is not valid or does not exist")

    def login(self, request):
        wish = json.loads(request.body)
        if wish.get("role") != "atlas":
            return errors(400, f"role \"{wish.get('role')}\" could not be found")
        if wish.get("jwt") != self.jwt:
            return errors(400, "error validating token: invalid signature")
        token = f"hvs.job{self.next()}"
        self.tokens[token] = time.monotonic() + self.role_ttl
        return good(envelope(None, auth={"client_token": token, "accessor": "a", "lease_duration": self.role_ttl,
                                         "renewable": not self.batch, "token_type": "batch" if self.batch else "service"}))

    def renew_self(self, request):
        token = self.token_of(request)
        if self.batch:
            return errors(400, "batch tokens cannot be renewed")
        self.tokens[token] = time.monotonic() + self.role_ttl
        return good(envelope(None, auth={"client_token": token, "lease_duration": self.role_ttl, "renewable": True}))

    def revoke_self(self, request):
        if self.batch:
            return errors(400, "batch tokens cannot be revoked")
        self.tokens.pop(self.token_of(request), None)
        return 204, b"", ()
