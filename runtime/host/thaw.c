/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_paths.h"

/* In this directory or one above it, down to `mount`: the state that was set there, not inherited. */
static void thaw_up(const char *mount, char *dir, const char *asked, const char *file, const char *thawed)
{
	while (strlen(dir) >= strlen(mount)) {
		char path[NB_FACT_PATH + 32], state[16];
		nb_text t = nb_text_over(path, sizeof(path));
		nb_text_addf(&t, "%s/%s", dir, asked);
		bool frozen = nb_read_file(AT_FDCWD, path, state, sizeof(state)) > 0 && state[0] == '1';
		t = nb_text_over(path, sizeof(path));
		nb_text_addf(&t, "%s/%s", dir, file);
		if (frozen)
			nb_write_file(AT_FDCWD, path, thawed);
		char *slash = strrchr(dir, '/');
		if (slash == NULL)
			return;
		*slash = '\0';
	}
}

void nb_cgroup_thaw(pid_t pid)
{
	char path[64], text[8192], own[NB_FACT_PATH];
	nb_cgroup_line l;
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "/proc/%d/cgroup", (int)pid);
	if (pid <= 0 || nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	for (char *at = text; nb_cgroup_next_line(&at, &l);) {
		static const char v1[] = NB_CGROUP_ROOT "/freezer", v2[] = NB_CGROUP_ROOT;
		if (nb_cgroup_line_has(&l, "freezer") && nb_cgroup_find_own(v1, l.path, pid, own))
			thaw_up(v1, own, "freezer.self_freezing", "freezer.state", "THAWED");
		if (l.controllers[0] == '\0' && nb_cgroup_find_own(v2, l.path, pid, own))
			thaw_up(v2, own, "cgroup.freeze", "cgroup.freeze", "0");
	}
}
