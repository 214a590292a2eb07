/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <sched.h>
#include <string.h>

const char *const nb_namespace_names[NB_NAMESPACES] = { "user", "pid", "mnt", "net", "ipc", "uts", "cgroup" };

static const nb_step_info table[NB_STEPS] = {
	[NB_STEP_AUDIT_OPEN] = { "audit-open", NB_KEEPER, NB_HOST, "open the audit %s %a", NULL },
	[NB_STEP_CGROUP_LEAVE] = { "cgroup-leave", NB_KEEPER, NB_HOST, "move nestbox out of %a into its child 'keeper'",
				   "the batch system removes it" },
	[NB_STEP_CGROUP_MAKE] = { "cgroup-make", NB_KEEPER, NB_HOST, "make a cgroup of this box in %a",
				  "removed when the box ends, or by the next start" },
	[NB_STEP_CGROUP_LIMIT] = { "cgroup-limit", NB_KEEPER, NB_HOST, "write %b to %a and read it back", NULL },
	[NB_STEP_SECRET] = { "secret", NB_KEEPER, NB_SECRET, "fetch the secret '%a' from %b", NULL },
	[NB_STEP_SECRETS_ASK] = { "secrets-ask", NB_KEEPER, NB_SECRET,
				  "ask for %n secrets, which arrive while the box is made",
				  "leases are given back when the box ends" },
	[NB_STEP_SECRETS_WAIT] = { "secrets-wait", NB_KEEPER, NB_SECRET,
				   "wait for the required secrets, at most %n milliseconds", NULL },
	[NB_STEP_WALL_TIME] = { "wall-time", NB_KEEPER, NB_HOST, "end the payload after it ran for %d", NULL },
	[NB_STEP_DISK] = { "disk", NB_KEEPER, NB_HOST, "count every %e what %a holds; over %n bytes %k",
			   "the process that counts ends with the box" },
	[NB_STEP_NAMESPACES] = { "namespaces", NB_KEEPER, NB_HOST, "start pid 1 in new namespaces: %f",
				 "they end with their last process" },
	[NB_STEP_CGROUP_HAND] = { "cgroup-delegate", NB_KEEPER, NB_HOST,
				  "hand the part of them below the limits to uid %n, gid %m, to be divided", NULL },
	[NB_STEP_AUDIT_START] = { "audit-start", NB_KEEPER, NB_HOST,
				  "write the start record, durable before the payload's first instruction", NULL },
	[NB_STEP_CGROUP_JOIN] = { "cgroup-join", NB_INIT, NB_HOST, "enter the box's cgroups", NULL },
	[NB_STEP_CGROUP_NS] = { "cgroup-namespace", NB_INIT, NB_HOST, "see only the box's own cgroups", NULL },
	[NB_STEP_CGROUP_MAIN] = { "cgroup-main", NB_INIT, NB_HOST,
				  "move on into 'main' of them, since no process may sit beside what is divided",
				  NULL },
	[NB_STEP_OOM_SCORE] = { "oom-score", NB_INIT, NB_HOST,
				"be chosen before nestbox when the worker is out of memory: oom_score_adj %n higher",
				NULL },
	[NB_STEP_ID_MAP] = { "id-map", NB_INIT, NB_HOST, "map uid %n and gid %m, nothing else", NULL },
	[NB_STEP_UNDUMPABLE] = { "undumpable", NB_INIT, NB_HOST, "let nobody trace pid 1 or read its memory", NULL },
	[NB_STEP_KEYRING] = { "session-keyring", NB_INIT, NB_HOST, "leave the caller's session keyring", NULL },
	[NB_STEP_LOOPBACK] = { "loopback", NB_INIT, NB_HOST, "bring up lo, the only interface of the box's own network",
			       NULL },
	[NB_STEP_SLAVE] = { "propagation", NB_INIT, NB_HOST, "let no mount made here reach the worker", NULL },
	[NB_STEP_ROOT] = { "root", NB_INIT, NB_HOST, "take %a as the root, recursively read-only, nosuid, nodev",
			   NULL },
	[NB_STEP_PROC] = { "proc", NB_INIT, NB_HOST, "mount /proc: %p", NULL },
	[NB_STEP_REPORT] = { "report", NB_INIT, NB_BUG, "tell the keeper the namespaces' numbers for the record",
			     NULL },
	[NB_STEP_MASKS] = { "masks", NB_INIT, NB_HOST, "hide what /proc tells about the worker", NULL },
	[NB_STEP_CVMFS_TOUCH] = { "cvmfs-touch", NB_KEEPER, NB_HOST,
				  "look into %a, so that it is mounted before the box is made", NULL },
	[NB_STEP_SYSCTL] = { "sysctl", NB_INIT, NB_HOST, "set %a to %n in the box's user namespace", NULL },
	[NB_STEP_DEV] = { "dev", NB_INIT, NB_HOST, "own /dev: null zero full random urandom tty, pts, shm of %n bytes",
			  NULL },
	[NB_STEP_SYS] = { "sys", NB_INIT, NB_HOST, "show the worker's /sys read-only", NULL },
	[NB_STEP_CGROUP_SHOW] = { "cgroup-show", NB_INIT, NB_HOST,
				  "show the box's own cgroups at %a, and nothing above them", NULL },
	[NB_STEP_TMP] = { "tmp", NB_INIT, NB_HOST, "private tmpfs on %a%t", NULL },
	[NB_STEP_RUN] = { "run", NB_INIT, NB_HOST, "empty /run: no daemon's socket", NULL },
	[NB_STEP_FEATURE] = { "feature", NB_INIT, NB_HOST, "write '%b' to %a", NULL },
	[NB_STEP_CVMFS] = { "cvmfs", NB_INIT, NB_HOST, "show %a; what is mounted there later shows up too", NULL },
	[NB_STEP_MOUNT] = { "mount", NB_INIT, NB_HOST, "show %a at %b%r", NULL },
	[NB_STEP_EXECUTE] = { "execute", NB_INIT, NB_HOST, "hide %a, where the directories of all jobs are", NULL },
	[NB_STEP_FILE] = { "file", NB_INIT, NB_HOST, "add '%b' to a copy of the image's %a", NULL },
	[NB_STEP_HIDE] = { "hide", NB_INIT, NB_HOST, "hide %a", NULL },
	[NB_STEP_SECRETS] = { "secrets", NB_INIT, NB_HOST,
			      "show the secrets in %a, a tmpfs that only the keeper writes%t", NULL },
	[NB_STEP_SEAL] = { "seal", NB_INIT, NB_HOST, "make the box's own directories read-only", NULL },
	[NB_STEP_PIVOT] = { "pivot", NB_INIT, NB_HOST, "change the root and let go of the worker's", NULL },
	[NB_STEP_BOUNDING] = { "bounding-set", NB_INIT, NB_HOST, "empty the capability bounding set", NULL },
	[NB_STEP_IDENTITY] = { "identity", NB_INIT, NB_HOST, "become uid %n, gid %m, no further group, and prove it",
			       NULL },
	[NB_STEP_CAPABILITIES] = { "capabilities", NB_INIT, NB_HOST, "drop all capabilities and prove it", NULL },
	[NB_STEP_TERMINAL] = { "terminal", NB_INIT, NB_HOST,
			       "make a pseudo terminal of the box's own for 0, 1 and 2; the keeper relays to the "
			       "caller's",
			       NULL },
	[NB_STEP_CORE] = { "core", NB_INIT, NB_HOST,
			   "no core dump, and no handler of the worker's run on the box's data", NULL },
	[NB_STEP_DEATH] = { "death-signal", NB_INIT, NB_HOST, "kill the box when the keeper dies", NULL },
	[NB_STEP_HASH] = { "hash", NB_INIT, NB_HOST, "take the SHA-256 of the file that '%a' is executed from", NULL },
	[NB_STEP_NO_NEW_PRIVS] = { "no-new-privileges", NB_INIT, NB_HOST, "no program gains privileges from here on",
				   NULL },
	[NB_STEP_LANDLOCK] = { "landlock", NB_INIT, NB_HOST, "no signal and no abstract socket beyond the box", NULL },
	[NB_STEP_SECCOMP] = { "seccomp", NB_INIT, NB_HOST, "load the filter '%a' of %n instructions", NULL },
	[NB_STEP_SESSION] = { "session", NB_PAYLOAD, NB_HOST, "a session of its own", NULL },
	[NB_STEP_SIGNALS] = { "signals", NB_PAYLOAD, NB_HOST, "the signal mask and dispositions that the caller had",
			      NULL },
	[NB_STEP_FDS] = { "descriptors", NB_PAYLOAD, NB_HOST, "close all descriptors but 0, 1 and 2", NULL },
	[NB_STEP_WORKDIR] = { "workdir", NB_PAYLOAD, NB_REQUEST, "change to %a", NULL },
	[NB_STEP_EXEC] = { "exec", NB_PAYLOAD, NB_REQUEST, "execute %a", NULL },
};

