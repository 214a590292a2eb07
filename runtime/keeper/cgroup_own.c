/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the cgroup tree that the payload may divide (plan/delegate.c has its shape; cgroup-v2.rst, "Delegation":
 * the files named here and no others, so that limits above stay the keeper's). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const v2_files[] = { ".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads" };
static const char *const v1_files[] = { ".", "cgroup.procs", "tasks" };

/* Is a controller one that payloads divide? Others stay with the worker. */
static bool is_shared_out(const char *name, size_t n)
{
	static const char *const names[] = { "cpu", "cpuset", "io", "memory", "pids" };
	for (size_t i = 0; i < NB_COUNT(names); i++)
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return true;
	return false;
}

/* What a cgroup may use, to its children. `handed` gets the names, with commas. */
static int hand_down(int dir, const char *path, nb_text *handed, nb_error *e)
{
	char available[512];
	if (nb_read_file(dir, "cgroup.controllers", available, sizeof(available)) < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read %s/cgroup.controllers", path);
	for (const char *p = available; *p != '\0';) {
		size_t n = strcspn(p, " \n");
		char word[32];
		snprintf(word, sizeof(word), "+%.*s", (int)n, p);
		if (is_shared_out(p, n)) {
			if (nb_write_file(dir, "cgroup.subtree_control", word) != 0)
				return nb_fail(e, NB_HOST, errno, "cannot hand the %s controller down in %s", word + 1,
					       path);
			nb_text_addf(handed, "%s%s", handed->used ? "," : "", word + 1);
		}
		p += n + strspn(p + n, " \n");
	}
	return 0;
}

/* v2: init sits in `payload` while the namespace is made, and goes on into payload/main before `payload` hands anything
 * down. The file is opened here: the kernel asks whether the opener may move a process there. */
static int make_main(nb_keeper *k, nb_cgroup *g, nb_error *e)
{
	nb_text handed = nb_text_over(k->life.delegated, sizeof(k->life.delegated));
	if (hand_down(g->lock, g->dir, &handed, e) != 0)
		return -1;
	if (mkdirat(g->lock, "payload/main", 0755) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make the cgroup %s/main", g->own_dir);
	k->box.main = openat(g->lock, "payload/main/cgroup.procs", O_WRONLY | O_CLOEXEC);
	return k->box.main >= 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot open %s/main/cgroup.procs", g->own_dir);
}

int nb_cgroup_make_own(nb_keeper *k, nb_cgroup *g, nb_error *e)
{
	nb_text t = nb_text_over(g->own_dir, sizeof(g->own_dir));
	nb_text_addf(&t, "%s/payload", g->dir);
	if (t.full)
		return nb_fail(e, NB_HOST, ENAMETOOLONG, "cannot name a directory in the cgroup %s", g->dir);
	k->box.shows[g - k->cgroups] = g->own_dir;
	if (g->controller == NB_CONTROLLERS)
		return make_main(k, g, e);
	char *list = k->life.delegated;
	size_t used = strlen(list);
	snprintf(list + used, sizeof(k->life.delegated) - used, "%s%s", used ? "," : "",
		 nb_controller_names[g->controller]);
	return 0;
}

static int give(int dir, const char *path, const char *const *files, size_t n, const nb_row *to, nb_error *e)
{
	for (size_t i = 0; i < n; i++)
		if (fchownat(dir, files[i], (uid_t)to->n, (gid_t)to->m, 0) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot hand %s/%s to uid %u", path, files[i],
				       (unsigned)to->n);
	return 0;
}

static int hand_over(const nb_cgroup *g, const nb_row *row, nb_error *e)
{
	char ignored[64];
	nb_text names = nb_text_over(ignored, sizeof(ignored));
	bool v2 = g->controller == NB_CONTROLLERS;
	NB_OWN_FD int own = openat(g->lock, "payload", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	NB_OWN_FD int main = v2 ? openat(g->lock, "payload/main", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (own < 0 || (v2 && main < 0))
		return nb_fail(e, NB_HOST, errno, "cannot open %s", g->own_dir);
	if (!v2)
		return give(own, g->own_dir, v1_files, NB_COUNT(v1_files), row, e);
	if (hand_down(own, g->own_dir, &names, e) != 0)
		return -1;
	if (give(own, g->own_dir, v2_files, NB_COUNT(v2_files), row, e) != 0)
		return -1;
	return give(main, g->own_dir, v2_files, NB_COUNT(v2_files), row, e);
}

int nb_keep_cgroup_hand(nb_keeper *k, const nb_row *row, nb_error *e)
{
	for (uint32_t i = 0; i < k->cgroup_count; i++)
		if (k->cgroups[i].own && hand_over(&k->cgroups[i], row, e) != 0)
			return -1;
	return 0;
}
