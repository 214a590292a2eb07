/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delegate - at a worker container's start, as root: let the job users make cgroups below the container's own.
 *
 * v1 (cgroup-v1/cgroups.rst): a directory `nestbox/UID` (or `nestbox/gGID`) in each hierarchy, the directory alone
 * handed over: who owns a directory may make others in it and move his own processes there. v2 (cgroup-v2.rst,
 * "Delegation"): no process beside child cgroups, so all processes of the container's cgroup go into its child `init`;
 * the controllers are handed down; directory, cgroup.procs, cgroup.subtree_control and cgroup.threads are handed over,
 * to one user or one group, since moving a process needs the right to write the common ancestor's cgroup.procs. Several
 * get nothing: who may write that file may move, and so end, the processes of them all. Limit files stay root's: nobody
 * can raise the container's own.
 */
#pragma once

#include "host/facts.h"

enum { NB_DELEGATE_MAX = 64 };

typedef struct nb_delegate {
	uid_t users[NB_DELEGATE_MAX];
	gid_t groups[NB_DELEGATE_MAX];
	uint32_t user_count, group_count;
} nb_delegate;

/* May be done again at any time. Touches nothing outside this process' own cgroups. report: a line for each deed. */
int nb_delegate_all(const nb_delegate *to, nb_text *report, nb_error *e);
