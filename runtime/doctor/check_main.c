/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox check: does this worker have what its policy's boxes need, now? */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

enum { OUTPUT = 64 << 10, A_JOBS_UID = 65534, USUAL_SECONDS = 10, MOST_SECONDS = 600 };

typedef struct request {
	bool help;
	nb_check_format format;
	char *policy;
	uid_t uid;
	bool assumed; /* nobody named him */
	uint64_t seconds;
} request;

static const char help_text[] =
	"nestbox check [--json | --classad[=node] | --prometheus] [--user UID] [--timeout SECONDS] [--policy FILE]\n"
	"\n"
	"Does this worker have what the boxes of its policy need, now? For STARTD_CRON, a container's health check, a\n"
	"probe or a monitor. What may hang is tried in child processes, for a limited time; nothing is left behind.\n"
	"\n"
	"  --json             one object\n"
	"  --classad          NESTBOX_HEALTHY and NESTBOX_STATUS for STARTD_CRON\n"
	"  --classad=node     the same as NODE_IS_HEALTHY and NODE_STATUS\n"
	"  --prometheus       nestbox_check_ok for each check\n"
	"  --user UID         root only: as this user, as HTCondor's jobs do (65534 if not given)\n"
	"  --timeout SECONDS  for all of it, 10 if not given\n"
	"  --policy FILE      by this policy, not the worker's own\n"
	"\n"
	"Exit status: 0 jobs start, 1 they start with less than the policy asks for, 2 they don't; 125 it could not "
	"be\n"
	"checked.\n";

static int take_user(request *r, nb_error *e)
{
	uint64_t uid;
	if (nb_parse_u64(optarg, UINT32_MAX - 1, &uid, e) != 0)
		return nb_fail_add(e, " (check: --user)");
	if (geteuid() != 0 && uid != geteuid())
		return nb_fail(e, NB_REQUEST, 0, "check: --user %s: only root can try as others", optarg);
	r->uid = (uid_t)uid;
	r->assumed = false;
	return 0;
}

static int take_form(request *r, nb_error *e)
{
	if (optarg != NULL && !nb_streq(optarg, "node"))
		return nb_fail(e, NB_REQUEST, 0, "check: --classad=%s: only 'node' can be had", optarg);
	r->format = optarg != NULL ? NB_CHECK_NODE : NB_CHECK_CLASSAD;
	return 0;
}

static int take_timeout(request *r, nb_error *e)
{
	if (nb_parse_u64(optarg, MOST_SECONDS, &r->seconds, e) != 0)
		return nb_fail_add(e, " (check: --timeout)");
	return r->seconds > 0 ? 0 : nb_fail(e, NB_REQUEST, 0, "check: --timeout 0: at least a second is needed");
}

static int take_option(int o, const char *given, request *r, nb_error *e)
{
	switch (o) {
	case 'j': r->format = NB_CHECK_JSON; return 0;
	case 'm': r->format = NB_CHECK_PROMETHEUS; return 0;
	case 'p': r->policy = optarg; return 0;
	case 'h': r->help = true; return 0;
	case 'c': return take_form(r, e);
	case 'u': return take_user(r, e);
	case 't': return take_timeout(r, e);
	case ':': return nb_fail(e, NB_REQUEST, 0, "check: %s needs a value", given);
	default: return nb_fail(e, NB_REQUEST, 0, "check: unknown option %s; see nestbox check --help", given);
	}
}

static int parse(int argc, char **argv, request *ret, nb_error *e)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },          { "classad", optional_argument, NULL, 'c' },
		{ "prometheus", no_argument, NULL, 'm' },    { "user", required_argument, NULL, 'u' },
		{ "timeout", required_argument, NULL, 't' }, { "policy", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
	};
	bool root = geteuid() == 0;
	request r = { .uid = root ? A_JOBS_UID : geteuid(), .assumed = root, .seconds = USUAL_SECONDS };
	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+:h", options, NULL)) != -1;)
		if (take_option(o, argv[optind - 1], &r, e) != 0)
			return -1;
	if (optind < argc)
		return nb_fail(e, NB_REQUEST, 0, "check: unexpected argument %s", argv[optind]);
	*ret = r;
	return 0;
}

static int answer(const request *q, nb_error *e)
{
	NB_OWN_MEM nb_doctor_report *r = calloc(1, sizeof(*r));
	NB_OWN_MEM char *output = malloc(OUTPUT);
	if (r == NULL || output == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "check");
	nb_text t = nb_text_over(output, OUTPUT);
	r->assumed = q->assumed;
	r->policy = q->policy;
	r->until_ns = nb_now_boottime_ns() + q->seconds * UINT64_C(1000000000);
	nb_doctor_user(r, q->uid);
	nb_check_all(r);
	if (!nb_check_write(r, q->format, &t))
		return nb_fail(e, NB_HOST, ENOMEM, "check");
	if (nb_write_all(STDOUT_FILENO, t.at, t.used) != 0)
		return nb_fail(e, NB_HOST, errno, "check: standard output");
	return (int)nb_doctor_worst(r);
}

int main(int argc, char **argv)
{
	request q = { 0 };
	nb_error e = { 0 };
	nb_doctor_standard_fds();
	int status = parse(argc, argv, &q, &e);
	if (status == 0 && q.help)
		return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? NB_EXIT_FAILURE : 0;
	if (status == 0)
		status = answer(&q, &e);
	return status >= 0 ? status : (nb_say_error(&e), NB_EXIT_FAILURE);
}
