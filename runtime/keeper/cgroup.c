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
	if (path_of(&own, "keeper/cgroup.procs", path, e) != 0)
		return -1;
	if (nb_write_file(AT_FDCWD, path, "0") != 0)
		return nb_fail(e, NB_HOST, errno, "cannot move into the cgroup %s/keeper", own.dir);
	if (path_of(&own, "cgroup.subtree_control", path, e) != 0)
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

int nb_keep_cgroup_limit(nb_keeper *k, const nb_row *row, nb_error *e)
{
	const nb_cgroup *g = &k->cgroups[row->n];
	const char *name = nb_plan_text(k->plan, row->a), *value = nb_plan_text(k->plan, row->b);
	char got[NB_LIFE_LIMIT_TEXT];
	NB_OWN_FD int fd = openat(g->lock, name, O_RDWR | O_CLOEXEC);
	bool may_miss = (row->flags & NB_ROW_REQUIRED) == 0;
	if (fd < 0 && errno == ENOENT && may_miss)
		return 0;
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
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
