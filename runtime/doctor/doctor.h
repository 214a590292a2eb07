/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor - the survey in steps: conditions of this worker, one forked probe a feature, the pure judgement
 * of what failed, and the report. Runs as any uid; a probe's child changes its own namespaces only and is gone
 * afterwards.
 */
#pragma once

#include "host/host.h"

typedef enum nb_doctor_level { NB_DOCTOR_OK, NB_DOCTOR_WARN, NB_DOCTOR_FAIL } nb_doctor_level;

/* Who can do what the remedy says. */
typedef enum nb_doctor_who { NB_WHO_NOBODY, NB_WHO_HOST, NB_WHO_START, NB_WHO_IMAGE, NB_WHO_SITE } nb_doctor_who;

typedef enum nb_doctor_check {
	NB_CHECK_ANY, /* in the table of causes: whatever the feature is */
	NB_CHECK_USERNS,
	NB_CHECK_NESTED,
	NB_CHECK_MOUNTNS,
	NB_CHECK_PIDNS,
	NB_CHECK_IPCNS,
	NB_CHECK_UTSNS,
	NB_CHECK_CGROUPNS,
	NB_CHECK_NETNS,
	NB_CHECK_PROC,
	NB_CHECK_PIVOT,
	NB_CHECK_MOVE,
	NB_CHECK_MOUNT_API,
	NB_CHECK_OPENAT2,
	NB_CHECK_CLONE3,
	NB_CHECK_CLOSE_RANGE,
	NB_CHECK_PIDFD,
	NB_CHECK_SECCOMP,
	NB_CHECK_LANDLOCK,
	NB_CHECK_KEYRING,
	NB_CHECK_MEMFD,
	NB_CHECK_OVERLAY,
	NB_CHECK_FUSE,
	NB_CHECKS
} nb_doctor_check;

/* What is true of this worker, as bits. A cause may need some of them. */
enum {
	NB_IF_CLONE_SYSCTL_OFF = 1 << 0, /* kernel.unprivileged_userns_clone = 0 (Debian's patch) */
	NB_IF_MAX_USERNS_0 = 1 << 1,     /* user.max_user_namespaces = 0 */
	NB_IF_MAX_NETNS_0 = 1 << 2,      /* user.max_net_namespaces = 0 */
	NB_IF_APPARMOR = 1 << 3,         /* kernel.apparmor_restrict_unprivileged_userns = 1 (Ubuntu from 23.10 on) */
	NB_IF_SECCOMP = 1 << 4,          /* a seccomp filter is on this process: the container's */
	NB_IF_CHROOT = 1 << 5,           /* nothing is mounted on "/": a chroot */
	NB_IF_PROC_MASKED = 1 << 6,      /* something is mounted below /proc */
	NB_IF_CONTAINER = 1 << 7
};

/* What the worker's start lacks, as bits: each has its line for every engine. */
enum {
	NB_NEED_SECCOMP = 1 << 0,
	NB_NEED_PROC = 1 << 1,
	NB_NEED_APPARMOR = 1 << 2,
	NB_NEED_FUSE = 1 << 3,
	NB_NEED_CVMFS = 1 << 4,
	NB_NEED_CGROUP = 1 << 5
};

/* How far a probe came. */
typedef enum nb_doctor_stage {
	NB_STAGE_DONE,
	NB_STAGE_USERNS, /* unshare(CLONE_NEWUSER) */
	NB_STAGE_MAP,    /* uid_map, gid_map, setgroups */
	NB_STAGE_MOUNTS, /* mount namespace, private propagation, a tmpfs */
	NB_STAGE_PROBE
} nb_doctor_stage;

typedef struct nb_doctor_result {
	nb_doctor_stage stage; /* where it failed; NB_STAGE_DONE: it did not */
	int err;               /* errno there */
} nb_doctor_result;

/* ---- judgement: pure (causes.c) ----------------------------------------------------------------------- */

typedef struct nb_doctor_cause {
	const char *why, *remedy;
	nb_doctor_who who;
	unsigned needs; /* NB_NEED_* */
} nb_doctor_cause;

/* Why it failed and who can put it right. Always finds a row: the last one says no more than the error. */
const nb_doctor_cause *nb_doctor_judge(nb_doctor_check check, const nb_doctor_result *r, unsigned conditions);
const char *nb_doctor_who_text(nb_doctor_who who);

/* ---- the report (report.c) ---------------------------------------------------------------------------- */

enum { NB_DOCTOR_ROWS = 48, NB_DOCTOR_TEXT = 320 };

typedef struct nb_doctor_row {
	nb_doctor_level level;
	nb_doctor_who who;
	const char *check;  /* short name for programs */
	const char *remedy; /* NULL: there is nothing to do */
	char what[NB_DOCTOR_TEXT];
} nb_doctor_row;

