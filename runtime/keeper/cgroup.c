/* SPDX-License-Identifier: Apache-2.0 */
/* Making the box's cgroups and setting their limits (cgroup-v1/memory.rst, cgroup-v2.rst of the kernel). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(const nb_cgroup *g, const char *name, char out[static NB_CGROUP_PATH], nb_error *e)
{
	nb_text t = nb_text_over(out, NB_CGROUP_PATH);
	nb_text_addf(&t, "%s/%s", g->dir, name);
	return t.full ? nb_fail(e, NB_HOST, ENAMETOOLONG, "cannot name a file in the cgroup %s", g->dir) : 0;
}

/* All that is in our cgroup into its child, ourselves among them; some may be born meanwhile, so until none is left. */
static int move_all(const nb_cgroup *own, nb_error *e)
{
	enum { TRIES = 10000 };
	char procs[NB_CGROUP_PATH], into[NB_CGROUP_PATH], list[1024];
	if (path_of(own, "cgroup.procs", procs, e) != 0 || path_of(own, "keeper/cgroup.procs", into, e) != 0)
		return -1;
	if (nb_write_file(AT_FDCWD, into, "0") != 0)
		return nb_fail(e, NB_HOST, errno, "cannot move into the cgroup %s/keeper", own->dir);
	for (int tries = 0; tries < TRIES; tries++) {
		ssize_t n = nb_cgroup_piece(procs, list, sizeof(list));
		if (n <= 0)
			return n == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot read %s", procs);
		for (char *p = list, *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
			*end = '\0';
			if (nb_write_file(AT_FDCWD, into, p) != 0 && errno != ESRCH)
				return nb_fail(e, NB_HOST, errno, "cannot move process %s into the cgroup %s/keeper", p,
					       own->dir);
		}
	}
	return nb_fail(e, NB_HOST, 0, "processes are born in %s faster than they can be moved", own->dir);
}

int nb_keep_cgroup_leave(nb_keeper *k, const nb_row *row, nb_error *e)
{
	nb_cgroup own = { 0 };
	char path[NB_CGROUP_PATH];
	(void)k;
	nb_text t = nb_text_over(own.dir, sizeof(own.dir));
	nb_text_add(&t, nb_plan_text(k->plan, row->a));
	if (path_of(&own, "keeper", path, e) != 0)
		return -1;
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return nb_fail(e, NB_HOST, errno, "cannot make the cgroup %s", path);
	if (move_all(&own, e) != 0 || path_of(&own, "cgroup.subtree_control", path, e) != 0)
		return -1;
	for (unsigned c = 0; c < NB_CONTROLLERS; c++) {
		char word[16];
		snprintf(word, sizeof(word), "+%s", nb_controller_names[c]);
		if (k->plan->host->cgroup.dir[c][0] != '\0' && nb_write_file(AT_FDCWD, path, word) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot hand the %s controller down in %s",
				       nb_controller_names[c], own.dir);
	}
	/* For io.stat, and for io.max where a plan has it, which then says so. */
	if (k->plan->host->cgroup.io[0] != '\0')
		nb_write_file(AT_FDCWD, path, "+io");
	return 0;
}

/* Is the directory that we have locked still the one that has the name? */
static bool is_there(const nb_cgroup *g)
{
	struct stat named, locked;
	return stat(g->dir, &named) == 0 && fstat(g->lock, &locked) == 0 && named.st_ino == locked.st_ino;
}

/* The directory, locked. Between mkdir and lock a sweeping start may take it away again: then once more. */
static int make_locked(nb_cgroup *g, nb_error *e)
{
	for (int tries = 0; tries < 64; tries++) {
		if (mkdir(g->dir, 0755) != 0 && errno != EEXIST)
			break;
		g->lock = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (g->lock >= 0 && flock(g->lock, LOCK_EX) == 0 && is_there(g))
			return 0;
		nb_fd_closep(&g->lock);
		g->lock = -1;
	}
	return nb_fail(e, NB_HOST, errno, "cannot make the cgroup %s", g->dir);
}

static int open_entry(nb_cgroup *g, nb_error *e)
{
	char path[NB_CGROUP_PATH];
	bool v2 = g->controller == NB_CONTROLLERS;
	const char *name = v2 ? (g->below ? "payload" : ".") : g->below ? "payload/tasks" : "tasks";
	if (path_of(g, name, path, e) != 0)
		return -1;
	g->entry = open(path, v2 ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_WRONLY | O_CLOEXEC);
	return g->entry >= 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot open %s", path);
}

