# SPDX-License-Identifier: Apache-2.0
"""What a job asked for, was given, and ended with: exactly as without a box."""
from harness import Case, require

# Those that end a process. Not 5: HTCondor takes a job that dies of SIGTRAP for one that is being traced, and waits for
# ever, with or without a wrapper. Not 32 and 33, which are the C library's.
SIGNALS = (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 50, 64)

ODD = ("one", "two three", "it's", '"dq"', "new\\nline", "tab\\tx", "$HOME", "\\\\back\\\\slash", "üñí€", "", "--help",
       "--policy=/x", "--", "-", "wrap", "*", "$(touch x)".replace("$(", "$ ("), "'", "a=b", ";", "\\", "last\\")

ENVIRONMENT = {
    "LD_PRELOAD": "/nowhere/evil.so", "GLIBC_TUNABLES": "glibc.malloc.check=3", "BASH_ENV": "/nowhere/rc",
    "NESTBOX_POLICY": "/nowhere/policy.json", "PATH": "/job/bin", "SPACES": "a  b", "QUOTES": "say 'hi' \"x\"", "EMPTY": "",
}


def exit_codes(run):
    ends = run.ends()
    for ad in run.ads:
        proc = ad["ProcId"]
        recorded = ends[proc]["process"]["exit_code"]
        require((ad["ExitCode"], recorded) == (proc, proc), f"job {proc}: ExitCode {ad['ExitCode']}, recorded {recorded}")
    require(len(run.ads) == 256, f"{len(run.ads)} jobs")


def exit_signals(run):
    ends = run.ends()
    for ad in run.ads:
        wanted, recorded = SIGNALS[ad["ProcId"]], ends[ad["ProcId"]]["nestbox"]["exit"]["signal"]
        found = ad.get("ExitSignal")
        require((found, recorded) == (wanted, wanted), f"signal {wanted}: ExitSignal {found}, recorded {recorded}")


def in_slot_cgroup(run):
    """The very first job too: HTCondor moves it into its cgroup after it started it."""
    path = run.audit()[0]["nestbox"]["attested"]["cgroup"]
    require("/htcondor/" in path or run.pool.mode == "user", f"the box is not in its slot's cgroup: {path}")


def odd_arguments(run):
    found = run.lines("arg ")
    wanted = [arg.encode().hex() for arg in ODD]
    require(found == wanted, f"arguments {found}, not {wanted}")


def environment(run):
    found = dict(line.split("=", 1) for line in run.lines("env "))
    for name, value in ENVIRONMENT.items():
        value = None if name.startswith("NESTBOX_") else value  # dropped by the policy
        require(found.get(name) == value, f"{name} is {found.get(name)!r}")
    for name in ("_CONDOR_SCRATCH_DIR", "_CONDOR_JOB_AD", "_CONDOR_MACHINE_AD", "TMPDIR"):
        require(name in found, f"{name} is missing")
    leaked = [name for name in found if name.startswith(("CONDOR_INHERIT", "CONDOR_PRIVATE", "MESOS_"))]
    require(not leaked, f"of the starter's: {leaked}")


def quoted_environment():
    words = (f"{name}={value}".replace("'", "''").replace('"', '""') for name, value in ENVIRONMENT.items())
    return '"' + " ".join(f"'{word}'" for word in words) + '"'


SMOKE = Case("smoke", "a job runs", ("self", "exit", 0), {"ExitCode": 0, "ExitBySignal": False, "NumShadowStarts": 1},
             check=in_slot_cgroup)

CASES = [
    Case("arguments", "arguments reach the payload byte by byte, none is taken for an option", ("argv", *ODD),
         {"ExitCode": 0}, check=odd_arguments),
    Case("environment", "the job's environment reaches the payload and nothing before it", ("environ",), {"ExitCode": 0},
         {"environment": quoted_environment()}, check=environment),
    Case("signals", "a payload that dies of a signal is recorded with that signal", ("raise", "$(number)"),
         {"ExitBySignal": True, "NumShadowStarts": 1}, queue="queue number in " + " ".join(map(str, SIGNALS)),
         check=exit_signals),
    Case("exits", "each of the 256 exit codes is the job's own", ("exit", "$(ProcId)"),
         {"ExitBySignal": False, "NumShadowStarts": 1}, queue="queue 256", check=exit_codes, seconds=300),
]
