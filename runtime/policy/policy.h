/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy - what the site allows.
 *
 * Two sides meet here. The compiler (libexec: nestbox-policy; jansson, libseccomp; any user) turns policy.json and
 * the *.json of policy.d into one flat file: the compiled policy. The launcher maps that file and reads it in place:
 * every reference is an offset from its start, every number is in the machine's byte order, every text ends with a NUL.
 * The compiled form is a cache: another version, another size or a wrong checksum means "compile again", never "guess".
 *
 * Each value carries `why`: the text that --explain and errors show as its source ("policy.json:12", "built-in").
 */
#pragma once

#include "base/base.h"

#define NB_POLICY_MAGIC "NBPOLICY" /* 8 bytes, no NUL */
#define NB_POLICY_FORMAT 15u
#define NB_POLICY_MAX_BYTES (4u << 20)

typedef uint32_t nb_ref; /* offset from the start of the compiled policy; 0: absent */
typedef struct nb_list {
	nb_ref at; /* of the first element, aligned to 8 */
	uint32_t count;
} nb_list;

typedef enum nb_profile { NB_PROFILE_NESTED = 1, NB_PROFILE_STRICT = 2 } nb_profile;
/* The rungs of the /proc ladder that are allowed, tried in this order. */
typedef enum nb_proc_rung {
	NB_PROC_NONE = 0,
	NB_PROC_FRESH,  /* "fresh": a new procfs of the box's own pid namespace */
	NB_PROC_BIND,   /* "bind": the worker's /proc, the pid namespace stays the box's own */
	NB_PROC_SHARED, /* "shared": no pid namespace, the worker's /proc */
	NB_PROC_EMPTY   /* "empty": an empty tmpfs on /proc */
} nb_proc_rung;
typedef enum nb_need { NB_OFF = 0, NB_IF_PRESENT, NB_REQUIRED } nb_need; /* "off", "if-present", "required" */
typedef enum nb_limit_source {
	NB_LIMIT_NONE = 0, /* "none": not limited */
	NB_LIMIT_SLOT, /* "slot": from the machine ad (Cpus, Memory), and never more than `value` when that is not 0 */
	NB_LIMIT_VALUE /* the number in the policy */
} nb_limit_source;
/* limits.required: what to do when a limit can't be set */
typedef enum nb_limits_need {
	NB_LIMITS_OPTIONAL = 0, /* false: run, and record what is in force */
	NB_LIMITS_ALWAYS,       /* true: refuse */
	NB_LIMITS_FOR_SLOT      /* "slot": refuse a job that a batch system gave a slot to (there is a machine ad); run
				   others */
} nb_limits_need;
typedef enum nb_disk_action { NB_DISK_REPORT = 0, NB_DISK_KILL } nb_disk_action; /* "report", "kill" */
typedef enum nb_cpu_mode { NB_CPU_WEIGHT = 0, NB_CPU_QUOTA } nb_cpu_mode;
typedef enum nb_tmp_kind {
	NB_TMP_AUTO = 0, /* "auto": the job's own disk when the batch system gave it one on /tmp, else tmpfs */
	NB_TMP_TMPFS     /* "tmpfs" */
} nb_tmp_kind;
typedef enum nb_features { NB_FEATURES_OFF = 0, NB_FEATURES_PASS, NB_FEATURES_PROVIDE } nb_features;
/* Who may join a running box: root and the user who started it, root alone, nobody. */
typedef enum nb_enter { NB_ENTER_OWNER = 0, NB_ENTER_ROOT, NB_ENTER_NONE } nb_enter;
typedef enum nb_on_failure { NB_ON_FAILURE_REFUSE = 0, NB_ON_FAILURE_WARN } nb_on_failure;
typedef enum nb_sink_type { NB_SINK_FILE = 1, NB_SINK_JOURNALD, NB_SINK_SYSLOG, NB_SINK_COLLECTOR } nb_sink_type;

/* mounts[]: source and target are absolute and clean */
enum { NB_MOUNT_READ_ONLY = 1u << 0, NB_MOUNT_REQUIRED = 1u << 1, NB_MOUNT_DEVICE = 1u << 2 };
typedef struct nb_policy_mount {
	nb_ref source, target, why;
	uint32_t flags;
} nb_policy_mount;