int nb_keep_cgroup_make(nb_keeper *k, const nb_row *row, nb_error *e)
{
	nb_cgroup *g = &k->cgroups[k->cgroup_count];
	char path[NB_CGROUP_PATH];
	*g = (nb_cgroup){ .controller = (uint32_t)row->n,
			  .below = row->m != NB_SEAT_HERE,
			  .own = row->m == NB_SEAT_OWN,
			  .lock = -1,
			  .entry = -1 };
	nb_text t = nb_text_over(g->dir, sizeof(g->dir));
	nb_text_addf(&t, "%s/nestbox-%s", nb_plan_text(k->plan, row->a), k->life.id);
	if (t.full)
		return nb_fail(e, NB_HOST, ENAMETOOLONG, "cannot make a cgroup in %s", nb_plan_text(k->plan, row->a));
	k->cgroup_count++; /* before the deed: whatever was begun is removed */
	if (make_locked(g, e) != 0)
		return -1;
	if (g->below &&
	    (path_of(g, "payload", path, e) != 0 ||
	     (mkdir(path, 0755) != 0 && nb_fail(e, NB_HOST, errno, "cannot make the cgroup %s", path) != 0)))
		return -1;
	if (g->own && nb_cgroup_make_own(k, g, e) != 0)
		return -1;
	return open_entry(g, e);
}

static uint64_t microseconds(const char *dir, const char *name)
{
	char path[NB_CGROUP_PATH + 32], text[32];
	uint64_t v;
	nb_error ignored;
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/%s", dir, name);
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return nb_parse_u64(text, UINT32_MAX, &v, &ignored) == 0 ? v : 0;
}

/* v1 refuses a quota above that of a directory further up (sched-bwc.rst), where v2 lets the lower hold: so this is all
 * that a container whose engine gave it fewer CPUs than its slots claim can have. False: none above has one. */
static bool quota_above(const nb_cgroup *g, char out[static NB_LIFE_LIMIT_TEXT])
{
	uint64_t least = UINT64_MAX;
	char at[NB_CGROUP_PATH];
	memcpy(at, g->dir, sizeof(at));
	for (char *slash; (slash = strrchr(at, '/')) != NULL && slash != at;) {
		*slash = '\0';
		uint64_t quota = microseconds(at, "cpu.cfs_quota_us"), period = microseconds(at, "cpu.cfs_period_us");
		if (quota != 0 && period != 0 && quota * 100000 / period < least)
			least = quota * 100000 / period;
	}
	snprintf(out, NB_LIFE_LIMIT_TEXT, "%llu", (unsigned long long)least);
	return least != UINT64_MAX;
}

static bool write_limit(const nb_cgroup *g, int fd, const char *name, const char **value,
			char least[static NB_LIFE_LIMIT_TEXT])
{
	if (write(fd, *value, strlen(*value)) >= 0)
		return true;
	if (errno != EINVAL || !nb_streq(name, "cpu.cfs_quota_us") || !quota_above(g, least))
		return false;
	*value = least;
	return write(fd, least, strlen(least)) >= 0;
}

int nb_keep_cgroup_limit(nb_keeper *k, const nb_row *row, nb_error *e)
{
	const nb_cgroup *g = &k->cgroups[row->n];
	const char *name = nb_plan_text(k->plan, row->a), *value = nb_plan_text(k->plan, row->b);
	char got[NB_LIFE_LIMIT_TEXT], least[NB_LIFE_LIMIT_TEXT];
	NB_OWN_FD int fd = openat(g->lock, name, O_RDWR | O_CLOEXEC);
	bool may_miss = (row->flags & NB_ROW_REQUIRED) == 0;
	if (fd < 0 && errno == ENOENT && may_miss)
		return 0;
	if (fd < 0 || !write_limit(g, fd, name, &value, least))
		return may_miss ? 0 : nb_fail(e, NB_HOST, errno, "cannot write %s to %s/%s", value, g->dir, name);
	ssize_t n = pread(fd, got, sizeof(got) - 1, 0);
	got[n > 0 ? n : 0] = '\0';
	got[strcspn(got, "\n")] = '\0';
	if (!nb_streq(value, got) && !may_miss)
		return nb_fail(e, NB_HOST, 0, "the limit %s of %s/%s is not in force: the kernel says '%s'", value,
			       g->dir, name, got);
	nb_life_limit(&k->life, name, got);
	return 0;
}