const char *nb_plan_workdir(const nb_plan *p)
{
	for (uint32_t i = p->count; i > 0; i--)
		if (p->rows[i - 1].step == NB_STEP_WORKDIR)
			return nb_plan_text(p, p->rows[i - 1].a);
	return "/";
}

const nb_step_info *nb_step_info_of(unsigned step)
{
	return &table[step < NB_STEPS ? step : 0];
}

static void add_flags(uint64_t flags, nb_text *out)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} names[] = { { CLONE_NEWUSER, "user" }, { CLONE_NEWPID, "pid" }, { CLONE_NEWNS, "mount" },
		      { CLONE_NEWIPC, "ipc" },   { CLONE_NEWUTS, "uts" }, { CLONE_NEWNET, "net" } };
	const char *separator = "";
	for (size_t i = 0; i < NB_COUNT(names); i++)
		if (flags & names[i].flag) {
			nb_text_addf(out, "%s%s", separator, names[i].name);
			separator = ", ";
		}
}

static void add_proc(const nb_plan *p, nb_text *out)
{
	static const char *const names[] = { [NB_PROC_FRESH] = "fresh",
					     [NB_PROC_BIND] = "the worker's, bound",
					     [NB_PROC_SHARED] = "the worker's, with its process ids",
					     [NB_PROC_EMPTY] = "empty" };
	for (size_t i = 0; i < sizeof(p->proc) && p->proc[i] != NB_PROC_NONE; i++)
		nb_text_addf(out, "%s%s", i ? ", else " : "", p->proc[i] < NB_COUNT(names) ? names[p->proc[i]] : "?");
}

