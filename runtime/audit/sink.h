/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink - where records go, more than one place at a time: the policy's audit.sinks.
 *
 * A record's line is composed once. The first file that is open gives it its place in the chain, and the same bytes go
 * to every other sink; so each of them can tell later whether the file was changed (nestbox audit verify --against).
 * Where no file is open, the lines of one process are a chain of their own. A second file has a chain of its own.
 *
 * All of it runs in the keeper, or in nestbox kill: outside the box, with the caller's privileges, opened before the
 * box is made. Descriptors are O_CLOEXEC.
 */
#pragma once

#include "audit/audit.h"
#include "host/host.h"
#include "policy/policy.h"

enum { NB_SINKS = 8, NB_SINK_SAYS = 240, NB_SINK_HOST = 512 };

/* What a record is about, for sinks that show more than the line. Texts are the caller's. */
typedef struct nb_about {
	const char *action;   /* event.action */
	const char *box;      /* nestbox.id */
	const char *job;      /* the job's GlobalJobId, a claim; "" when there is none */
	bool may_use_reserve; /* false: a start record, see nb_audit_append */
} nb_about;

/* One record on its way. */
typedef struct nb_sent {
	const nb_about *about;
	const char *head, *event; /* as nb_audit_append takes them */
	nb_text line;             /* with its newline; used 0: not composed yet, which only a file can do */
	uint64_t sequence;
	uint8_t hash[32];
} nb_sent;

typedef struct nb_sinks nb_sinks;
typedef struct nb_sink {
	uint32_t type;  /* nb_sink_type */
	uint32_t flags; /* of nb_policy_sink */
	uint32_t facility, max_size;
	const char *path; /* the plan's or the policy's */
	bool required;    /* what it does not take fails the append */
	bool failed;      /* it did not take a record: it is asked again for the next */
	int fd;           /* sockets */
	nb_audit_log log; /* files */
	nb_collector collector;
	nb_sinks *all;
} nb_sink;

/*
 * A kind of sink. Each returns 0, or -1 with an error of class NB_HOST whose sentence names the sink and who must act.
 *   open   into s; nothing is left open on failure. Not later than all->rules.lock_ns.
 *   put    the line, whole or not at all. It may wait that long, too: a receiver that stands still must not stop a
 * worker for ever. A file composes r->line when nobody has yet. sync   returns when what was put survives: a power cut
 * (file), the end of this process (sockets). NULL: put does. close  gives the descriptors back; also called in the
 * child that becomes pid 1, so it says nothing to anybody.
 */
typedef struct nb_sink_kind {
	const char *name;
	int (*open)(nb_sink *s, nb_error *e);
	int (*put)(nb_sink *s, nb_sent *r, nb_error *e);
	int (*sync)(nb_sink *s, nb_error *e);
	void (*close)(nb_sink *s);
} nb_sink_kind;
/* By nb_sink_type; a row without open is not served. */
extern const nb_sink_kind nb_sink_kinds[NB_SINK_COLLECTOR + 1];

/* The open sinks of one process. Nothing in it may move while sinks are open. */
struct nb_sinks {
	nb_sink at[NB_SINKS];
	uint32_t count;
	const nb_host
		*host;  /* hostname; own_log, where a file goes when the policy's directory can't be had; "": nowhere */
	const char *id; /* the box's, or of what is recorded: names a file of its own where the usual name is taken */
	nb_audit_rules rules;
	char host_members[NB_SINK_HOST]; /* rules.host */
	uint64_t sequence;               /* of the last record, and its hash: the chain where no file carries one */
	uint8_t hash[32];
	char note[NB_SINK_SAYS]; /* what a reader of the records must know: a file name that somebody else had taken */
	char missing[NB_SINK_SAYS]; /* sinks that did not take a record, and why; "" when all did */
};

/* Begin with none open. host, policy and id must outlive the sinks. */
void nb_sinks_begin(nb_sinks *sinks, const nb_policy *policy, const nb_host *host, const char *id);
/* Open one more of the policy's, at `path`. -1: it can't be opened, and is `required`, or no nestbox serves
 * its kind (NB_POLICY). One that is not required is remembered in `missing`. Files come first. */
int nb_sinks_open(nb_sinks *sinks, const nb_policy_sink *of, const char *path, bool required, nb_error *e);
/* All sinks of the policy, none of them required: for records beside a box. */
void nb_sinks_open_all(nb_sinks *sinks, const nb_policy *policy);
/* To every sink, whatever the others do. -1: one that is required did not take it, *e is of the first such. */
int nb_sinks_append(nb_sinks *sinks, const char *head, const char *event, const nb_about *about, nb_error *e);
int nb_sinks_sync(nb_sinks *sinks, nb_error *e);
void nb_sinks_close(nb_sinks *sinks);
/* Whether the last record in the first file that names a policy names this one (sha256 in hexadecimal). Read without
 * the lock: of two writers both may find that it does not. True where there is no file to tell. */
bool nb_sinks_know_policy(const nb_sinks *sinks, const char *sha256);
/* Whether the first file tells of this box's end or loss. Read without the lock, the last NB_SINKS_END_LOOKS bytes of
 * it at the most. */
enum { NB_SINKS_END_LOOKS = 16 << 20 };
bool nb_sinks_tell_end(const nb_sinks *sinks, const char *id);
/* The directory of the first file; -1: none. */
int nb_sinks_directory(const nb_sinks *sinks);
/* Only a file: then nobody asks what a record is about. */
bool nb_sinks_are_plain(const nb_sinks *sinks);
