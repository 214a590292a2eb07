/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log and the vault agent's socket under names that the plan can't know. The plan hides their directories by name
 * (plan/guard.c); a symbolic link or a second mount gives a directory on the way to them another one. Such a source is
 * refused: directories are compared by device and inode, up to the root.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct looked {
	int fd;             /* what is mounted, O_PATH */
	const char *source; /* its name */
	struct stat st;
	bool is_image;
} looked;

/* The first of `path` and the directories above it that is that very inode: cut there. */
static bool meets(char *path, const struct stat *st)
{
	struct stat other;
	for (char *slash = path + strlen(path); slash != NULL; slash = strrchr(path, '/')) {
		*slash = '\0';
		const char *at = path[0] != '\0' ? path : "/";
		if (stat(at, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* The name without symbolic links of what is open. */
static bool real_name(int fd, char out[static NB_FACT_PATH])
{
	char link[40];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, out, NB_FACT_PATH - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 && n < NB_FACT_PATH - 1 && out[0] == '/';
}

static int is_alias(const looked *l, const char *at, const char *what, nb_error *e)
{
	return nb_fail(e, NB_POLICY, 0,
		       "%s is %s under another name, and leads to %s, which can't be hidden there: leave it out, or "
		       "write %s",
		       l->source, at, what, at);
}

static int not_the_vault(const nb_made *m, const looked *l, nb_error *e)
{
	char path[NB_FACT_PATH];
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_add(&t, nb_policy_text(m->plan->policy, m->plan->policy->vault.socket));
	if (path[0] == '\0' || !meets(path, &l->st))
		return 0;
	const char *at = path[0] != '\0' ? path : "/",
		   *socket = nb_policy_text(m->plan->policy, m->plan->policy->vault.socket);
	/* Nothing can be hidden in an image that is the socket's directory itself. */
	bool covers = !l->is_image || strlen(at) < (size_t)(nb_basename(socket) - socket) - 1;
	return covers && nb_streq(at, l->source) ? 0 : is_alias(l, at, "the vault agent's socket", e);
}

/* Part of the log is mounted: the plan hides all of it, if it knows. */
static int not_inside(const looked *l, const char *dir, const struct stat *log, nb_error *e)
{
	char path[NB_FACT_PATH];
	bool known = nb_path_below(l->source, dir) && !l->is_image;
	if (known || !real_name(l->fd, path) || !meets(path, log))
		return 0;
	return nb_fail(e, NB_POLICY, 0,
		       "%s lies in the audit log's directory %s, which no payload may see: leave it out", l->source,
		       dir);
}

static int not_the_log(const looked *l, const char *dir, nb_error *e)
{
	char path[NB_FACT_PATH];
	struct stat log;
	NB_OWN_FD int fd = dir[0] != '\0' ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0; /* no log can be there */
	if (fstat(fd, &log) != 0 || !real_name(fd, path))
		return nb_fail(e, NB_HOST, errno, "cannot look at the audit log's directory %s", dir);
	/* Without links on the way to the log, what is mounted and above it by name is above it in truth. */
	bool known = nb_path_below(dir, l->source) && nb_streq(path, dir);
	if (not_inside(l, dir, &log, e) != 0)
		return -1;
	return known || !meets(path, &l->st) ? 0 : is_alias(l, path[0] != '\0' ? path : "/", "the audit log", e);
}

/* The worker's own files for every box, and the directory that HTCondor gave the job, hold no log. */
static bool may_show_logs(const nb_made *m, const nb_row *row)
{
	bool asked = (row->flags & (NB_ROW_SITE | NB_ROW_REQUIRED)) != 0;
	return asked && ((row->flags & NB_ROW_OWN_DIR) == 0 || m->plan->request->verb != NB_VERB_WRAP);
}

int nb_guard(const nb_made *m, const nb_row *row, int from, const char *source, nb_error *e)
{
	const nb_policy *policy = m->plan->policy;
	looked l = { .fd = from, .source = source, .is_image = row->step == NB_STEP_ROOT };
	if (policy->vault.socket == 0 && !may_show_logs(m, row))
		return 0;
	if (fstat(from, &l.st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot look at %s", source);
	if (not_the_vault(m, &l, e) != 0)
		return -1;
	if (!may_show_logs(m, row))
		return 0;
	for (uint32_t i = 0; i < policy->sinks.count; i++) {
		const nb_policy_sink *s = NB_POLICY_AT(policy, sinks, i, nb_policy_sink);
		if (s->type == NB_SINK_FILE && not_the_log(&l, nb_policy_text(policy, s->path), e) != 0)
			return -1;
	}
	return not_the_log(&l, m->plan->host->own_log, e);
}