static void add_sink(uint64_t type, nb_text *out)
{
	static const char *const words[] = { [NB_SINK_FILE] = "log in",
					     [NB_SINK_JOURNALD] = "sink journald at",
					     [NB_SINK_SYSLOG] = "sink syslog at",
					     [NB_SINK_COLLECTOR] = "sink collector at" };
	nb_text_add(out, type > 0 && type < NB_COUNT(words) ? words[type] : "?");
}

static void add_duration(uint64_t ns, nb_text *out)
{
	bool whole = ns % 1000000000u == 0;
	nb_text_addf(out, "%llu %s", (unsigned long long)(ns / (whole ? 1000000000u : 1000000u)), whole ? "s" : "ms");
}

/* What a row's flags mean in words. */
static void add_flag(const nb_row *row, char letter, nb_text *out)
{
	if (letter == 'k')
		nb_text_add(out, row->flags & NB_ROW_ENDS ? "end the payload" : "leave a record");
	else if (letter == 'r')
		nb_text_add(out, row->flags & NB_ROW_READ_ONLY ? ", read-only" : ", read-write");
	else if (row->flags & NB_ROW_SHARE)
		nb_text_add(out, ", the same one");
	else
		nb_text_addf(out, ", %llu bytes, %llu files", (unsigned long long)row->n, (unsigned long long)row->m);
}

static void add_value(const nb_plan *p, const nb_row *row, char letter, nb_text *out)
{
	switch (letter) {
	case 'a': nb_text_add_visible(out, nb_plan_text(p, row->a)); break;
	case 'b': nb_text_add_visible(out, nb_plan_text(p, row->b)); break;
	case 'n': nb_text_add_u64(out, row->n); break;
	case 'm': nb_text_add_u64(out, row->m); break;
	case 'd': add_duration(row->n, out); break;
	case 'e': add_duration(row->m, out); break;
	case 'f': add_flags(row->n, out); break;
	case 'p': add_proc(p, out); break;
	case 's': add_sink(row->m, out); break;
	case 'k':
	case 'r':
	case 't': add_flag(row, letter, out); break;
	default: nb_text_add(out, "?"); break;
	}
}

void nb_row_sentence(const nb_plan *p, const nb_row *row, nb_text *out)
{
	for (const char *s = nb_step_info_of(row->step)->sentence; *s != '\0'; s++) {
		if (*s == '%')
			add_value(p, row, *++s, out);
		else
			nb_text_add_bytes(out, s, 1);
	}
	bool may_miss = (row->flags & NB_ROW_REQUIRED) == 0;
	if (may_miss)
		nb_text_add(out, ", where present");
}
