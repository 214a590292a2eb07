/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where this process may make cgroups below its own.
 *
 * v2 (HTCondor proc_family_direct_cgroup_v2.cpp): up to 24.7 the job sits in the delegated leaf itself, from 24.8 in a
 * scope below the delegated slice: so the own cgroup where it is writable, else its parent. v1
 * (proc_family_direct_cgroup_v1.cpp): the directory is the job's. Without HTCondor's help: a directory nestbox/UID that
 * the worker's start-up delegated (nestbox delegate), found in the own cgroup or above it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cgroup_paths.h"

static void say(nb_cgroup_facts *c, const char *why_not)
{
	nb_text t = nb_text_over(c->why_not, sizeof(c->why_not));
	nb_text_add(&t, why_not);
}

/* nestbox/UID or, for one of this process' groups, nestbox/gGID, delegated at the worker's start (delegate.h), in the
 * own cgroup or above it. */
static bool find_delegated(const char *mount, const char *own, uid_t uid, char out[NB_FACT_PATH])
{
	char below[32];
	int n = getgroups(0, NULL);
	NB_OWN_MEM gid_t *groups = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof(*groups));
	nb_text t = nb_text_over(below, sizeof(below));
	nb_text_addf(&t, "nestbox/%u", (unsigned)uid);
	if (nb_cgroup_find_up(mount, own, below, nb_cgroup_writable, out))
		return true;
	if (groups == NULL)
		return false;
	n = n > 0 ? getgroups(n, groups) : 0;
	n = n < 0 ? 0 : n;
	groups[n++] = getegid();
	for (int i = 0; i < n; i++) {
		t = nb_text_over(below, sizeof(below));
		nb_text_addf(&t, "nestbox/g%u", (unsigned)groups[i]);
		if (nb_cgroup_find_up(mount, own, below, nb_cgroup_writable, out))
			return true;
	}
	return false;
}

/* False: this process' cgroup is not to be seen. */
static bool v1_controller(nb_cgroup_facts *c, nb_controller k, const nb_cgroup_line *l, uid_t uid)
{
	char mount[NB_FACT_PATH], own[NB_FACT_PATH];
	nb_text t = nb_text_over(mount, sizeof(mount));
	nb_text_addf(&t, NB_CGROUP_ROOT "/%s", l->controllers);
	if (t.full || !nb_cgroup_find_own(mount, l->path, getpid(), own))
		return false;
	if (k == NB_CTRL_MEMORY)
		memcpy(c->own, l->path, strlen(l->path) < sizeof(c->own) ? strlen(l->path) + 1 : 0);
	if (nb_cgroup_writable(own))
		memcpy(c->dir[k], own, strlen(own) + 1);
	else if (!find_delegated(mount, own, uid, c->dir[k]))
		c->dir[k][0] = '\0';
	return true;
}

static void v1(nb_cgroup_facts *c, char *text, uid_t uid)
{
	nb_cgroup_line l;
	bool any = false, seen = false;
	c->layout = NB_CGROUP_V1;
	while (nb_cgroup_next_line(&text, &l))
		for (unsigned k = 0; k < NB_CONTROLLERS; k++)
			if (nb_cgroup_line_has(&l, nb_controller_names[k]))
				seen = v1_controller(c, (nb_controller)k, &l, uid) || seen;
	for (unsigned k = 0; k < NB_CONTROLLERS; k++)
		any = any || c->dir[k][0] != '\0';
	if (!any && !seen)
		say(c, "this process' cgroups are not visible below " NB_CGROUP_ROOT
		       ": mount those of the worker container there");
	else if (!any)
		say(c, "no cgroup v1 directory is writable for this user: run 'nestbox delegate' at the container's "
		       "start");
}

/* Has this cgroup no process but us, or does it already hand controllers down (then it has none by rule)? */
static bool can_be_left(const char *dir, const char *controllers)
{
	char path[NB_FACT_PATH + 32], pids[256];
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/cgroup.procs", dir);
	if (controllers[0] != '\0' && controllers[0] != '\n')
		return true;
	ssize_t n = nb_read_file(AT_FDCWD, path, pids, sizeof(pids));
	return n > 0 && strchr(pids, '\n') == pids + n - 1;
}

