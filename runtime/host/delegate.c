/* SPDX-License-Identifier: Apache-2.0 */
#include "delegate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cgroup_paths.h"

static const char *const controllers[] = { "cpu", "memory", "pids", "io" };
static const char *const handed[] = { "", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads" };

static int join(char out[NB_FACT_PATH], const char *dir, const char *name, nb_error *e)
{
	nb_text t = nb_text_over(out, NB_FACT_PATH);
	nb_text_addf(&t, "%s%s", dir, name);
	return t.full ? nb_fail(e, NB_HOST, ENAMETOOLONG, "cannot name %s in %s", name, dir) : 0;
}

static int make_dir(const char *path, nb_error *e)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	return nb_fail(e, NB_HOST, errno, "cannot make %s%s", path,
		       errno == EROFS ? " (mount the cgroup file system read-write: docker -v "
					"/sys/fs/cgroup:/sys/fs/cgroup:rw, podman "
					"--security-opt unmask=/sys/fs/cgroup)"
				      : "");
}

/* One directory of a v1 hierarchy, for one user or group. */
static int hand_v1(const char *own, const char *name, uid_t uid, gid_t gid, mode_t mode, nb_text *report, nb_error *e)
{
	char parent[NB_FACT_PATH], path[NB_FACT_PATH];
	if (join(parent, own, "/nestbox", e) != 0 || join(path, parent, name, e) != 0 || make_dir(parent, e) != 0 ||
	    make_dir(path, e) != 0)
		return -1;
	if (chown(path, uid, gid) != 0 || chmod(path, mode) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot hand %s over", path);
	nb_text_addf(report, "%s\n", path);
	return 0;
}

static int hierarchy_v1(const char *own, const nb_delegate *to, nb_text *report, nb_error *e)
{
	char name[32];
	for (uint32_t i = 0; i < to->user_count; i++) {
		snprintf(name, sizeof(name), "/%u", (unsigned)to->users[i]);
		if (hand_v1(own, name, to->users[i], (gid_t)-1, 0755, report, e) != 0)
			return -1;
	}
	for (uint32_t i = 0; i < to->group_count; i++) {
		snprintf(name, sizeof(name), "/g%u", (unsigned)to->groups[i]);
		if (hand_v1(own, name, 0, to->groups[i], 0770, report, e) != 0)
			return -1;
	}
	return 0;
}

static bool is_wanted_v1(const nb_cgroup_line *l)
{
	static const char *const wanted[] = { "cpu", "cpuacct", "memory", "pids", "freezer" };
	for (size_t i = 0; i < NB_COUNT(wanted); i++)
		if (nb_cgroup_line_has(l, wanted[i]))
			return true;
	return false;
}

static int delegate_v1(char *text, const nb_delegate *to, nb_text *report, nb_error *e)
{
	nb_cgroup_line l;
	while (nb_cgroup_next_line(&text, &l)) {
		char mount[NB_FACT_PATH], own[NB_FACT_PATH];
		nb_text t = nb_text_over(mount, sizeof(mount));
		nb_text_addf(&t, NB_CGROUP_ROOT "/%s", l.controllers);
		if (!is_wanted_v1(&l) || t.full || !nb_cgroup_find_own(mount, l.path, getpid(), own))
			continue;
		if (hierarchy_v1(own, to, report, e) != 0)
			return -1;
	}
	return report->used > 0 ? 0 : nb_fail(e, NB_HOST, 0, "no cgroup v1 hierarchy is mounted below " NB_CGROUP_ROOT);
}

/* All processes of a cgroup into its child `init`; more may be born meanwhile, so until none is left. */
static int move_aside(const char *own, nb_error *e)
{
	char leaf[NB_FACT_PATH], procs[NB_FACT_PATH], into[NB_FACT_PATH], list[256];
	if (join(leaf, own, "/init", e) != 0 || join(procs, own, "/cgroup.procs", e) != 0 ||
	    join(into, leaf, "/cgroup.procs", e) != 0 || make_dir(leaf, e) != 0)
		return -1;
	for (int tries = 0; tries < 10000; tries++) {
		ssize_t n = nb_cgroup_piece(procs, list, sizeof(list));
		if (n < 0)
			return nb_fail(e, NB_HOST, errno, "cannot read %s", procs);
		if (n == 0)
			return 0;
		for (char *p = list, *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
			*end = '\0';
			if (nb_write_file(AT_FDCWD, into, p) != 0 && errno != ESRCH)
				return nb_fail(e, NB_HOST, errno, "cannot move process %s into %s", p, leaf);
		}
	}
	return nb_fail(e, NB_HOST, 0, "processes are born in %s faster than they can be moved", own);
}

/* The hierarchy's root, of a worker that is no container: it may have processes beside child cgroups, and the kernel's
 * own can't be moved (cgroup-v2.rst, "Core Interface Files": every cgroup but this one has a type). */
static bool is_kernels_root(const char *own)
{
	char path[NB_FACT_PATH];
	nb_error ignored;
	return join(path, own, "/cgroup.type", &ignored) == 0 && access(path, F_OK) != 0;
}

/* What of the controllers there is, to the children. */
static int hand_down(const char *own, nb_error *e)
{
	char path[NB_FACT_PATH], available[512], control[NB_FACT_PATH];
	if (join(path, own, "/cgroup.controllers", e) != 0 || join(control, own, "/cgroup.subtree_control", e) != 0)
		return -1;
	if (nb_read_file(AT_FDCWD, path, available, sizeof(available)) < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read %s", path);
	for (size_t i = 0; i < NB_COUNT(controllers); i++) {
		char word[16];
		snprintf(word, sizeof(word), "+%s", controllers[i]);
		if (nb_cgroup_has_word(available, controllers[i]) && nb_write_file(AT_FDCWD, control, word) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot hand the %s controller down in %s", controllers[i],
				       own);
	}
	return 0;
}

static int hand_v2(const char *dir, const nb_delegate *to, nb_text *report, nb_error *e)
{
	for (size_t i = 0; i < NB_COUNT(handed); i++) {
		char path[NB_FACT_PATH];
		if (join(path, dir, handed[i], e) != 0)
			return -1;
		bool group = to->group_count == 1;
		if (chown(path, group ? (uid_t)-1 : to->users[0], group ? to->groups[0] : (gid_t)-1) != 0 ||
		    (group && chmod(path, i == 0 ? 0775 : 0664) != 0))
			return nb_fail(e, NB_HOST, errno, "cannot hand %s over", path);
	}
	nb_text_addf(report, "%s\n", dir);
	return 0;
}

static int delegate_v2(const char *path, const nb_delegate *to, nb_text *report, nb_error *e)
{
	char own[NB_FACT_PATH], leaf[NB_FACT_PATH];
	if (!nb_cgroup_find_own(NB_CGROUP_ROOT, path, getpid(), own))
		return nb_fail(e, NB_HOST, 0, "this process' cgroup %s is not visible below " NB_CGROUP_ROOT, path);
	/* A second time we are in `init` already: what was delegated is above. */
	if (nb_streq(nb_basename(own), "init"))
		own[strlen(own) - strlen("/init")] = '\0';
	bool is_top = is_kernels_root(own);
	if ((!is_top && move_aside(own, e) != 0) || hand_down(own, e) != 0 || join(leaf, own, "/init", e) != 0)
		return -1;
	if (to->user_count + to->group_count != 1) {
		nb_text_addf(report, "%s (controllers handed down; HTCondor delegates the jobs' own)\n", own);
		return 0;
	}
	if (hand_v2(own, to, report, e) != 0)
		return -1;
	return is_top ? 0 : hand_v2(leaf, to, report, e);
}

int nb_delegate_all(const nb_delegate *to, nb_text *report, nb_error *e)
{
	char text[8192];
	struct statfs fs;
	nb_cgroup_line l;
	if (geteuid() != 0)
		return nb_fail(e, NB_REQUEST, 0,
			       "only root can delegate cgroups: run it from the worker container's entrypoint");
	if (nb_read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) <= 0 || statfs(NB_CGROUP_ROOT, &fs) != 0)
		return nb_fail(e, NB_HOST, errno, "there is no cgroup file system on " NB_CGROUP_ROOT);
	if ((uint32_t)fs.f_type != CGROUP2_SUPER_MAGIC)
		return delegate_v1(text, to, report, e);
	for (char *at = text; nb_cgroup_next_line(&at, &l);)
		if (l.controllers[0] == '\0')
			return delegate_v2(l.path, to, report, e);
	return nb_fail(e, NB_HOST, 0, "/proc/self/cgroup has no cgroup2 line");
}
