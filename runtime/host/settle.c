/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTCondor up to 24.7 moves a job into its cgroup after it started it (proc_family_direct_cgroup_v1.cpp: the starter
 * writes the pid, then chowns the directory). A launcher without start-up costs is faster than that: a box made before
 * the move would stay outside the slot's cgroup, unlimited and uncounted.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "cgroup_paths.h"

enum { TEXT = 8192 };
static const struct timespec pause_between = { .tv_nsec = 2000000 };

static bool exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

/* Process pid's own directory of the hierarchy that has this controller. */
static bool own_dir(char *text, pid_t pid, const char *controller, char mount[NB_FACT_PATH], char own[NB_FACT_PATH])
{
	struct statfs fs;
	nb_cgroup_line l;
	bool v2 = statfs(NB_CGROUP_ROOT, &fs) == 0 && (uint32_t)fs.f_type == CGROUP2_SUPER_MAGIC;
	while (nb_cgroup_next_line(&text, &l)) {
		if (v2 ? l.controllers[0] != '\0' : !nb_cgroup_line_has(&l, controller))
			continue;
		nb_text t = nb_text_over(mount, NB_FACT_PATH);
		nb_text_addf(&t, NB_CGROUP_ROOT "%s%s", v2 ? "" : "/", l.controllers);
		return !t.full && nb_cgroup_find_own(mount, l.path, pid, own);
	}
	return false;
}

static bool read_cgroup(pid_t pid, char text[TEXT])
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	return nb_read_file(AT_FDCWD, path, text, TEXT) > 0;
}

/* How long a move is worth waiting for, in tries: long where HTCondor's cgroups are seen (BASE_CGROUP is "htcondor"
 * unless the site renamed it), short where the starter, as another user, could make them (vanilla_proc.cpp asks for
 * these directories), else not. */
static int patience(const char starter[TEXT])
{
	enum { LONG = 250, SHORT = 150 };
	char text[TEXT], mount[NB_FACT_PATH], own[NB_FACT_PATH], found[NB_FACT_PATH], parent[64];
	struct stat st;
	memcpy(text, starter, sizeof(text));
	if (own_dir(text, getppid(), "memory", mount, own) && nb_cgroup_find_up(mount, own, "htcondor", exists, found))
		return LONG;
	snprintf(parent, sizeof(parent), "/proc/%d", (int)getppid());
	bool could = exists(NB_CGROUP_ROOT "/cgroup.procs") ||
		     (exists(NB_CGROUP_ROOT "/memory") && exists(NB_CGROUP_ROOT "/freezer") &&
		      exists(NB_CGROUP_ROOT "/cpu,cpuacct"));
	return could && stat(parent, &st) == 0 && st.st_uid != geteuid() ? SHORT : 0;
}

/* Moved, and the directory (24.8 and later: the one above it) handed to the job's user. */
static bool has_settled(const char starter[TEXT], const char *controller)
{
	char text[TEXT], before[TEXT], mount[NB_FACT_PATH], own[NB_FACT_PATH], old[NB_FACT_PATH];
	struct stat st;
	memcpy(before, starter, sizeof(before));
	if (!read_cgroup(getpid(), text) || nb_streq(text, starter) ||
	    !own_dir(text, getpid(), controller, mount, own) || !own_dir(before, getppid(), controller, mount, old) ||
	    nb_streq(own, old))
		return false;
	if (stat(own, &st) == 0 && st.st_uid == geteuid())
		return true;
	char *slash = strrchr(own, '/');
	*slash = '\0';
	return stat(own, &st) == 0 && st.st_uid == geteuid();
}

void nb_cgroup_settle(void)
{
	char starter[TEXT];
	int tries = read_cgroup(getppid(), starter) ? patience(starter) : 0;
	for (int i = 0; i < tries && !(has_settled(starter, "memory") && has_settled(starter, "cpu")); i++)
		nanosleep(&pause_between, NULL);
}