typedef struct nb_policy_path {
	nb_ref path, why;
} nb_policy_path;

/* environment: drop has value 0 and a name that may be a glob (fnmatch(3)); set: name leads to the text "NAME=VALUE",
 * value behind its '=' */
typedef struct nb_policy_env {
	nb_ref name, value, why;
} nb_policy_env;

typedef struct nb_policy_limit {
	uint32_t source; /* nb_limit_source */
	nb_ref why;
	uint64_t value; /* bytes, thousandths of a CPU, tasks, or ns; with NB_LIMIT_SLOT a ceiling, 0: none */
} nb_policy_limit;

enum {
	NB_SINK_REQUIRED = 1u << 0, /* audit.on_failure holds for it; without it the others suffice */
	NB_SINK_HASH_ONLY = 1u << 1 /* it gets each record's ids and hash, not what it says */
};
typedef struct nb_policy_sink {
	uint32_t type; /* nb_sink_type */
	nb_ref path;   /* 0: the usual socket of this type */
	nb_ref why;
	uint32_t flags;
	uint32_t facility; /* syslog: RFC 5424 section 6.2.1; 0: authpriv */
	uint32_t max_size; /* syslog: octets that a message may have; 0: NB_SYSLOG_USUAL */
} nb_policy_sink;
enum { NB_SYSLOG_USUAL = 8192, NB_SYSLOG_AUTHPRIV = 10 };

/* A rule applies when every condition holds, and every rule that applies counts. What it applies only narrows, whatever
 * the numbers say: of two limits the lower holds, of two profiles strict, hidden paths and dropped variables add up,
 * and a job gets the secrets that all its rules name. */
typedef struct nb_policy_condition {
	nb_ref attribute; /* ClassAd attribute name, compared without case */
	nb_ref pattern;   /* fnmatch(3) over the attribute's text */
} nb_policy_condition;
typedef struct nb_policy_rule {
	nb_list when; /* nb_policy_condition */
	nb_ref why;
	uint32_t profile;                  /* nb_profile, 0: as it was; only NB_PROFILE_STRICT can be written */
	/* source NB_LIMIT_NONE: as it was; else NB_LIMIT_VALUE */
	nb_policy_limit memory, cpu, pids, disk, wall_time;
	nb_list hide;                      /* nb_policy_path */
	nb_list env_drop;                  /* nb_policy_env */
	nb_list secrets;                   /* nb_policy_path: names; empty and secrets_given: none */
	uint32_t secrets_given;
	uint32_t no_delegate; /* 1: limits.delegate is off */
} nb_policy_rule;

/* A file that went into the compiled form. Fresh means: same size and mtime, or same checksum. The first sources are
 * always the places where a policy may be (policy.json, policy.d, and the worker's own policy.d when it is another),
 * then what they named. */
typedef enum nb_source_kind {
	NB_SOURCE_ABSENT =
		0, /* not there when compiled, and must still not be; a directory without *.json counts as absent */
	NB_SOURCE_FILE,     /* checksum: nb_checksum64 of the content */
	NB_SOURCE_DIRECTORY /* checksum: sum of nb_checksum64 of the names that end in .json; size: how many */
} nb_source_kind;
typedef struct nb_policy_source {
	nb_ref path;
	uint32_t kind; /* nb_source_kind */
	uint64_t size, mtime_ns,
		checksum; /* mtime_ns 0: the file was too young when compiled for its time to say anything */
} nb_policy_source;

/* A seccomp program, ready for SECCOMP_SET_MODE_FILTER: struct sock_filter[], checked by interpretation. */
typedef struct nb_policy_filter {
	nb_list program;                /* struct sock_filter */
	nb_ref name, why;               /* name: "default" (the profile's own), or the path of the OCI profile */
	char sha256[NB_SHA256_HEX + 7]; /* of the program's bytes; 72 bytes for alignment */
} nb_policy_filter;

