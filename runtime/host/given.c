/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Could some job of this worker be limited? Asked by those who are no job themselves: HTCondor's daemons, a health
 * check. A job's own answer is nb_cgroup_survey.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_paths.h"

/* nestbox/UID or nestbox/gGID of anybody's. */
static bool has_delegations(const char *path)
{
	DIR *dir = opendir(path);
	bool found = false;
	for (struct dirent *d; dir != NULL && !found && (d = readdir(dir)) != NULL;)
		found = d->d_type == DT_DIR && strchr("g0123456789", d->d_name[0]) != NULL;
	if (dir != NULL)
		closedir(dir);
	return found;
}

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* HTCondor as root makes cgroups for its jobs below "htcondor": v2 at the root that it sees, where the controllers must
 * be handed down (proc_family_direct_cgroup_v2.cpp); v1 in memory and cpu,cpuacct, never for pids
 * (proc_family_direct_cgroup_v1.cpp). */
static bool by_htcondor(const char *mount, const char *own, const char *controllers, nb_controller k)
{
	char text[256], path[NB_FACT_PATH];
	nb_cgroup_line handed = { .controllers = text };
	if (controllers[0] != '\0')
		return k != NB_CTRL_PIDS && nb_cgroup_find_up(mount, own, "htcondor", is_directory, path);
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/cgroup.subtree_control", mount);
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	for (char *p = text; *p != '\0'; p++)
		*p = *p == ' ' ? ',' : *p == '\n' ? '\0' : *p;
	return nb_cgroup_line_has(&handed, nb_controller_names[k]);
}

static void one_line(const nb_cgroup_line *l, bool given[NB_CONTROLLERS])
{
	char mount[NB_FACT_PATH], own[NB_FACT_PATH], path[NB_FACT_PATH];
	bool v2 = l->controllers[0] == '\0';
	nb_text t = nb_text_over(mount, sizeof(mount));
	nb_text_addf(&t, NB_CGROUP_ROOT "%s%s", v2 ? "" : "/", l->controllers);
	if (t.full || !nb_cgroup_find_own(mount, l->path, getpid(), own))
		return;
	bool delegated = nb_cgroup_find_up(mount, own, "nestbox", has_delegations, path);
	for (unsigned k = 0; k < NB_CONTROLLERS; k++)
		if (v2 || nb_cgroup_line_has(l, nb_controller_names[k]))
			given[k] = given[k] || delegated || by_htcondor(mount, own, l->controllers, (nb_controller)k);
}

void nb_cgroup_given(bool ret_given[NB_CONTROLLERS])
{
	char text[16384], *at = text;
	nb_cgroup_line l;
	memset(ret_given, 0, NB_CONTROLLERS * sizeof(*ret_given));
	if (nb_read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) <= 0)
		return;
	while (nb_cgroup_next_line(&at, &l))
		one_line(&l, ret_given);
}