enum { NB_DOCTOR_GROUPS = 64 };
typedef struct nb_doctor_report {
	nb_doctor_row row[NB_DOCTOR_ROWS];
	size_t rows;
	unsigned needs;
	unsigned conditions;
	char *policy;      /* --policy, or NULL: the tree's own */
	uint64_t until_ns; /* CLOCK_BOOTTIME: what is tried after that gets a moment only; 0: ten seconds each */
	uid_t uid;         /* whom the probes were made for */
	gid_t gid;
	gid_t groups[NB_DOCTOR_GROUPS]; /* his further ones, when this process has to become him */
	size_t group_count;
	bool assumed; /* nobody named him: any user without rights of his own stands for the jobs' */
} nb_doctor_report;

void nb_doctor_yes(nb_doctor_report *r, const char *check, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What to do about it, and who: a literal text. */
typedef struct nb_doctor_advice {
	nb_doctor_who who;
	const char *remedy;
} nb_doctor_advice;
void nb_doctor_warn(nb_doctor_report *r, const char *check, nb_doctor_advice advice, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void nb_doctor_fail(nb_doctor_report *r, const char *check, nb_doctor_advice advice, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
nb_doctor_level nb_doctor_worst(const nb_doctor_report *r);
/* The lines that start a worker with what `needs` says is missing; engine: docker, podman, kubernetes, mesos, in
 * this order. */
enum { NB_DOCTOR_ENGINES = 4 };
const char *nb_doctor_engine(size_t engine);
void nb_doctor_start_lines(unsigned needs, size_t engine, nb_text *t);
void nb_doctor_print_rows(const nb_doctor_report *r, nb_text *t);
void nb_doctor_print(const nb_doctor_report *r, nb_text *t);
/* One JSON object; the caller frees it. NULL: no memory. */
char *nb_doctor_json(const nb_doctor_report *r);
char *nb_check_json(const nb_doctor_report *r); /* the same rows for nestbox check: no start_with, but healthy */

/* ---- the survey ---------------------------------------------------------------------------------------------- */

unsigned nb_doctor_conditions(void); /* conditions.c */
/* The vault's socket lets a group in, and whether job users are in it can't be told: nobody named one. (vault.c) */
bool nb_doctor_let_in_by_group(const nb_doctor_report *r, const char *socket, uid_t agent, gid_t *ret_group);

/* Run probe in a child: as uid and gid when that is not this process, in new namespaces when in_userns (user, mount,
 * and an empty tmpfs as working directory). Its argument is a copy of `found` (size bytes; NULL: none), and what it
 * writes there comes back. A child that does not end in time is killed: ETIMEDOUT; one that can't be killed is left. */
typedef int (*nb_doctor_probe)(void *found); /* 0 or errno */
void nb_doctor_try(const nb_doctor_report *who, bool in_userns, nb_doctor_probe probe, void *found, size_t size,
		   nb_doctor_result *ret); /* try.c */

/* For whom: with the groups that /etc/passwd and /etc/group give him, as HTCondor's starter does. */
void nb_doctor_user(nb_doctor_report *r, uid_t uid);

/* First of all: descriptors 0 to 2 are open, whatever the caller closed (STARTD_CRON: 0), so that none of ours has such
 * a number; a probe's child gives up its own. */
void nb_doctor_standard_fds(void);
/* SIGKILL, and the wait status: false where it does not come about. */
bool nb_doctor_end(pid_t pid, int *ret_status);

/* One row, of one feature: `vital`, it fails where that is not there. */
void nb_doctor_feature(nb_doctor_report *r, nb_doctor_check check, bool vital); /* kernel.c */
/* The same questions for people and for programs; site.c */
bool nb_doctor_listened_at(const char *path);
void nb_doctor_identity(nb_doctor_report *r);
void nb_doctor_kernel(nb_doctor_report *r);  /* kernel.c, in the order of nb_doctor_check */
void nb_doctor_cgroups(nb_doctor_report *r); /* mounts.c */
void nb_doctor_cvmfs(nb_doctor_report *r);   /* mounts.c */
void nb_doctor_vault(nb_doctor_report *r);   /* vault.c: where the policy has secrets of a vault */
void nb_doctor_site(nb_doctor_report *r);    /* site.c: HTCondor, policy, audit log, identity, time */
/* A program of nestbox's that stands beside this one, wherever the tree is. False: it is not there. */
bool nb_doctor_beside(const char *tool, char *path, size_t size);
/* Output of a program run with an empty environment, at most size - 1 bytes; its exit status, or -1 when it could
 * not be run or was killed after ten seconds (run.c). env: NULL or one "NAME=value". */
int nb_doctor_run(char *const argv[], const char *env, char *output, size_t size);
