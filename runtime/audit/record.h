/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - what the records of one box say (docs/audit-log.md; Elastic Common Schema names, own fields under
 * nestbox.*).
 *
 * nestbox.attested.* comes from the kernel and from files that root owns; nestbox.claimed.* from the job's ad and
 * environment, which the job can write. The launcher's side: no library, bounded text, nothing else than nb_text.
 */
#pragma once

#include "base/base.h"
#include "plan/plan.h"

enum { NB_LIFE_LIMITS = 16, NB_LIFE_LIMIT_TEXT = 96 };

/* Why a box ended, when that was not the payload's own doing or success. */
typedef enum nb_end {
	NB_END_OWN,           /* the payload ended by itself */
	NB_END_MEMORY,        /* the kernel killed something of it for its memory limit */
	NB_END_PIDS,          /* it failed after its limit of tasks had refused it some */
	NB_END_DISK,          /* its directory held more than limits.disk, or could not be counted */
	NB_END_WALL_TIME,     /* it ran for longer than limits.wall_time */
	NB_END_STOPPED,       /* a signal from outside, passed on by the keeper */
	NB_END_KILLED,        /* pid 1 was killed from outside */
	NB_END_ADMINISTRATOR, /* nestbox kill */
	NB_ENDS
} nb_end;
extern const char *const nb_end_words[NB_ENDS]; /* nestbox.exit.reason */
enum { NB_END_SENTENCE = 400 };

/* The last signal from outside that ends a process by default: who sent it (siginfo; pid 0: from outside the keeper's
 * pid namespace). signal 0: there was none. */
typedef struct nb_stop {
	int signal;
	pid_t pid;
	uid_t uid;
	char name[32];     /* of that uid, where the worker has one; for NB_END_ADMINISTRATOR alone */
	uint64_t since_ns; /* realtime of the first one */
} nb_stop;

/* What is known of a secret of the box: never its value. */
typedef struct nb_life_secret {
	const char *name;
	char lease[NB_SHA256_HEX]; /* SHA-256 of the lease's id, or "" */
	uint32_t generation;       /* 0: there is no value */
	uint64_t life_ns;          /* of the value, when it came; 0: no end known */
	uint64_t ends_ns;          /* the same as a moment (realtime), or 0 */
	bool expired;
	char fault[24];          /* the word of docs/secrets.md for what went wrong last; "" once a good value came */
	char why[NB_ERROR_TEXT]; /* its sentence */
} nb_life_secret;

/* A command that joined a running box. */
typedef struct nb_life_entry {
	uint32_t number; /* of this box's, from 1 */
	uid_t uid;       /* who asked, and from which process: the kernel's word */
	pid_t pid;
	bool terminal;     /* it has one of the box's own */
	const char *words; /* the command, each word with its NUL; NULL in the record of its end */
	size_t size;
	uint64_t started_ns, ended_ns; /* realtime; ended_ns 0: the record of its beginning */
	int status;                    /* wait status */
} nb_life_entry;

/* A repository of CVMFS as this worker had it (cvmfs' extended attributes user.revision and user.root_hash). */
enum { NB_LIFE_CVMFS = 8 };
typedef struct nb_life_cvmfs {
	char repository[80], revision[24], root_hash[96];
} nb_life_cvmfs;

/* One box, as far as it is known at the time of a record. Filled by the keeper. */
typedef struct nb_life {
	char id[NB_UUID_TEXT];
	const nb_plan *plan;
	const char *trust; /* "root", "collector", "same-uid": who could have written or altered the record */
	pid_t keeper, parent, init;
	char user_name[40], parent_name[24]; /* of the payload's uid; the parent's comm; "": not known */
	uint64_t cgroup_id;                  /* of plan->host->cgroup.own; 0: not known */
	uint64_t image_dev, image_ino;       /* of the image's directory; ino 0: not known */
	nb_life_cvmfs cvmfs[NB_LIFE_CVMFS];
	uint32_t cvmfs_count;
	pid_t payload;                         /* on the worker; 0: not known (yet) */
	uint64_t payload_started_ns, setup_ns; /* setup: from started_boottime_ns to the payload's exec; 0: none */
	char exe_sha256[NB_SHA256_HEX];        /* "": not asked for, or there is no such file */
	uint64_t started_ns, started_boottime_ns, ended_ns; /* realtime, boottime, realtime */
	uint64_t ns[NB_NAMESPACES];
	uint32_t proc; /* nb_proc_rung */
	char limit_names[NB_LIFE_LIMITS][NB_LIFE_LIMIT_TEXT],
		limit_values[NB_LIFE_LIMITS][NB_LIFE_LIMIT_TEXT]; /* read back */
	uint32_t limit_count;
	const nb_life_secret *secrets; /* the box's, for the start record; the keeper's memory */
	uint32_t secret_count;
	const nb_life_secret *secret; /* for nb_record_secret: to which one something happened ... */
	const char *secret_action;    /* ... "secret-issued", "secret-renewed", "secret-failed" */
	char delegated[64];           /* controllers that the payload may divide, with commas; "": none */
	nb_ad identity;               /* RUNSTATEDIR/nestbox/identity, when root wrote it */
	const nb_life_entry *entry;   /* what nb_record_enter is about */
	bool ran;
	int status;                  /* wait status */
	const struct nb_flood *told; /* of events-suppressed */
	const nb_error *failed;      /* why no payload ran; NULL: one did, or nobody knows */
	uint32_t leftovers; /* processes that were there when the payload had ended, and were killed; UINT32_MAX: not
			     * known */
	bool init_killed;   /* pid 1 died of SIGKILL before it could tell of the payload */
	nb_stop stop;
	bool over_limit;     /* the memory limit of the box itself was reached, not one above or below it */
	nb_end cut;          /* what the payload was ended for: a limit of the keeper's own, NB_END_ADMINISTRATOR; else
				NB_END_OWN */
	nb_end hit;          /* the limit that a limit-hit record is about */
	bool disk_uncounted; /* not its size, but that it can't be counted */
	uint64_t disk_used, disk_peak;
	const char *audit_note, *audit_missing; /* of the sinks; NULL or "": nothing to say */
	uint64_t pids_refused;                  /* forks that the limit of tasks refused */
	uint64_t memory_peak, oom_kills, pids_peak, cpu_user_ns, cpu_system_ns;
	uint64_t io_read, io_written; /* bytes from and to block devices: v2 by io.stat, else by getrusage(2) */
} nb_life;

/* From what life knows at the end. Pure. */
nb_end nb_end_of(const nb_life *life);
/* One sentence that says which limit, how much, and who must act; nothing for NB_END_OWN. */
void nb_end_sentence(const nb_life *life, nb_text *out);

/* The limit that an end, or a limit-hit record, is about: bytes, tasks, or ns; 0: it is about none. */
uint64_t nb_limit_value(const nb_life *life, nb_end what);

void nb_life_limit(nb_life *life, const char *name, const char *value);

/* head and event of nb_audit_append. -1 when they did not fit (NB_BUG): long arguments are cut before. */
int nb_record_start(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
/* life->secret happened now. */
int nb_record_secret(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
int nb_record_end(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
/* limit-hit: a limit refused or ended something in a box that may run on. */
int nb_record_limit(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
/* sandbox-enter, sandbox-leave: of life->entry. */
int nb_record_enter(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