static ssize_t attribute(const char *dir, const char *name, char *out, size_t size)
{
	char path[NB_FACT_PATH + 32];
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/%s", dir, name);
	ssize_t n = nb_read_file(AT_FDCWD, path, out, size);
	if (n < 0)
		out[0] = '\0';
	return n;
}

static void v2_use(nb_cgroup_facts *c, const char *dir, const char *controllers)
{
	for (unsigned k = 0; k < NB_CONTROLLERS; k++)
		if (nb_cgroup_has_word(controllers, nb_controller_names[k]))
			memcpy(c->dir[k], dir, strlen(dir) + 1);
	if (nb_cgroup_has_word(controllers, "io"))
		memcpy(c->io, dir, strlen(dir) + 1);
}

/* Handed to this ordinary user, and with processes beside ours: those of a job whose wrapper starts us and stays. What
 * is root's own may be a whole container's, which only nestbox delegate empties. */
static bool v2_is_jobs(const char *dir, const char *handed, uid_t uid)
{
	struct stat st;
	return uid != 0 && (handed[0] == '\0' || handed[0] == '\n') && stat(dir, &st) == 0 && st.st_uid == uid;
}

static bool v2_writable(const char *dir)
{
	char path[NB_FACT_PATH + 32];
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/cgroup.procs", dir);
	return nb_cgroup_writable(dir) && access(path, W_OK) == 0;
}

static void v2(nb_cgroup_facts *c, const char *mount, const char *path, uid_t uid)
{
	char own[NB_FACT_PATH], delegated[NB_FACT_PATH], handed[256], available[256];
	c->layout = NB_CGROUP_V2;
	memcpy(c->own, path, strlen(path) < sizeof(c->own) ? strlen(path) + 1 : 0);
	if (!nb_cgroup_find_own(mount, path, getpid(), own)) {
		say(c, "this process' cgroup is not visible below " NB_CGROUP_ROOT
		       ": mount cgroup2 in the worker container");
		return;
	}
	attribute(own, "cgroup.subtree_control", handed, sizeof(handed));
	attribute(own, "cgroup.controllers", available, sizeof(available));
	if (v2_writable(own) && can_be_left(own, handed)) {
		c->vacate = handed[0] == '\0' || handed[0] == '\n';
		v2_use(c, own, c->vacate ? available : handed);
		return;
	}
	bool is_jobs = v2_writable(own) && v2_is_jobs(own, handed, uid);
	char *slash = strrchr(own, '/'), up[NB_FACT_PATH];
	memcpy(up, own, sizeof(up));
	if (strlen(own) > strlen(mount) && slash != NULL) {
		up[slash - own] = '\0';
		attribute(up, "cgroup.subtree_control", handed, sizeof(handed));
		if (v2_writable(up) && handed[0] != '\0') {
			v2_use(c, up, handed);
			return;
		}
	}
	if (find_delegated(mount, own, uid, delegated)) {
		attribute(delegated, "cgroup.subtree_control", handed, sizeof(handed));
		v2_use(c, delegated, handed);
		return;
	}
	if (is_jobs) {
		c->vacate = 1;
		v2_use(c, own, available);
		return;
	}
	say(c, "no cgroup is writable for this user: run 'nestbox delegate' at the container's start, or let HTCondor "
	       "delegate");
}

void nb_cgroup_survey(uid_t uid, nb_cgroup_facts *ret_c)
{
	char text[8192];
	struct statfs fs;
	memset(ret_c, 0, sizeof(*ret_c));
	if (nb_read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) <= 0 || statfs(NB_CGROUP_ROOT, &fs) != 0) {
		say(ret_c, "there is no cgroup file system on " NB_CGROUP_ROOT);
		return;
	}
	if ((uint32_t)fs.f_type != CGROUP2_SUPER_MAGIC) {
		v1(ret_c, text, uid);
		return;
	}
	char *at = text;
	nb_cgroup_line l;
	while (nb_cgroup_next_line(&at, &l))
		if (l.controllers[0] == '\0') {
			v2(ret_c, NB_CGROUP_ROOT, l.path, uid);
			return;
		}
	say(ret_c, "/proc/self/cgroup has no cgroup2 line");
}
