/* SPDX-License-Identifier: Apache-2.0 */
/* exec, shell, run and wrap: request, policy, facts, plan; then explain or run. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "condor/condor.h"
#include "host/host.h"
#include "keeper/keeper.h"
#include "plan/plan.h"
#include "policy/policy.h"
#include "request/request.h"

int nb_command_clean_descriptors(int keep, nb_error *e)
{
	struct stat st;
	for (int fd = 0; fd <= 2; fd++) {
		if (fstat(fd, &st) != 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
			return nb_fail(e, NB_HOST, errno, "descriptor %d is closed and /dev/null can't be opened", fd);
		if (fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)))
			return nb_fail(e, NB_REQUEST, 0,
				       "descriptor %d is a %s, which would let the payload out of its box: the caller "
				       "must not pass it",
				       fd, S_ISDIR(st.st_mode) ? "directory" : "block device");
	}
	if (keep > 3)
		nb_sys_close_range(3, (unsigned)keep - 1, 0);
	if (nb_sys_close_range(keep > 2 ? (unsigned)keep + 1 : 3, ~0u, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot close descriptors (close_range, Linux 5.9)");
	if (keep > 2 && fcntl(keep, F_SETFD, FD_CLOEXEC) != 0)
		return nb_fail(e, NB_REQUEST, errno, "option --status-fd: descriptor %d", keep);
	return 0;
}

/* All that a launch knows before it begins. Lives until exit: the plan leads into it. */
typedef struct launch {
	nb_request request;
	nb_host host;
	nb_tree tree;
	char image[4096]; /* request.image: its real path */
	nb_plan plan;
} launch;

/* IMAGE becomes an open directory and its real path; from here on it is judged and used through these. */
static int open_image(launch *l, nb_error *e)
{
	char link[64], *real = l->image;
	nb_request *r = &l->request;
	struct stat st;
	int fd = open(r->image, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return strstr(r->image, "://") != NULL
			       ? nb_fail(e, NB_REQUEST, 0,
					 "the image %s is a reference, not a directory: unpack it first (this nestbox "
					 "runs "
					 "image directories)",
					 r->image)
			       : nb_fail(e, NB_REQUEST, errno, "cannot open the image %s", r->image);
	if (!S_ISDIR(st.st_mode))
		return nb_fail(e, NB_REQUEST, 0,
			       "the image %s is not a directory: unpack it first (this nestbox runs image directories)",
			       r->image);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, real, sizeof(l->image) - 1);
	if (n <= 0 || real[0] != '/')
		return nb_fail(e, NB_REQUEST, errno, "cannot tell the real path of the image %s", r->image);
	real[n] = '\0';
	r->image = real;
	r->image_fd = fd;
	if (!nb_streq(real, "/"))
		return 0;
	/* The root of another mount namespace or of another process is called "/" too. */
	uint64_t root, given;
	if (nb_sys_mount_id(AT_FDCWD, "/", &root) != 0 || nb_sys_mount_id(fd, ".", &given) != 0 || root != given)
		return nb_fail(e, NB_REQUEST, 0,
			       "the image is the root of another process, which has no name here: name the directory "
			       "that it was made from");
	close(fd);
	r->image_fd = -1;
	return 0;
}

static void survey(launch *l)
{
	const nb_request *r = &l->request;
	bool wrapper = r->verb == NB_VERB_WRAP;
	nb_host_survey(wrapper ? NULL : r->env, wrapper ? r->scratch : NULL, &l->host);
}

static int load_policy(launch *l, const nb_policy **ret_policy, nb_error *e)
{
	if (nb_tree_find(&l->tree, e) != 0)
		return -1;
	nb_policy_where where = { .sysconfdir = l->tree.sysconfdir,
				  .libexecdir = l->tree.libexecdir,
				  .owner = l->tree.owner,
				  .caller = getuid(),
				  .given = l->request.policy,
				  .seccomp = l->request.seccomp };
	return nb_policy_load(&where, ret_policy, e);
}

