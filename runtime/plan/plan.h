/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - what will be done, computed before anything is done.
 *
 * nb_plan_make is a pure function of request, policy and host facts: no system call, no clock, no global. Its rows
 * stand in the order of their doing; box/ and keeper/ walk them, --explain prints the same rows. A plan is never
 * changed once it is made.
 */
#pragma once

#include "base/base.h"
#include "host/host.h"
#include "policy/policy.h"
#include "request/request.h"

typedef enum nb_process {
	NB_KEEPER,  /* outside the box; the caller's uid, or root */
	NB_INIT,    /* pid 1 of the box; all capabilities of the box's user namespace until `capabilities` */
	NB_PAYLOAD, /* the child that becomes the payload */
} nb_process;

/* The box's own directory, on the tmpfs over its /run. */
#define NB_BOX_DIR "/run/nestbox"

/* Every kind of deed. Names, processes and sentences are in the step table (steps.c). */
typedef enum nb_step {
	NB_STEP_AUDIT_OPEN,   /* a: path; n: which of the policy's sinks; m: nb_sink_type */
	NB_STEP_CGROUP_LEAVE, /* a: own cgroup directory (v2): move into its child `keeper`, hand controllers down */
	NB_STEP_CGROUP_MAKE,  /* a: directory that may hold ours; n: nb_controller, NB_CONTROLLERS: v2; m: nb_seat */
	NB_STEP_CGROUP_LIMIT, /* a: file, b: value; n: index of the made cgroup; flags: required, or may be missing */
	NB_STEP_SECRET, /* a: name, b: path in the vault, or file; n: index in the policy; m: 1:
			   there is none to be had */
	NB_STEP_SECRETS_ASK,  /* n: how many; a: directory of the token to log in with, or 0. It works while the
				 box is made */
	NB_STEP_WALL_TIME,    /* n: ns after which the payload is ended */
	NB_STEP_DISK, /* a: directory that is counted, n: limit in bytes, m: ns between two counts; flags: ends */
	NB_STEP_NAMESPACES,   /* n: clone flags */
	NB_STEP_SECRETS_WAIT, /* n: milliseconds */
	NB_STEP_CGROUP_HAND,  /* n: uid, m: gid: what was made with NB_SEAT_OWN becomes the payload's */
	NB_STEP_AUDIT_START,  /* */
	NB_STEP_CGROUP_JOIN,  /* */
	NB_STEP_CGROUP_NS,    /* */
	NB_STEP_CGROUP_MAIN,  /* v2: go on into the child `main` of what is handed over */
	NB_STEP_OOM_SCORE,    /* n: how far above the keeper's */
	NB_STEP_ID_MAP,       /* n: uid, m: gid; plan->keeper_maps: the keeper writes it */
	NB_STEP_UNDUMPABLE,   /* */
	NB_STEP_KEYRING,      /* */
	NB_STEP_LOOPBACK,     /* own network: 127.0.0.1 and ::1 work; may miss: without CAP_NET_ADMIN they don't */
	NB_STEP_SLAVE,        /* nothing that is mounted here may reach the worker */
	NB_STEP_ROOT,         /* a: image directory */
	NB_STEP_PROC,         /* rungs: plan->proc */
	NB_STEP_REPORT,       /* tell the keeper the namespaces and what of /proc it became */
	NB_STEP_SYSCTL,       /* a: name below /proc/sys, n: value */
	NB_STEP_DEV,          /* own /dev */
	NB_STEP_SYS,          /* the worker's /sys, read-only, in an image */
	NB_STEP_CGROUP_SHOW,  /* a: target; n: index of the made cgroup: the payload's own, writable */
	NB_STEP_TMP,          /* a: target, n: bytes, m: inodes; flags: share the tmpfs of the row before */
	NB_STEP_RUN,          /* own /run */
	NB_STEP_FEATURE,      /* a: path below NB_BOX_DIR, b: value: a Machine/Job Feature */
	NB_STEP_MASKS,        /* strict: what of /proc tells about the worker */
	NB_STEP_CVMFS_TOUCH,  /* a: path of a repository: mounted by automount before the box is made */
	NB_STEP_CVMFS,        /* a: path */
	NB_STEP_MOUNT,        /* a: source, b: target */
	NB_STEP_EXECUTE,  /* a: directory that holds jobs' scratch directories: hidden, b: own one, bound read-write */
	NB_STEP_FILE,     /* a: path, b: content: a read-only file over the image's own */
	NB_STEP_HIDE,     /* a: path */
	NB_STEP_SECRETS,  /* a: directory, n: bytes, m: files; the keeper gets a writable descriptor */
	NB_STEP_SEAL,     /* the scaffold becomes read-only */
	NB_STEP_PIVOT,    /* */
	NB_STEP_BOUNDING, /* */
	NB_STEP_IDENTITY, /* n: uid, m: gid */
	NB_STEP_CAPABILITIES, /* */
	NB_STEP_TERMINAL,     /* a pseudo terminal of the box's own; the keeper relays */
	NB_STEP_CORE,         /* */
	NB_STEP_DEATH,        /* */
	NB_STEP_HASH,         /* a: command: tell the keeper the SHA-256 of its file */
	NB_STEP_NO_NEW_PRIVS, /* */
	NB_STEP_LANDLOCK,     /* */
	NB_STEP_SECCOMP,      /* */
	NB_STEP_SESSION,      /* */
	NB_STEP_SIGNALS,      /* */
	NB_STEP_FDS,          /* */
	NB_STEP_WORKDIR,      /* a: path; flags: required */
	NB_STEP_EXEC,         /* a: command */
	NB_STEPS
} nb_step;

