/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - what is remembered of a box after it is gone: JSON lines, each chained to the one before it.
 *
 * This part is the chain and the file: it links nothing but base, so that the launcher and the search tool agree by
 * sharing it. docs/audit-log.md is the specification; the three lines that matter:
 *
 *   {..., "nestbox":{...,"prev_hash":"<64 hex>"},"event":{...,"sequence":<n>,"hash":"<64 hex>"}}\n
 *   hash = SHA-256(32 bytes of the hash before || the line's bytes before `,"hash":"`)
 *   sequence = 1 for a file's first record, then one more each; the first record's hash before is 64 zeros, or after a
 *   rotation the hash of the record at which the earlier file was left (nestbox.chain names it).
 */
#pragma once

#include "base/base.h"

#define NB_AUDIT_ECS_VERSION "8.11.0"
#define NB_AUDIT_PROVIDER "nestbox"
#define NB_AUDIT_DATASET "nestbox.audit"

enum {
	NB_AUDIT_LINE_MAX = 32768, /* bytes of a line, its newline included */
	NB_AUDIT_CHAIN_MAX = 256,  /* bytes of it that the chain takes */
	NB_AUDIT_NAME_MAX = 160,   /* of a log file's name */
	NB_AUDIT_HASH_HEX = 64
};

/* ---- a line ------------------------------------------------------------------------------------------------- */

/* The chain's own members of one line; the pointers are into the line. */
typedef struct nb_audit_link {
	uint64_t sequence;
	uint8_t prev[32]; /* what the line says that the hash before is */
	uint8_t hash[32]; /* what the line says that its own hash is */
	size_t hashed;    /* so many bytes of the line are hashed */
} nb_audit_link;

/* Take the chain's members out of a line of n bytes (without its newline). False when it is not a chained record. Says
 * nothing about whether the hash is right. */
bool nb_audit_link_of(const char *line, size_t n, nb_audit_link *ret_link);
/* The 64 digits, lower case, of a hash; s has so many bytes or ends before. False when they are not there. */
bool nb_audit_unhex(const char *s, uint8_t out[static 32]);
/* True when the line's hash follows from `prev` and its bytes. */
bool nb_audit_link_fits(const char *line, const nb_audit_link *link, const uint8_t prev[static 32]);
/*
 * Put a line together, newline included. head: the object up to and inside "nestbox":{ with at least one member and
 * that object left open. event: members of "event" without braces, sequence and hash, at least one. Fails (NB_BUG) when
 * it goes over NB_AUDIT_LINE_MAX; *line is over at least NB_AUDIT_LINE_MAX + 1 bytes. ret_hash: the new line's hash.
 */
int nb_audit_compose(nb_text *line, const char *head, const char *event, uint64_t sequence,
		     const uint8_t prev[static 32], uint8_t ret_hash[static 32], nb_error *e);

/* ---- the end of a file -------------------------------------------------------------------------------------- */

/* Where the next record of a file goes, from the last bytes of the file. */
typedef struct nb_audit_tail {
	uint64_t sequence;  /* of the last good record; 0: none */
	uint8_t hash[32];   /* of the last good record; zeros: none */
	size_t junk;        /* bytes after it that are no record; 0: all is well */
	bool junk_is_torn;  /* the junk has no newline: an interrupted write, not an alteration */
	bool needs_newline; /* the last good record lacks only its newline */
} nb_audit_tail;

/* window: the last n bytes of a file; whole: it is the whole file. False when no good record is found and the window is
 * not the whole file: look at more. A record counts as good when its hash follows from the hash before that it names.
 */
bool nb_audit_tail_of(const char *window, size_t n, bool whole, nb_audit_tail *ret_tail);

/* Whether the last policy that the records in the window name is this one (sha256, 64 digits). */
bool nb_audit_names_policy(const char *window, size_t n, const char *sha256);

/* ---- the log file ------------------------------------------------------------------------------------------- */

/* What the caller's policy says; 0 switches the thing off. */
typedef struct nb_audit_rules {
	uint64_t rotate_bytes;  /* the file is put aside before it would grow beyond this */
	uint64_t rotate_age_ns; /* ... or when its first record is older than this */
	uint64_t reserve_bytes; /* disk space kept allocated beyond the end (usual: 1 MiB) */
	uint64_t lock_ns;       /* how long to wait for other writers before failing (usual: 10 s) */
	mode_t mode;            /* of a new file (usual: 0640) */
	const char *host; /* JSON members for the records that the log itself makes, such as "host":{"name":"wn1"}; or
			     NULL */
} nb_audit_rules;

/* An open log. Both descriptors are owned; O_CLOEXEC. The rules must outlive it. */
typedef struct nb_audit_log {
	int fd;
	int dirfd; /* for rotation, and to follow a rotation by another writer; -1: neither */
	char name[NB_AUDIT_NAME_MAX];
	const nb_audit_rules *rules;
} nb_audit_log;

/* Where a record was put. */
typedef struct nb_audit_place {
	uint64_t sequence;
	uint8_t hash[32];
	off_t offset; /* of the line's first byte */
	size_t length;
} nb_audit_place;

/*
 * Open, or create, the log dir/name for appending, before privileges are dropped. dir: absolute or relative directory
 * path. An existing file must be a regular file that the caller or root owns, and must not be writable by others. Any
 * privilege that may write there. Errors: NB_HOST.
 */
int nb_audit_open(const char *dir, const char *name, const nb_audit_rules *rules, nb_audit_log *ret_log, nb_error *e);
/* The log of the caller's effective uid there, audit-UID.jsonl; where somebody else has taken that name, a new file
 * audit-UID.ID.jsonl, and a sentence about it in `note`. id: a box's id, or another that nobody can guess. */
int nb_audit_open_own(const char *dir, const char *id, const nb_audit_rules *rules, nb_audit_log *ret_log,
		      nb_text *note, nb_error *e);
/*
 * Append one record (head and event as nb_audit_compose) in one write(2), under flock(2) LOCK_EX:
 * - a torn or damaged end is closed with a newline and a chain-anchor record that names it; nothing is ever
 * overwritten;
 * - when the rules ask for it, the file is renamed to NAME.<UTC stamp of its first record> and a new one begun, whose
 * first record (chain-anchor) carries the chain on; a writer whose file was rotated away by another one moves to the
 * new file, or, when it has no right to open that any more, ends its records in the old one;
 * - may_use_reserve false (start records): fails when the reserve can't be kept, so that a full disk is noticed before
 * a payload starts. true (end records): writes while there is any space. Not durable yet: nb_audit_sync after it.
 * ret_line: the line is added to it; or NULL. Errors: NB_HOST (disk full, lock not free in time, I/O), NB_BUG (too
 * long).
 */
int nb_audit_append(nb_audit_log *log, const char *head, const char *event, bool may_use_reserve,
		    nb_audit_place *ret_place, nb_text *ret_line, nb_error *e);
/* After an append that failed so (e->err): go on in a new file of the box's own, the reason in `note`. id: as above. */
#define NB_AUDIT_NO_END EUCLEAN
int nb_audit_move_aside(nb_audit_log *log, const char *id, nb_text *note, nb_error *e);
/* fdatasync(2): returns when everything appended so far would survive a power cut. Outside the lock, so writers share
 * it. */
int nb_audit_sync(nb_audit_log *log, nb_error *e);
void nb_audit_close(nb_audit_log *log);
#define NB_OWN_AUDIT __attribute__((cleanup(nb_audit_close)))

#include "audit/collector.h"
#include "audit/flood.h"
#include "audit/members.h"
#include "audit/record.h"
#include "audit/sink.h"
#include "audit/record_aside.h"
#include "audit/record_events.h"