/* A start that gets no keeper: what is known of it goes into the log. */
static void record_refusal(launch *l, const nb_error *why)
{
	nb_error ignored;
	const nb_policy *policy = NULL;
	nb_plan *p = &l->plan;
	if (l->request.explain)
		return;
	load_policy(l, &policy, &ignored);
	survey(l);
	memset(p, 0, sizeof(*p));
	p->request = &l->request;
	p->policy = policy;
	p->host = &l->host;
	p->used = 1;
	nb_keeper_refused(p, why);
}

static int make_plan(launch *l, nb_error *e)
{
	const nb_policy *policy;
	if (load_policy(l, &policy, e) != 0)
		return -1;
	if (l->request.verb == NB_VERB_WRAP && !l->request.explain)
		nb_cgroup_settle();
	survey(l);
	for (size_t i = 1; i < NB_COUNT(policy->proc); i++)
		if (policy->proc[i] == NB_PROC_SHARED)
			l->host.proc_covered = nb_proc_is_covered();
	return nb_plan_make(&l->request, policy, &l->host, &l->plan, e);
}

static void tell_exit(const nb_request *r, const nb_outcome *outcome, const nb_error *e)
{
	char memory[2 * NB_ERROR_TEXT];
	nb_text t = nb_text_over(memory, sizeof(memory));
	if (r->status_fd < 0)
		return;
	if (outcome->ran) {
		bool by_signal = (outcome->status & 0x7f) != 0;
		nb_text_addf(&t, "{\"event\":\"exited\",\"%s\":%d,\"oom\":%s,\"reason\":\"%s\"}\n",
			     by_signal ? "signal" : "exit_code",
			     by_signal ? outcome->status & 0x7f : outcome->status >> 8 & 0xff,
			     outcome->oom ? "true" : "false", outcome->reason);
	} else {
		nb_text_addf(&t, "{\"event\":\"failed\",\"class\":\"%s\",\"exit_code\":%d,\"reason\":",
			     nb_class_name(e->class), e->status);
		nb_text_add_json(&t, e->text, sizeof(e->text));
		nb_text_add(&t, "}\n");
	}
	nb_write_all(r->status_fd, t.at, t.used);
}

/* A limit is the user's to raise, so he hears of it; a stop is news in a batch job alone. */
static void tell_why(const nb_request *r, const nb_outcome *outcome)
{
	nb_error e = { 0 };
	if (outcome->why[0] == '\0' || (outcome->stopped && r->verb != NB_VERB_WRAP))
		return;
	nb_fail(&e, NB_LIMIT, 0, "%s", outcome->why);
	nb_say_error(&e);
}

static void on_failed_write(int number)
{
	(void)number;
}

/* A write that fails is told like other errors: a limit on files (RLIMIT_FSIZE) or a reader who is gone must not end
 * the launcher by a signal, which would pass for the payload's. A handler, since execve(2) takes it away from the
 * payload, as it would not SIG_IGN. */
static void survive_failed_writes(void)
{
	static const int numbers[] = { SIGXFSZ, SIGPIPE };
	const struct sigaction ours = { .sa_handler = on_failed_write, .sa_flags = SA_RESTART };
	struct sigaction now;
	for (size_t i = 0; i < NB_COUNT(numbers); i++)
		if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaction(numbers[i], &ours, NULL);
}

static int explain(const nb_plan *plan, nb_error *e)
{
	int r = plan->request->json ? nb_plan_print_json(plan, STDOUT_FILENO) : nb_plan_print(plan, STDOUT_FILENO);
	return r == 0 ? 0 : nb_fail(e, NB_REQUEST, errno, "cannot write the plan");
}

static int perform(launch *l, nb_outcome *ret_outcome, nb_error *e)
{
	if (nb_command_clean_descriptors(l->request.status_fd, e) != 0 || open_image(l, e) != 0 ||
	    make_plan(l, e) != 0) {
		record_refusal(l, e);
		return -1;
	}
	if (l->request.explain)
		return explain(&l->plan, e);
	return nb_keeper_run(&l->plan, l->tree.libexecdir, ret_outcome, e);
}