/* Where the payload sits, seen from the cgroup with the box's limits. */
typedef enum nb_seat {
	NB_SEAT_HERE,  /* in it */
	NB_SEAT_BELOW, /* in its child `payload`, so that a mount of the payload's own does not show the limits' files
			*/
	NB_SEAT_OWN, /* the child `payload` belongs to the payload, which may divide it; v2: it sits in payload/main */
} nb_seat;

enum {
	NB_ROW_READ_ONLY = 1u << 0, /* the mount is read-only */
	NB_ROW_REQUIRED = 1u << 1,  /* failure ends the start; without it the row may find nothing to do */
	NB_ROW_SHARE = 1u << 2,     /* TMP: one tmpfs with the row before */
	NB_ROW_DEVICE = 1u << 3,    /* MOUNT: device nodes work in it */
	NB_ROW_SITE = 1u << 5,      /* the policy asked for it: what is missing is the site's to mend, not the user's */
	NB_ROW_ENDS = 1u << 6,      /* DISK: over the limit the payload is ended, not only recorded */
	NB_ROW_OWN_DIR = 1u << 4,   /* MOUNT: must be a directory that belongs to the job's user */
	NB_ROW_ALONE = 1u << 7,     /* TMP: beside the one on /tmp, and no other row's */
};

typedef struct nb_row {
	uint16_t step, flags;
	uint32_t a, b, why; /* offsets into nb_plan.text; 0 is "" */
	uint64_t n, m;
} nb_row;

#define NB_SECRETS_DIR "/run/nestbox/secrets" /* in the box */

enum { NB_PLAN_ROWS = 192, NB_PLAN_TEXT = 24576, NB_PLAN_ARGS = 4 };

typedef struct nb_limit_plan {
	uint64_t memory, milli_cpus, pids, disk, wall_time_ns; /* 0: not limited */
	uint64_t io_read, io_write;                            /* bytes a second */
	uint32_t memory_why, cpu_why, pids_why, disk_why, wall_time_why;
} nb_limit_plan;

typedef struct nb_plan {
	nb_row rows[NB_PLAN_ROWS];
	uint32_t count;
	uint32_t used;           /* of text */
	char text[NB_PLAN_TEXT]; /* texts[0] is "" */

	const nb_request *request;
	const nb_policy *policy;
	const nb_host *host;

	uint64_t clone_flags;
	bool user_namespace; /* the box has one of its own */
	bool keeper_maps;    /* root without CAP_SYS_ADMIN: a user namespace all the same, mapped by the keeper's
				CAP_SETUID */
	bool has_pid_namespace;
	bool terminal; /* the payload gets a terminal of the box's own */
	uid_t uid;
	gid_t gid;
	uint8_t proc[4]; /* nb_proc_rung, as the policy allows them */
	uint32_t profile;
	const nb_policy_filter *filter;
	bool image_is_worker; /* IMAGE is '/' */
	nb_limit_plan limits;
	bool delegated;                      /* the payload gets cgroups of its own to divide */
	const char *prepend[NB_PLAN_ARGS];   /* in front of the request's argv (inner wrapper, default command),
						NULL-terminated */
	uint32_t set_env[64], set_env_count; /* texts NAME=VALUE that the policy sets */
	uint32_t secret_count, vault_secrets; /* rows SECRET; those of a vault */
	bool rules[32];                      /* which of the policy's rules matched */
} nb_plan;

/* Errors: NB_REQUEST (what was asked is not possible), NB_POLICY (not allowed, with the policy's file:line), NB_HOST.
 */
int nb_plan_make(const nb_request *request, const nb_policy *policy, const nb_host *host, nb_plan *ret_p, nb_error *e);

/* Where the payload starts: the workdir row's path. */
const char *nb_plan_workdir(const nb_plan *p);
/* The payload's environment: at most max - 1 pointers and a NULL into `out`. The texts are the caller's, the policy's
 * and the request's own. -1 when there is no room. */
int nb_plan_env(const nb_plan *p, const char **out, size_t max, nb_error *e);
/* The payload's argument vector, the same way. */
int nb_plan_argv(const nb_plan *p, const char **out, size_t max, nb_error *e);

static inline const char *nb_plan_text(const nb_plan *p, uint32_t at)
{
	return p->text + at;
}

enum { NB_NAMESPACES = 7 };
extern const char *const nb_namespace_names[NB_NAMESPACES]; /* as in /proc/PID/ns */

/* What a step is called, who does it, and who is to blame when it fails. */
typedef struct nb_step_info {
	const char *name;
	nb_process process;
	nb_class blame;
	const char *sentence; /* with %a, %b, %n, %m in it: the row's values */
	const char *undo;     /* NULL: nothing outlives the box */
} nb_step_info;
const nb_step_info *nb_step_info_of(unsigned step);
void nb_row_sentence(const nb_plan *p, const nb_row *row, nb_text *out);

/* --explain: the plan for people, and as JSON (schema_version 1). Written to fd in pieces; 0 or -1 with errno. */
int nb_plan_print(const nb_plan *p, int fd);
int nb_plan_print_json(const nb_plan *p, int fd);
