/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity-internal - the steps between the captured texts and the answer. Spans point into the input; nothing is
 * copied before nb_id_set has checked it.
 */
#pragma once

#include "host/host.h"

/* ---- text (identity_text.c) ---------------------------------------------------------------------------------- */

nb_span nb_span_of(const char *s); /* NULL: at = NULL */
bool nb_span_is(nb_span s, const char *text);
bool nb_span_same(nb_span a, nb_span b);
bool nb_span_starts(nb_span s, const char *prefix);
bool nb_span_ends(nb_span s, const char *suffix);
bool nb_span_contains(nb_span s, const char *text);
/* Cut at the first `stop`: returns what was before it, *rest what is after it (at = NULL at the end of the text). */
nb_span nb_span_cut(nb_span *rest, char stop);
/* The text without leading and trailing blanks and newlines. */
nb_span nb_span_trim(nb_span s);
nb_span nb_span_unquote(nb_span s); /* at = NULL when there are no double quotes around it */

enum { NB_ID_CAPTURES = 5 };

/*
 * Patterns over paths. Everything is literal but
 *   %H 64 lower-case hex digits (ids of OCI engines)      %U UUID, lower case
 *   %P pod uid: a UUID with '-' or with '_', or 32 hex    %T ECS task: UUID or 32 hex
 *   %E ECS container: 32 hex, '-', digits                 %B 25 of [a-z0-9] (ids of Docker's Swarm and BuildKit)
 *   %L one or more characters other than '/'            %A as %L, but not captured
 * The pattern must end where a path component ends. Returns the length matched, 0 for none.
 */
size_t nb_id_match(const char *pattern, nb_span text, nb_span capture[static NB_ID_CAPTURES]);
/* The same against the last components of a path: the match begins after some '/' and ends with the path. */
bool nb_id_match_tail(const char *pattern, nb_span path, nb_span capture[static NB_ID_CAPTURES]);

/* Set a field that is not yet known. A value with an unexpected character or length leaves it unknown. */
void nb_id_set(nb_identity *id, nb_id_field field, nb_span value, nb_id_source source);

/* Set `to` as `from` is, if that is known and this is not. */
void nb_id_copy(nb_identity *id, nb_id_field to, nb_id_field from);

/* ---- cgroup paths (identity_cgroup.c) ------------------------------------------------------------------------ */

typedef struct nb_id_cgroup {
	nb_span id, parent;       /* innermost container, and the one around it */
	nb_span bare;             /* 64 hex digits inside of `id`, of no engine's form: a cgroup parent's child */
	nb_span pod, task;
	const char *runtime;      /* of the innermost container; NULL: not told by the path */
	const char *orchestrator;
	unsigned depth;           /* containers on the path */
	bool machine;             /* in the scope of a machine of systemd's; virtual machines have one, too */
	bool job;                 /* HTCondor's level of a slot was met; what lies below is the job's and is not read */
	bool user_made;           /* the container lies in a part of the tree that systemd gives to a user */
} nb_id_cgroup;

void nb_id_cgroup_path(nb_span path, nb_id_cgroup *ret);
/* How much a path tells: containers before a pod, a pod before a task, a task before a mere engine. */
unsigned nb_id_cgroup_weight(const nb_id_cgroup *c);
/* The line of /proc/PID/cgroup that tells most. */
void nb_id_cgroup_file(nb_span text, nb_id_cgroup *ret);

/* ---- mountinfo (identity_mounts.c) --------------------------------------------------------------------------- */

enum { NB_ID_SHARED_RANK = 2 };

typedef struct nb_id_mounts {
	nb_span engine;              /* container whose files are mounted as /etc/hostname and so on */
	const char *engine_runtime;
	nb_span shared;              /* whose files are in /etc: in a pod, its sandbox */
	const char *sandbox_runtime; /* the engine that keeps such files per pod */
	nb_span pod, pod_container;
	nb_span agent, framework, executor, mesos, mesos_parent;
	nb_span allocation, lxc;
	nb_span lxc_directory;       /* name of the directory that "/" is in, where LXC keeps its containers */
	nb_span bare;                /* as in nb_id_cgroup, of the root of the cgroup mounts */
	nb_id_cgroup cgroup;         /* of the root of the cgroup mounts: the container's own, whoever reads it */
	unsigned engine_rank;        /* of the file that told `engine`; from NB_ID_SHARED_RANK on it may be shared */
	bool kubernetes, mesos_network, apptainer;
	bool lxc_boot_id;            /* LXC's own boot id is mounted */
	nb_span root;                /* where on its file system "/" is; at = NULL: no mounts were captured */
	bool container_root;         /* "/" is what engines make, not what hosts have */
	bool machine_root;           /* "/" is a directory of systemd's machines */
} nb_id_mounts;

/* sandbox_at: the sandbox's mount point if it is not the usual one; at = NULL otherwise. */
void nb_id_mounts_read(nb_span mountinfo, nb_span sandbox_at, nb_id_mounts *ret);
/* What a Mesos agent's sandbox path tells: .../slaves/A/frameworks/F/executors/E/runs/UUID[/containers/UUID...]. */
bool nb_id_mesos_path(nb_span path, nb_id_mounts *m);

/* ---- environment (identity_environ.c) ------------------------------------------------------------------------ */

typedef struct nb_id_environ {
	nb_span entrypoint; /* at = NULL: not to be had, or a job's */
	nb_span own;        /* at = NULL: not to be had, or a job's */
} nb_id_environ;

/* job_cgroup, job_cgroup1: the own cgroup, that of process 1, is a job's. Process 1 is the job's own where HTCondor
 * gives each job a PID namespace. */
nb_id_environ nb_id_environ_of(const nb_identity_input *in, bool job_cgroup, bool job_cgroup1);
/* First variable of the list ("A B C") that is set and not empty. */
nb_span nb_id_env(const nb_id_environ *env, const char *names, nb_id_source *ret_source);
/* Any variable whose name ends in `suffix`. */
nb_span nb_id_env_ending(const nb_id_environ *env, const char *suffix, nb_id_source *ret_source);
void nb_id_set_env(nb_identity *id, nb_id_field field, const nb_id_environ *env, const char *names);

/* ---- the orchestrators' own names (identity_orchestrator.c) -------------------------------------------------- */

typedef struct nb_id_evidence {
	const nb_identity_input *in;
	nb_id_environ env;
	nb_id_mounts mounts;
	nb_id_cgroup cgroup;
	bool container; /* something that a job can't write says that this is a container */
	bool pod;
} nb_id_evidence;

/* An environment that names another Mesos container than the sandbox mount does is not this container's. */
bool nb_id_environ_contradicts(const nb_id_environ *env, const nb_id_mounts *m);
void nb_id_orchestrators(const nb_id_evidence *v, nb_identity *id);

/* ---- the identity file (identity_file.c) --------------------------------------------------------------------- */

/* Put the values of an identity file (`Name = "value"` lines) before those found, unless it names another container. */
void nb_id_file_merge(nb_span text, nb_identity *id);
