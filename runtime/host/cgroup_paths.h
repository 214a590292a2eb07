/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "host/facts.h"

/* One line of /proc/PID/cgroup, taken apart in place: "5:cpu,cpuacct:/path"; v2 has no controllers. */
typedef struct nb_cgroup_line {
	char *controllers, *path;
} nb_cgroup_line;
/* The next line of *text, which is changed and moved on. False at the end. */
bool nb_cgroup_next_line(char **text, nb_cgroup_line *ret_l);
bool nb_cgroup_line_has(const nb_cgroup_line *l, const char *controller);

/* A directory in which this process may make others. */
bool nb_cgroup_writable(const char *path);
/* The directory that shows cgroup `path` under `mount`: in a container the mount may be rooted below the path's first
 * components. */
bool nb_cgroup_find_own(const char *mount, const char *path, char out[NB_FACT_PATH]);
/* `below` in own or in a directory above it, down to `mount`, that passes the test. */
typedef bool nb_cgroup_test(const char *path);
bool nb_cgroup_find_up(const char *mount, const char *own, const char *below, nb_cgroup_test *test,
		       char out[NB_FACT_PATH]);