static void print_usage(const char *verb)
{
	char memory[4096];
	nb_text t = nb_text_over(memory, sizeof(memory));
	size_t n;
	const nb_option *o = nb_option_table(&n);
	nb_text_addf(&t,
		     "Usage: nestbox %s [OPTIONS] IMAGE %s\n\nIMAGE is a directory with an unpacked image, or / for "
		     "the worker's own tree. "
		     "Everything is read-only\nexcept /tmp, /var/tmp, /dev/shm and what --scratch, --job-dir "
		     "and --bind name.\n\nOptions:\n",
		     verb,
		     nb_streq(verb, "exec")  ? "COMMAND [ARG...]"
		     : nb_streq(verb, "run") ? "[ARG...]"
					     : "");
	for (size_t i = 0; i < n; i++) {
		char left[64];
		snprintf(left, sizeof(left), "%s%c%s --%s%s%s", o[i].letter ? "-" : " ",
			 o[i].letter ? o[i].letter : ' ', o[i].letter ? "," : " ", o[i].name, o[i].value ? " " : "",
			 o[i].value ? o[i].value : "");
		nb_text_addf(&t, "  %-33s %s\n", left, o[i].help);
	}
	nb_text_addf(&t, "\nExit status: the command's own; 125 nestbox could not run it, 126 not executable, 127 not "
			 "found.\n\nExamples:\n"
			 "  $ nestbox exec / id\n  $ nestbox exec --memory 2GiB --cpus 2 /cvmfs/unpacked.cern.ch/img "
			 "python3 job.py\n"
			 "  $ nestbox exec --explain / true\n");
	nb_write_all(STDOUT_FILENO, t.at, t.used);
}

int nb_command_run(int argc, char **argv, char **env)
{
	nb_error e = { 0 };
	nb_outcome outcome = { 0 };
	launch *l = nb_pages(sizeof(*l));
	bool help = false;
	if (l == NULL) {
		nb_fail(&e, NB_HOST, errno, "cannot get memory");
		return nb_say_error(&e);
	}
	nb_request *r = &l->request;
	if (nb_request_parse(argc, argv, env, r, &help, &e) != 0)
		return nb_say_error(&e);
	if (help) {
		print_usage(argv[0]);
		return 0;
	}
	survive_failed_writes();
	if (perform(l, &outcome, &e) != 0) {
		tell_exit(r, &outcome, &e);
		return nb_say_error(&e);
	}
	if (r->explain)
		return 0;
	tell_why(r, &outcome);
	tell_exit(r, &outcome, &e);
	nb_keeper_exit_as(outcome.status);
}

static int wrap(int argc, char **argv, char **env, bool explains, bool json)
{
	nb_error e = { 0 };
	nb_outcome outcome = { 0 };
	launch *l = nb_pages(sizeof(*l));
	if (l == NULL) {
		nb_fail(&e, NB_HOST, errno, "cannot get memory");
		return nb_say_error(&e);
	}
	nb_request *r = &l->request;
	survive_failed_writes();
	bool asked = nb_request_wrap(argc, argv, env, r, &e) == 0;
	r->explain = explains;
	r->json = json;
	if (!asked)
		record_refusal(l, &e);
	if (!asked || perform(l, &outcome, &e) != 0) {
		if (r->error_file != NULL && !explains)
			nb_condor_tell_failure(r->error_file, e.text);
		return nb_say_error(&e);
	}
	if (explains)
		return 0;
	if (r->error_file != NULL)
		nb_condor_clear_failure(r->error_file);
	tell_why(r, &outcome);
	nb_keeper_exit_as(outcome.status);
}

int nb_command_wrap(int argc, char **argv, char **env)
{
	return wrap(argc, argv, env, false, false);
}

int nb_command_explain_wrap(int argc, char **argv, char **env)
{
	nb_error e;
	bool json = argc > 1 && nb_streq(argv[1], "--json");
	int verb = json ? 2 : 1;
	if (argc > verb && nb_streq(argv[verb], "wrap"))
		return wrap(argc - verb, argv + verb, env, true, json);
	nb_fail(&e, NB_REQUEST, 0,
		"'nestbox --explain [--json] wrap COMMAND' explains a wrapped job; with exec, shell and run the option "
		"stands behind the verb");
	return nb_say_error(&e);
}
