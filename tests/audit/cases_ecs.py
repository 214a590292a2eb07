# SPDX-License-Identifier: Apache-2.0
"""Records against the Elastic Common Schema's own list of fields and types."""
import json
import os
import subprocess
import sys

from audit import Skip, program

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from ecs import check, judge, schema  # noqa: E402


def case_the_judge_judges(_):
    fields = schema()
    good = {"@timestamp": "2026-11-21T14:39:09.5Z", "event": {"sequence": 1, "category": ["process"]}}
    assert judge(good, fields) == ([], set())
    for bad in ({"@timestamp": "21.11.2026"}, {"event": {"sequence": "1"}}, {"event": {"category": "process"}},
                {"host": {"id": 7}}, {"nestbox": {"x": 1.5}}, {"nestbox": {"a.b": 1}}):
        assert judge(bad, fields)[0], bad


def case_generated_records(audit):
    audit.generate(400, 2)
    check(audit.records())


def case_the_logs_own_records(audit):
    audit.generate(2000, 2, 200)
    audit.write(2, 20, 4000)
    audit.run("prune", "--keep", "190d")
    anchors = [r for r in audit.records() if r["event"]["action"] == "chain-anchor"]
    assert any(r["nestbox"]["chain"]["reason"] == "prune" for r in anchors)
    check(anchors)


def case_records_of_real_boxes(audit):
    """A payload run by the launcher of this build, if it can make a box here."""
    try:
        nestbox = program(audit.build, "runtime/commands/nestbox")
    except AssertionError as missing:
        raise Skip("the launcher is not built") from missing
    logs = os.path.join(audit.top, "nestbox")
    policy = os.path.join(audit.top, "policy.json")
    os.mkdir(logs)
    with open(policy, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "audit": {"sinks": [{"type": "file", "path": logs}]}}, stream)
    # The build's launcher has no libexec beside it: the policy is compiled ahead, as `nestbox policy compile` does.
    compiler = program(audit.build, "runtime/policy/nestbox-policy")
    subprocess.run([compiler, "compile", "--output", policy + ".compiled", policy], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([nestbox, "exec", "--policy", policy, "/", "/bin/true"], env=audit.env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"no box can be made here with a log of its own: {done.stderr.strip()[:120]}")
    refused = subprocess.run([nestbox, "exec", "--policy", policy, "--bind", "/nowhere:/mnt", "--pwd", "/nowhere", "/", "/bin/true"],
                             env=audit.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    for _ in range(12):
        refused = subprocess.run([nestbox, "exec", "--policy", policy, "/nowhere", "/bin/true"], env=audit.env, stderr=subprocess.DEVNULL, check=False)
        assert refused.returncode == 125, refused
    audit.logs = logs
    check(audit.records())
    # A box of the same user whose keeper was killed may be found lost here: that is another's story.
    kinds = {r["event"]["action"] for r in audit.records()} - {"sandbox-lost"}
    assert kinds == {"config-loaded", "sandbox-start", "sandbox-end", "policy-denied", "events-suppressed"}, kinds
    assert audit.run("verify") and audit.ids("--outcome", "success")
