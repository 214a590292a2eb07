/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox doctor: what this worker can and can't do for boxes, and who can change it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

enum { OUTPUT = 64 << 10, A_JOBS_UID = 65534 };

typedef struct request {
	bool json, help;
	char *policy;
	uid_t uid;
	bool assumed; /* nobody named him */
} request;

static const char help_text[] =
	"nestbox doctor [--json] [--user UID] [--policy FILE]\n"
	"\n"
	"Tries what boxes need of this worker, one row each:\n"
	"  ok|warn|fail  what it is -- what to do about it (who can do it)\n"
	"warn: boxes run, with less; fail: no box can be made. Then the lines that start the worker container with\n"
	"what it lacks, for Docker, podman, Kubernetes and Mesos. All is tried in child processes; nothing is left\n"
	"behind.\n"
	"\n"
	"  --user UID   root only: try as this user, as HTCondor's jobs do (65534 if not given; 0: as root)\n"
	"  --policy FILE  by this policy, in place of the one in force\n"
	"  --json       one object\n"
	"\n"
	"Exit status: 0 all is well, 1 something warns, 2 something fails, 125 the survey could not be made.\n";

static int parse(int argc, char **argv, request *ret, nb_error *e)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "user", required_argument, NULL, 'u' },
		{ "policy", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	request r = { .uid = geteuid() == 0 ? A_JOBS_UID : geteuid(), .assumed = geteuid() == 0 };
	uint64_t uid;
	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+:h", options, NULL)) != -1;) {
		switch (o) {
		case 'j': r.json = true; break;
		case 'u':
			if (nb_parse_u64(optarg, UINT32_MAX - 1, &uid, e) != 0)
				return nb_fail_add(e, " (doctor: --user)");
			if (geteuid() != 0 && uid != geteuid())
				return nb_fail(e, NB_REQUEST, 0, "doctor: --user %s: only root can try as others",
					       optarg);
			r.uid = (uid_t)uid;
			r.assumed = false;
			break;
		case 'p': r.policy = optarg; break;
		case 'h': r.help = true; break;
		case ':': return nb_fail(e, NB_REQUEST, 0, "doctor: %s needs a value", argv[optind - 1]);
		default:
			return nb_fail(e, NB_REQUEST, 0, "doctor: unknown option %s; see nestbox doctor --help",
				       argv[optind - 1]);
		}
	}
	if (optind < argc)
		return nb_fail(e, NB_REQUEST, 0, "doctor: unexpected argument %s", argv[optind]);
	*ret = r;
	return 0;
}

static int nothing(void *found)
{
	(void)found;
	return 0;
}

/* Root without CAP_SETUID can't be anybody else: then all is tried as root. */
static void choose_user(nb_doctor_report *r, uid_t uid)
{
	nb_doctor_result result;
	nb_doctor_user(r, uid);
	nb_doctor_try(r, false, nothing, NULL, 0, &result);
	if (result.stage == NB_STAGE_DONE) {
		nb_doctor_yes(r, "user", "tried as uid %u", (unsigned)r->uid);
		return;
	}
	nb_doctor_warn(r, "user", (nb_doctor_advice){ NB_WHO_START, "run the doctor as a job's user instead" },
		       "tried as root: uid %u can't be taken on (%s)", (unsigned)uid, strerror(result.err));
	r->uid = 0;
	r->gid = 0;
}

static int survey(const request *q, nb_doctor_report *r, nb_text *t, nb_error *e)
{
	r->conditions = nb_doctor_conditions();
	r->policy = q->policy;
	r->assumed = q->assumed;
	choose_user(r, q->uid);
	nb_doctor_kernel(r);
	nb_doctor_cgroups(r);
	nb_doctor_cvmfs(r);
	nb_doctor_site(r);
	nb_doctor_vault(r);
	if (!q->json) {
		nb_doctor_print(r, t);
		return 0;
	}
	NB_OWN_MEM char *json = nb_doctor_json(r);
	if (json == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "doctor");
	nb_text_add(t, json);
	nb_text_add(t, "\n");
	return 0;
}

static int answer(const request *q, nb_error *e)
{
	NB_OWN_MEM nb_doctor_report *r = calloc(1, sizeof(*r));
	NB_OWN_MEM char *output = malloc(OUTPUT);
	if (r == NULL || output == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "doctor");
	nb_text t = nb_text_over(output, OUTPUT);
	if (survey(q, r, &t, e) != 0)
		return -1;
	if (nb_write_all(STDOUT_FILENO, t.at, t.used) != 0)
		return nb_fail(e, NB_HOST, errno, "doctor: standard output");
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
