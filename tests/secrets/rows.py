# SPDX-License-Identifier: Apache-2.0
"""The fault table: what the agent does, and what the courier must make of it: a fault's word, or the value in quotation marks."""

# path below fault/, expected
ANSWERS = [
    ("hang", "timeout"), ("drip", "timeout"), ("drip-body", '"CANARY"'), ("endless", "too-large"), ("endless-100", "headers"),
    ("large-length", "too-large"), ("cut-header", "cut"), ("cut-nothing", "cut"), ("cut-chunk", "cut"), ("short-length", "cut"),
    ("long-length", '"CANARY"'), ("both-lengths", "not-http"), ("two-lengths", "not-http"), ("huge-chunk", "not-http"),
    ("negative-chunk", "not-http"), ("negative-length", "not-http"), ("continue", '"CANARY"'), ("early-hints", '"CANARY"'), ("trailer", '"CANARY"'),
    ("trailers", "headers"), ("until-closed", '"CANARY"'), ("http10", '"CANARY"'), ("bare-lines", '"CANARY"'), ("odd-case", '"CANARY"'),
    ("chunk-extension", '"CANARY"'), ("gzip", "not-json"), ("headers", "headers"),
    ("header-bytes", "headers"), ("header-nul", "not-http"), ("not-http", "not-http"), ("http09", "not-http"),
    ("redirect", "redirect"), ("html", "not-json"), ("html-502", "server"), ("html-404", "not-json"), ("body-204", "no-data"),
    ("empty-200", "no-data"), ("duplicate", "odd-json"), ("depth", "odd-json"), ("depth-17", "odd-json"),
    ("depth-10", '"[[[[[[[[[[]]]]]]]]]]"'), ("just-over", "too-large"), ("just-under", '"' + "z" * 500000 + '"'), ("many", "odd-json"), ("nul", "odd-json"),
    ("nul-key", "odd-json"), ("raw-nul", "odd-json"), ("surrogate", "odd-json"), ("bad-utf8", "odd-json"), ("bom", "not-json"),
    ("overflow", "odd-json"), ("trailing", "odd-json"), ("unfinished", "odd-json"), ("array", "no-data"),
    ("number", '"9007199254740993"'), ("large-number", '"123456789012345678901234567890"'), ("fraction", '"0.10"'),
    ("object", '"{"a":[1, 2.50],"b":"}"}"'), ("escaped-key", '"[7]"'), ("true", '"true"'), ("null", "empty"),
    ("empty-value", "empty"), ("no-data", "no-data"), ("null-data", "no-data"), ("odd-lease", "lease"), ("long-lease", "lease"),
    ("odd-duration", '"x"'), ("400", "bad-request"), ("400-upgrading", "upgrading"), ("403", "denied"), ("405", "method"),
    ("412", "header-rule"), ("413", "status"), ("418", "status"), ("429", "quota"), ("472", "standby"), ("473", "standby"),
    ("474", "standby"), ("500", "server"), ("501", "uninitialised"), ("502", "server"), ("503", "sealed"), ("530", "server"),
    ("escape", "denied"), ("tls", "not-http"),
]

# what is asked (as tests/secrets/keeper.c takes it, without the name), expected
SECRETS = [
    ("path=secret/data/grid/proxy;field=proxy", '"CANARY-PROXY v2"'),
    ("path=secret/data/grid/proxy;field=proxy;version=1", '"CANARY-PROXY v1"'),
    ("path=secret/data/grid/proxy;field=proxy;engine=2", '"CANARY-PROXY v2"'),
    ("path=secret/data/grid/proxy;version=9;field=proxy", "no-version"),
    ("path=secret/data/grid/proxy;field=none", "no-field"),
    ("path=secret/data/grid/proxy", '"{"proxy": "CANARY-PROXY v2", "n": 12345678901234567890}"'),
    ("path=secret/data/grid/proxy;field=n", '"12345678901234567890"'),
    ("path=secret/data/grid/deleted;field=proxy", "deleted"),
    ("path=secret/data/grid/destroyed;field=proxy", "destroyed"),
    ("path=secret/data/grid/scheduled;field=proxy", '"still there"'),
    ("path=secret/data/grid/missing;field=proxy", "missing"),
    ("path=secret/grid/proxy;field=proxy", "wrong-path"),
    ("path=nowhere/grid/proxy;field=proxy", "no-mount"),
    ("path=kv1/site;field=key", '"CANARY-KV1"'),
    ("path=kv1/site;field=key;engine=1", '"CANARY-KV1"'),
    ("path=kv1/looks;field=data;engine=1", '"{"x": 1}"'),
    ("path=kv1/none;field=key", "missing"),
    ("path=big/data;field=value", '"' + "x" * 300000 + '"'),
    ("path=database/creds/atlas;field=username", '"u1"'),
    ("path=pki/issue/host;field=certificate;body={\"common_name\":\"wn1\"}", '"CERT wn1"'),
    ("path=pki/issue/host;field=certificate", "method"),
    ("path=secret/data/grid/proxy;field=proxy;wrap", '"CANARY-PROXY v2"'),
    ("path=empty/write;field=x", "no-data"),
    ("path=denied/by/acl;field=x", "denied"),
]


def fill(agent, kv2):
    """What SECRETS asks for."""
    agent.kv2["grid/proxy"] = [kv2({"proxy": "CANARY-PROXY v1"}, 1), kv2({"proxy": "CANARY-PROXY v2", "n": 12345678901234567890}, 2)]
    agent.kv2["grid/deleted"] = [kv2(None, 1, "2026-11-20T10:00:00Z")]
    agent.kv2["grid/destroyed"] = [kv2(None, 1, "2026-11-20T10:00:00Z", True)]
    agent.kv2["grid/scheduled"] = [kv2({"proxy": "still there"}, 1, "2027-11-20T10:00:00Z")]
    agent.kv1["site"] = {"key": "CANARY-KV1"}
    agent.kv1["long"] = {"key": "y" * 9000 + "CANARY-END"}
    agent.kv1["looks"] = {"data": {"x": 1}, "metadata": {"version": 3}}
    agent.deny.add("denied/by/acl")