typedef enum nb_secret_from { NB_SECRET_VAULT = 1, NB_SECRET_CONDOR, NB_SECRET_DIRECTORY } nb_secret_from;
/* How a vault's answer is read; the order of nb_secret_engine (secrets/secrets.h). */
typedef enum nb_policy_engine {
	NB_POLICY_ENGINE_AUTO = 0,
	NB_POLICY_KV1,
	NB_POLICY_KV2,
	NB_POLICY_DYNAMIC
} nb_policy_engine;
typedef struct nb_policy_secret {
	nb_ref name, path, field, env, why, body; /* field, env, body: may be absent */
	uint32_t from;                            /* nb_secret_from */
	uint32_t required, renew, wrap;           /* 0 or 1 */
	uint32_t engine;                          /* nb_policy_engine */
	uint32_t version;                         /* of KV 2; 0: the newest */
	uint64_t refresh_ns, increment_ns;        /* 0: the courier's own */
} nb_policy_secret;

/* vault: where secrets come from, and how to ask */
typedef struct nb_policy_vault {
	nb_ref socket, socket_why, namespace;
	uint32_t agent_uid;           /* may own the socket, beside root */
	nb_ref auth_mount, auth_role; /* the job logs in itself; both or neither */
	nb_ref token_dir, token_file; /* its token; token_dir 0: HTCondor's credential directory */
	uint64_t timeout_ns, login_grace_ns, revoke_ns;
	nb_list believed; /* nb_policy_path: attributes of the job that may be part of a path */
	nb_ref timeout_why, login_grace_why, revoke_why, unused0;
} nb_policy_vault;

typedef struct nb_policy {
	char magic[8];
	uint32_t format;   /* NB_POLICY_FORMAT */
	uint32_t size;     /* of the whole, in bytes */
	uint64_t checksum; /* nb_checksum64 of all bytes after this field */
	uint64_t builder;  /* which compiler and shipped profiles made it; another nestbox compiles again */

	char sha256[72]; /* hex, NUL-terminated: of the shipped default and the sources in order; audit's policy.sha256
			  */
	nb_ref name;     /* "built-in", the path of policy.json, or of the directory that stands in for it */
	nb_list sources; /* nb_policy_source */

	uint32_t profile; /* nb_profile */
	nb_ref profile_why;

	/* namespaces */
	uint8_t proc[4]; /* nb_proc_rung, in order, 0-terminated when shorter */
	nb_ref proc_why;
	uint32_t private_net; /* 1: own network namespace, loopback only */
	nb_ref private_net_why;
	uint32_t user_namespaces; /* how many the payload may nest (user.max_user_namespaces); strict: 0 */
	nb_ref user_namespaces_why;

	/* root */
	uint32_t tmp; /* nb_tmp_kind */
	nb_ref tmp_why;
	uint64_t tmp_bytes, shm_bytes; /* sizes of the tmpfs on /tmp and /var/tmp together, and on /dev/shm */
	uint64_t tmp_inodes;
	nb_ref tmp_bytes_why, tmp_inodes_why, shm_bytes_why;

	nb_list mounts; /* nb_policy_mount */
	nb_list hide;   /* nb_policy_path */
	nb_list images; /* nb_policy_path: directories below which images may lie; empty: anywhere */

	/* cvmfs */
	nb_ref cvmfs_path, cvmfs_why; /* 0: not bound */
	uint32_t cvmfs_required;
	nb_ref cvmfs_required_why;
	nb_list cvmfs_repositories; /* nb_policy_path: names below cvmfs_path that are touched before the box is made */

	/* limits */
	nb_policy_limit memory, cpu, pids, disk, wall_time;
	nb_policy_limit io_read, io_write; /* bytes a second */
	uint64_t disk_interval_ns; /* between two counts of what a job's directory holds */
	uint32_t disk_action;      /* nb_disk_action */
	nb_ref disk_action_why, disk_interval_why;
	uint32_t unused1;
	uint64_t memory_margin;   /* bytes below the slot's limit that stay for the keeper */
	uint32_t cpu_mode;        /* nb_cpu_mode */
	uint32_t limits_required; /* nb_limits_need */
	nb_ref limits_why, memory_margin_why, cpu_mode_why;
	uint32_t delegate; /* 1: the payload gets a cgroup below its limits for itself, to divide */
	nb_ref delegate_why;

	uint32_t landlock; /* nb_need: scoping of signals and abstract sockets (ABI 6) */
	nb_ref landlock_why;

	nb_policy_filter filters[2]; /* index nb_profile - 1 */

	nb_list env_drop, env_set;               /* nb_policy_env */
	nb_ref wrapper_inner, wrapper_inner_why; /* absolute path, or 0 */
	uint32_t features;                       /* nb_features */
	nb_ref features_why;

	nb_list sinks;             /* nb_policy_sink */
	uint32_t on_audit_failure; /* nb_on_failure */
	uint32_t hash_executable;  /* 1: process.hash.sha256 in the start record */
	nb_ref hash_executable_why;
	nb_ref audit_why, rotate_bytes_why, rotate_age_why, reserve_why;
	uint64_t rotate_bytes, rotate_age_ns; /* of the log file; 0: never */
	uint64_t reserve_bytes;               /* disk space that start records leave to end records */

	uint32_t publish_chirp; /* 1: peak memory, CPU time, OOM and end into the job ad, over Chirp */
	nb_ref publish_why;

	nb_list groups_refused; /* nb_policy_limit: value = gid */
	nb_list rules;          /* nb_policy_rule */
	nb_list secrets;        /* nb_policy_secret */
	nb_policy_vault vault;
	nb_ref kill_grace_why, enter_why;
	uint32_t enter; /* nb_enter */
	uint32_t unused0;
	uint64_t kill_grace_ns; /* between the stop signal and SIGKILL when an administrator stops a box */
} nb_policy;

