/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor - the system calls that a box needs, and nothing else: no policy, no plan, no checks, no words.
 *
 * What nestbox costs above this program is nestbox's own; what both cost is the kernel's. Every step has a name and can
 * be left out, which gives the price of each. A step that fails ends the program: a floor that did less would lie.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FLOOR_CGROUPS = 3, FLOOR_PATH = 512, FLOOR_FAILED = 99, FLOOR_MESSAGE = 768 };

typedef enum floor_step {
	STEP_AUDIT,      /* start record before, end record after */
	STEP_SYNC,       /* fdatasync of the start record, while the box is being made */
	STEP_CGROUP,     /* two nested directories per v1 controller, or one directory of cgroup v2 */
	STEP_CGROUPNS,
	STEP_USERNS,
	STEP_ROOT,       /* recursive read-only clone of the image */
	STEP_PROC,
	STEP_REPORT,     /* the inode numbers of the namespaces, for the record */
	STEP_SYSCTL,     /* limits of the user namespace */
	STEP_DEV,        /* tmpfs, six nodes, pts, shm, links */
	STEP_SYS,        /* the worker's, read-only, when the image is not the worker */
	STEP_RUN,        /* own tmpfs */
	STEP_TMP,        /* one tmpfs on /tmp and /var/tmp */
	STEP_CVMFS,
	STEP_SCRATCH,
	STEP_HIDE,       /* covers over files and directories of the worker */
	STEP_PIVOT,
	STEP_LANDLOCK,
	STEP_KEYRING,
	STEP_CAPS,
	STEP_SECCOMP,
	STEP_INIT,       /* a pid 1 of the box's own, which reaps */
	STEP_DEATH,      /* dies with the keeper */
	STEPS
} floor_step;

typedef struct floor_cgroup {
	char outer[FLOOR_PATH], inner[FLOOR_PATH];
	int tasks;
} floor_cgroup;

typedef struct floor {
	bool skip[STEPS];
	const char *image;   /* directory that becomes the root; "/" is the worker's own */
	const char *filter;  /* file of struct sock_filter[] */
	const char *log;     /* audit log */
	const char *cgroups; /* directory below each controller's mount in which boxes are made; NULL: none */
	const char *cvmfs;   /* directory bound to /cvmfs; NULL: none */
	char *hide;          /* comma separated paths that are covered where they exist; NULL: none */
	const char *scratch; /* directory bound to itself, writable; NULL: none */
	bool v2;
	bool one_level;      /* of cgroup v1: enough where the limit files are not the payload's */
	uid_t uid, job_uid;
	gid_t gid, job_gid;
	char **command, **environment;

	floor_cgroup cgroup[FLOOR_CGROUPS];
	int cgroup_count;
	int cgroup2; /* directory fd for CLONE_INTO_CGROUP */
	int audit;
	int channel[2]; /* keeper and init: the report one way, the word to go on the other, the status back */
	void *program; /* the filter, mapped */
	size_t program_size;
} floor;

/* The value of a call that must not fail. */
long must(long result, const char *what);
bool with(const floor *f, floor_step step);
void write_text(const char *path, const char *text);

void cgroup_make(floor *f);
void cgroup_enter(const floor *f);
void cgroup_usage(const floor *f);
void cgroup_remove(const floor *f);

void audit_start(const floor *f);
void audit_sync(const floor *f);
void audit_end(const floor *f, int status);

void root_make(const floor *f);
void dev_make(void);
/* A detached clone of `from` with the given attributes, attached at `to` (relative to the working directory). */
void bind_at(const char *from, const char *to, bool recursive, uint64_t attributes);
void mount_at(const char *type, const char *to, unsigned long flags, const char *data);
/* From here on nothing can be written to what is mounted at `at`. */
void seal(const char *at);

void inside(const floor *f) __attribute__((noreturn));
