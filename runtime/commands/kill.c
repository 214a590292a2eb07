/* SPDX-License-Identifier: Apache-2.0 */
/* kill: end a box. The keeper passes the stop signal on; what is left after the grace dies with pid 1. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/audit.h"
#include "commands.h"
#include "host/host.h"
#include "policy/policy.h"
#include "registry/registry.h"

static const char usage[] =
	"Usage: nestbox kill ID [--grace TIME]\n\n"
	"Ends the box: SIGTERM to its payload, and SIGKILL to all of it that is left after the grace "
	"(policy: kill_grace).\n"
	"A suspended box is continued first. ID is a box's id, or so much of it that one box has it. "
	"Who asked is recorded.\n\n"
	"Options:\n"
	"      --grace TIME  10s, 500ms, 2m; 0: SIGKILL at once\n"
	"  -h, --help        this text\n";

typedef struct order {
	const char *id;
	bool grace_given, help;
	uint64_t grace_ns;
	nb_entry entry;
} order;

static int parse(int argc, char **argv, order *o, nb_error *e)
{
	static const char assigned[] = "--grace=";
	for (int i = 1; i < argc; i++) {
		if (nb_streq(argv[i], "--help") || nb_streq(argv[i], "-h")) {
			o->help = true;
			return 0;
		}
		const char *grace = nb_starts_with(argv[i], assigned)              ? argv[i] + sizeof(assigned) - 1
				    : nb_streq(argv[i], "--grace") && i + 1 < argc ? argv[++i]
										   : NULL;
		if (grace != NULL) {
			if (nb_parse_duration(grace, &o->grace_ns, e) != 0)
				return nb_fail_add(e, " (option --grace)");
			o->grace_given = true;
		} else if (argv[i][0] == '-' || o->id != NULL) {
			return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not understood; 'nestbox kill --help' tells more",
				       argv[i]);
		} else {
			o->id = argv[i];
		}
	}
	return o->id != NULL && o->id[0] != '\0'
		       ? 0
		       : nb_fail(e, NB_REQUEST, 0, "there is no box to end: nestbox kill ID; 'nestbox ps' lists them");
}

static int record(const order *o, const nb_policy *policy, char *const *env, nb_error *e)
{
	nb_host host;
	nb_sinks sinks;
	char id[NB_UUID_TEXT], message[128];
	nb_host_survey(env, NULL, &host);
	snprintf(message, sizeof(message), "uid %u asked for the end of the box, grace %llu ms", (unsigned)getuid(),
		 (unsigned long long)(o->grace_ns / 1000000u));
	const nb_aside a = { .action = "sandbox-kill",
			     .type = "change",
			     .id = o->entry.id,
			     .host = &host,
			     .uid = getuid(),
			     .pid = getpid(),
			     .reason = "administrator",
			     .message = message };
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_sinks_begin(&sinks, policy, &host, id);
	nb_sinks_open_all(&sinks, policy);
	int r = sinks.count > 0 ? nb_audit_aside(&sinks, &a, e) : 0;
	nb_sinks_close(&sinks);
	return sinks.missing[0] == '\0' || r != 0
		       ? r
		       : nb_fail(e, NB_HOST, 0, "the end of the box is asked for, but not recorded: %s", sinks.missing);
}

static int signal_by(int pidfd, int number)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

static bool gone_within(int pidfd, uint64_t ns)
{
	uint64_t until = nb_now_boottime_ns() + ns;
	for (;;) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		uint64_t now = nb_now_boottime_ns();
		int left = now < until ? (int)((until - now) / 1000000u) + 1 : 0;
		int n = poll(&p, 1, left);
		if (n > 0)
			return true;
		if (now >= until)
			return false;
	}
}

static int end_box(const order *o, nb_error *e)
{
	enum { REAPING = 5 };
	const uint64_t second = 1000000000u;
	NB_OWN_FD int keeper = nb_entry_keeper(&o->entry);
	if (keeper < 0)
		return 0; /* it has ended by itself */
	NB_OWN_FD int init = nb_entry_init(&o->entry);
	NB_OWN_FD int mark = nb_entry_mark(&o->entry); /* from here on the file is not opened again */
	(void)mark;
	bool sent = o->grace_ns == 0 || signal_by(keeper, SIGTERM) == 0;
	if (!sent && errno != ESRCH)
		return nb_fail(e, NB_HOST, errno, "cannot signal the keeper of box %s (process %d)", o->entry.id,
			       (int)o->entry.keeper);
	/* A stopped keeper passes nothing on, and pid 1 of a stopped box neither; what it gets then stays pending. */
	signal_by(keeper, SIGCONT);
	if (init >= 0)
		signal_by(init, SIGCONT);
	if (o->grace_ns != 0 && gone_within(keeper, o->grace_ns))
		return 0;
	bool killed = init >= 0 && signal_by(init, SIGKILL) == 0;
	if (init >= 0)
		nb_cgroup_thaw(o->entry.init);
	nb_cgroup_thaw(o->entry.keeper);
	if (killed && gone_within(keeper, REAPING * second))
		return 0;
	/* Pid 1 dies with its parent. */
	if (signal_by(keeper, SIGKILL) != 0 && errno != ESRCH)
		return nb_fail(e, NB_HOST, errno, "cannot kill the keeper of box %s", o->entry.id);
	return gone_within(keeper, REAPING * second)
		       ? 0
		       : nb_fail(e, NB_HOST, 0,
				 "box %s does not end: it is frozen by the batch system, or waits for a device (the "
				 "site must act)",
				 o->entry.id);
}

int nb_command_kill(int argc, char **argv, char **env)
{
	order o = { .id = NULL };
	nb_error e = { 0 };
	nb_tree tree;
	const nb_policy *policy = NULL;
	if (parse(argc, argv, &o, &e) != 0)
		return nb_say_error(&e);
	if (o.help)
		return nb_write_all(STDOUT_FILENO, usage, sizeof(usage) - 1) == 0 ? 0 : NB_EXIT_FAILURE;
	if (nb_registry_find(env, o.id, &o.entry, &e) != 0)
		return nb_say_error(&e);
	if (nb_tree_find(&tree, &e) != 0)
		return nb_say_error(&e);
	nb_policy_where where = {
		.sysconfdir = tree.sysconfdir, .libexecdir = tree.libexecdir, .owner = tree.owner, .caller = getuid()
	};
	if (nb_policy_load(&where, &policy, &e) != 0)
		return nb_say_error(&e);
	if (!o.grace_given)
		o.grace_ns = policy->kill_grace_ns;
	/* A box that must end ends, recorded or not. */
	if (record(&o, policy, env, &e) != 0)
		nb_say_error(&e);
	return end_box(&o, &e) == 0 ? 0 : nb_say_error(&e);
}
