/* SPDX-License-Identifier: Apache-2.0 */
/* The payload's own steps, from its birth to its exec. It shares pid 1's memory until then (vfork), so it writes
 * nothing but the place where a failure goes. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2) /* linux/close_range.h, Linux 5.11 */
#endif

typedef struct birth {
	const nb_box *box;
	nb_error *error; /* class NB_NONE: the exec succeeded */
} birth;

typedef int payload_doer(const nb_box *b, const nb_row *row, nb_error *e);

static int new_session(const nb_box *b, const nb_row *row, nb_error *e)
{
	(void)row;
	if (setsid() < 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a session for the payload");
	if (b->has_terminal && ioctl(b->stdio[0], TIOCSCTTY, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot give the payload its terminal");
	return 0;
}

/* First out of the way of 0, 1 and 2, which they may be themselves. */
static int take_stdio(const nb_box *b, nb_error *e)
{
	int high[3];
	for (int i = 0; i < 3; i++) {
		high[i] = b->stdio[i] < 0 ? -1 : fcntl(b->stdio[i], F_DUPFD_CLOEXEC, 3);
		if (b->stdio[i] >= 0 && high[i] < 0)
			return nb_fail(e, NB_HOST, errno, "cannot give the payload its descriptor %d", i);
	}
	for (int i = 0; i < 3; i++)
		if (high[i] >= 0 && dup2(high[i], i) != i)
			return nb_fail(e, NB_HOST, errno, "cannot give the payload its descriptor %d", i);
	return 0;
}

static int restore_signals(const nb_box *b, const nb_row *row, nb_error *e)
{
	(void)row;
	(void)e;
	if (b->caller_ignored_child)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &b->caller_mask, NULL);
	return 0;
}

static int close_descriptors(const nb_box *b, const nb_row *row, nb_error *e)
{
	/* A command that joins has still to say why it could not be executed. */
	unsigned how = b->joined ? CLOSE_RANGE_CLOEXEC : 0;
	(void)row;
	return nb_sys_close_range(3, ~0u, how) == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot close descriptors");
}

static int enter_workdir(const nb_box *b, const nb_row *row, nb_error *e)
{
	bool given = b->pwd != NULL && b->pwd[0] != '\0';
	const char *dir = given ? b->pwd : nb_plan_text(b->plan, row->a);
	char seen[PATH_MAX];
	/* getcwd(2): a directory outside the root is "(unreachable)". */
	if (chdir(dir) == 0 && getcwd(seen, sizeof(seen)) != NULL && seen[0] == '/')
		return 0;
	int err = errno;
	if ((row->flags & NB_ROW_REQUIRED) == 0 && !given)
		return chdir("/") == 0 ? 0
				       : nb_fail(e, NB_REQUEST, errno,
						 "cannot enter the root directory of the image as the payload's user: "
						 "whoever owns the image must let others search it");
	return nb_fail(e, NB_REQUEST, err,
		       "cannot change to the working directory %s: it is not visible in the box, so the policy must "
		       "mount it (mounts) or "
		       "the job must use file transfer",
		       dir);
}

/* execve(2) says ENOENT of a script whose interpreter is missing, and EACCES of a directory. */
static const char *why_not(const char *command, int err)
{
	struct stat st;
	bool there = strchr(command, '/') != NULL && stat(command, &st) == 0;
	if (err == ENOENT && there)
		return ", whose interpreter (its first line, #!) or loader is not in the box: the user must correct it";
	if (err == ENOEXEC)
		return ", which is neither a program of this machine nor begins with #!: the user must correct it";
	if (err == EACCES && there && S_ISDIR(st.st_mode))
		return ", which is a directory: the user must name a program";
	if (err == EACCES && there && (st.st_mode & 0111) == 0)
		return ", which is not marked executable: the user must chmod +x it";
	return "";
}

static int exec_failure(const char *command, int err, nb_error *e)
{
	nb_fail(e, NB_REQUEST, err, "cannot execute %s%s", command, why_not(command, err));
	e->status = err == ENOENT || err == ENOTDIR ? NB_EXIT_NOTFOUND : NB_EXIT_NOEXEC;
	return -1;
}

/* execve(2) takes char *const[] for C's history; it changes nothing. */
static void exec_at(const char *path, const nb_box *b)
{
	char **argv, **env;
	memcpy(&argv, &b->argv, sizeof(argv));
	memcpy(&env, &b->env, sizeof(env));
	execve(path, argv, env);
}

const char *nb_search_path(char *const *env)
{
	const char *list = nb_env_get(env, "PATH");
	return list != NULL && list[0] != '\0' ? list : "/usr/local/bin:/usr/bin:/bin";
}

/* As execvp(3), over the payload's own PATH, without its fallback to a shell. */
static int exec_by_name(const nb_box *b, const char *name, nb_error *e)
{
	char path[PATH_MAX];
	char *const *env;
	memcpy(&env, &b->env, sizeof(env));
	int err = ENOENT;
	for (const char *p = nb_search_path(env);;) {
		size_t n = strcspn(p, ":");
		nb_text t = nb_text_over(path, sizeof(path));
		nb_text_add_bytes(&t, n ? p : ".", n ? n : 1);
		nb_text_addf(&t, "/%s", name);
		if (!t.full)
			exec_at(path, b);
		if (errno != ENOENT && errno != ENOTDIR)
			err = errno;
		if (p[n] == '\0')
			return exec_failure(name, err, e);
		p += n + 1;
	}
}

/* What can't be read can't be hashed, and is not executed. */
static int execute_hashed(const nb_box *b, const char *command, nb_error *e)
{
	const nb_hashed *h = b->hashed;
	if (h->err != 0)
		return exec_failure(command, h->err, e);
	if (!nb_hashed_is(h))
		return nb_fail(
			e, NB_HOST, 0,
			"%.200s was changed or exchanged after its SHA-256 was taken: the user must not write to "
			"an executable that is being started",
			h->path);
	exec_at(h->path, b);
	return exec_failure(command, errno, e);
}

static int execute(const nb_box *b, const nb_row *row, nb_error *e)
{
	const char *command = b->argv[0];
	(void)row;
	if (b->hashed != NULL)
		return execute_hashed(b, command, e);
	if (strchr(command, '/') == NULL && (b->joined || b->plan->request->verb != NB_VERB_WRAP))
		return exec_by_name(b, command, e);
	exec_at(command, b);
	int err = errno;
	exec_failure(command, err, e);
	bool no_runscript = err == ENOENT && !b->joined && b->plan->request->verb == NB_VERB_RUN;
	return no_runscript ? nb_fail_add(e, "; 'nestbox exec IMAGE COMMAND' runs an image without a runscript") : -1;
}

static payload_doer *const doers[NB_STEPS] = {
	[NB_STEP_SESSION] = new_session,   [NB_STEP_SIGNALS] = restore_signals,
	[NB_STEP_FDS] = close_descriptors, [NB_STEP_WORKDIR] = enter_workdir,
	[NB_STEP_EXEC] = execute,
};

void nb_payload_be(const nb_box *b, nb_error *e)
{
	const nb_plan *p = b->plan;
	if (!p->has_pid_namespace)
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	umask(b->caller_umask);
	if (take_stdio(b, e) != 0)
		return;
	for (uint32_t i = 0; i < p->count; i++)
		if (nb_step_info_of(p->rows[i].step)->process == NB_PAYLOAD &&
		    doers[p->rows[i].step](b, &p->rows[i], e) != 0) {
			nb_fail_source(e, nb_plan_text(p, p->rows[i].why));
			return;
		}
}

static int first_instruction(void *argument)
{
	const birth *born = argument;
	nb_payload_be(born->box, born->error);
	_exit(NB_EXIT_FAILURE);
}

pid_t nb_payload_start(nb_made *m, nb_error *e)
{
	enum { STACK = 65536 };
	e->class = NB_NONE;
	birth born = { .box = m->box, .error = e };
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for the payload's birth");
	pid_t pid = clone(first_instruction, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &born);
	int err = errno;
	munmap(stack, STACK);
	if (pid < 0)
		return nb_fail(e, NB_HOST, err, "cannot start the payload's process");
	return e->class == NB_NONE ? pid : -1;
}