/* Text at a reference ("" for 0), element i of a list. The policy was checked when it was mapped: no bounds here. */
static inline const char *nb_policy_text(const nb_policy *p, nb_ref r)
{
	return r ? (const char *)p + r : "";
}
static inline const void *nb_policy_item(const nb_policy *p, nb_list l, uint32_t i, size_t item_size)
{
	return (const char *)p + l.at + i * item_size;
}
/* Where a sink is; the usual socket of its type when the policy does not say. */
static inline const char *nb_policy_sink_path(const nb_policy *p, const nb_policy_sink *s)
{
	const char *usual = s->type == NB_SINK_JOURNALD	   ? "/run/systemd/journal/socket"
			    : s->type == NB_SINK_SYSLOG	   ? "/dev/log"
			    : s->type == NB_SINK_COLLECTOR ? NB_RUNDIR "/collect.sock"
							   : "";
	return s->path ? nb_policy_text(p, s->path) : usual;
}
#define NB_POLICY_AT(p, list, i, type) ((const type *)nb_policy_item((p), (p)->list, (i), sizeof(type)))

/* Structure only: magic, format, size, checksum, every reference and list within bounds, every text terminated, every
 * enumerator one of its kind. Pure; touches each byte once. Anything wrong is *e of class NB_POLICY. bytes: aligned
 * to 8. */
int nb_policy_check(const void *bytes, size_t size, nb_error *e);

#define NB_WORKER_POLICY_D "/etc/nestbox/policy.d"
#define NB_WORKER_COMPILED "/etc/nestbox/policy.compiled"

/* The policy that rules this launch. Launcher only, before any side effect; reads nothing from the environment.
 *   sysconfdir  SYSCONFDIR/nestbox of the tree that the running binary sits in
 *   libexecdir  LIBEXECDIR/nestbox of that tree
 *   owner       uid of the binary: may own policy files as root may
 *   caller      who counts as an owner too, with `given` only
 *   given       path of --policy FILE, or NULL
 * Order: --policy FILE; policy.json with policy.d in sysconfdir; the built-in default. NB_WORKER_POLICY_D, root's
 * alone, narrows a tree whose sysconfdir is another. What decides must be trusted (nb_open_trusted), and what was
 * judged is what is read. A compiled file that is fresh is mapped (sysconfdir/policy.compiled, NB_WORKER_COMPILED,
 * FILE.compiled); else libexecdir/nestbox-policy compiles into memory, in a fixed environment and with a deadline.
 * Errors: NB_POLICY for what the compiler says or trust denies, NB_HOST when it can't be run. The result stays mapped
 * until exit. */
typedef struct nb_policy_where {
	const char *sysconfdir, *libexecdir;
	uid_t owner, caller;
	const char *given;
	const char *seccomp; /* --seccomp: this profile in place of the policy's, by owner or caller; NULL: none */
} nb_policy_where;
int nb_policy_load(const nb_policy_where *where, const nb_policy **ret_policy, nb_error *e);

/* The built-in default, compiled into this program from policies/default.json. Never fails. */
const nb_policy *nb_policy_builtin(void);
