/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts - what is possible here: plain values, read by the keeper as the caller's uid before any side effect. The
 * planner sees nothing else of the machine, so a plan can be computed from captured facts (tests/data/plan).
 */
#pragma once

#include "base/base.h"

#define NB_CGROUP_ROOT "/sys/fs/cgroup"

enum { NB_MAX_GROUPS = 64, NB_FACT_PATH = 512, NB_FACT_LONG_PATH = 4096 };

typedef enum nb_cgroup_layout { NB_CGROUP_NONE = 0, NB_CGROUP_V1, NB_CGROUP_V2 } nb_cgroup_layout;
typedef enum nb_controller { NB_CTRL_CPU = 0, NB_CTRL_MEMORY, NB_CTRL_PIDS, NB_CONTROLLERS } nb_controller;
extern const char *const nb_controller_names[NB_CONTROLLERS];

/* Where this process may make cgroups. v1: one directory a controller. v2: the same directory three times. */
typedef struct nb_cgroup_facts {
	uint32_t layout;                        /* nb_cgroup_layout */
	char dir[NB_CONTROLLERS][NB_FACT_PATH]; /* "": not usable */
	uint32_t vacate;        /* v2: the directory is our own cgroup: leave it first (no internal processes rule) */
	char io[NB_FACT_PATH];  /* v2: the same directory where the io controller can be had there; else "" */
	char own[NB_FACT_PATH]; /* own path of the memory controller's hierarchy (v1) or of the only one (v2), for the
				   record */
	char why_not[160];      /* when nothing is usable: the sentence that says why */
} nb_cgroup_facts;

typedef struct nb_host {
	uint32_t uid, gid;
	uint32_t groups[NB_MAX_GROUPS], group_count;
	const uint32_t *all_groups;  /* group_count of them, where they are too many for `groups`; lives until exit */
	uint32_t groups_unknown;     /* nobody may count on there being no others */
	uint32_t sys_admin;          /* CAP_SYS_ADMIN: mounts without a user namespace */
	uint32_t set_ids;            /* CAP_SETUID and CAP_SETGID */
	uint32_t sudo_uid, sudo_gid; /* of SUDO_UID, SUDO_GID; 0: none */
	uint32_t landlock_abi;       /* 0: none */
	uint32_t proc_covered;       /* something is mounted below /proc: then a user namespace gets no new one */
	uint32_t new_mount_api;      /* open_tree, move_mount, mount_setattr (Linux 5.12) */
	uint32_t is_container_tmp; /* /tmp is the scratch directory's own tmp: HTCondor's MOUNT_UNDER_SCRATCH made it */
	uint32_t at_terminal;      /* standard input is a terminal */
	char cwd[NB_FACT_LONG_PATH]; /* "": it has no path here */
	char own_log[NB_FACT_PATH];  /* by hand, as an ordinary user: $XDG_STATE_HOME/nestbox, where records go that the
				      * site's log does not take; else "" */
	char scratch_disk[24];       /* "MAJOR:MINOR" of the whole disk under the scratch directory; "": none is known
				      * (overlay, tmpfs, btrfs, a network) */
	char resolv_conf[NB_FACT_PATH]; /* what /etc/resolv.conf leads to when it is a link into /run; else "" */
	char hostname[80], boot_id[40], machine_id[40];
	nb_cgroup_facts cgroup;
} nb_host;

/* Is anything mounted below /proc (mountinfo, proc(5))? Asked only where the answer changes the plan. */
bool nb_proc_is_covered(void);
/* Never fails: what can't be found out is absent. env: for SUDO_UID in manual mode, NULL in wrapper mode. scratch: or
 * NULL. */
void nb_host_survey(char *const *env, const char *scratch, nb_host *ret_h);
/* Wrapper mode, before the survey: wait until HTCondor has moved this process into the cgroup that it made for the job,
 * where it makes one; at most half a second. */
void nb_cgroup_settle(void);
/* Let a process go on that a freezer holds (v1: freezer, v2: cgroup.freeze), its cgroup's own or one above: a kill in a
 * frozen cgroup of v1 takes effect then, and a keeper that is frozen reaps nothing. Where the caller may not, nothing.
 */
void nb_cgroup_thaw(pid_t pid);
/* The first whole lines of a list of processes, so many as fit: who takes them away reads again. Returns the length. */
ssize_t nb_cgroup_piece(const char *path, char *list, size_t size);
void nb_cgroup_survey(uid_t uid, nb_cgroup_facts *ret_c);

/* The uid's name in /etc/passwd, no name service asked; "" when it has none there, or one that does not fit. */
void nb_user_name(uid_t uid, char *ret_name, size_t size);

/* The same facts as `name=value` lines: golden tests, bug reports. nb_host_read returns -1 and names the line it can't
 * take. */
void nb_host_write(const nb_host *h, nb_text *out);
int nb_host_read(const char *text, nb_host *ret_h, nb_error *e);

/* For those who are no job themselves: can cgroups with this controller be had here by some job's user, or by
 * HTCondor's root for a job? Not in the launcher (given.c). */
void nb_cgroup_given(bool ret_given[NB_CONTROLLERS]);
