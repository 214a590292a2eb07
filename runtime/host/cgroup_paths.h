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
/* The directory that shows the cgroup `path` of process `pid` under `mount`. In a container the mount may be rooted
 * below the path's first components, so an end of the path may be its name there; and the mount may be another's: with
 * a cgroup namespace of its own and the host's cgroup file system, "/" is not the container's. So where the directory
 * does not have the whole path, of more names than one, the process must be found in it. */
bool nb_cgroup_find_own(const char *mount, const char *path, pid_t pid, char out[NB_FACT_PATH]);
/* Is the name one of the words (cgroup.controllers, cgroup.subtree_control)? */
bool nb_cgroup_has_word(const char *words, const char *name);
/* `below` in own or in a directory above it, down to `mount`, that passes the test. */
typedef bool nb_cgroup_test(const char *path);
bool nb_cgroup_find_up(const char *mount, const char *own, const char *below, nb_cgroup_test *test,
		       char out[NB_FACT_PATH]);
