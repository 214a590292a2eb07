/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The courier: one process, one socket, no files. It is told what to fetch over the pair on descriptor 3, fetches it
 * from a Vault or OpenBao agent, hands the values over, and lives on to renew them and to give the leases back.
 * Private to runtime/secrets/courier.
 *
 * main.c     the order of things: harden, hear the request, look at the socket, confine, work
 * arena.c    the one piece of memory for values, tokens, replies and JSON trees: locked, not dumped, wiped when freed
 * confine.c  what the kernel lets it do afterwards
 * http.c     one request, one reply, bounded (libcurl)
 * reply.c    what a reply says (jansson)
 * value.c    the secret in it
 * vault.c    login, fetch, unwrap, health
 * renew.c    leases noted, renewed and given back
 * life.c     when: first answers, the end
 * keep.c     renewals and failures in between
 * tell.c     what the keeper hears of it
 * faults.c   every way to fail, its sentence, and whether to try again
 */
#pragma once

#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "secrets/wire.h"

/* ---- arena.c ---- */

enum { ARENA_BYTES = 4 << 20 };
/* The allocators of libcurl and jansson take no context: the arena's address follows from the kernel's AT_RANDOM
 * (getauxval(3)). */
int arena_make(bool *ret_locked, nb_error *e);
void *arena_alloc(size_t n); /* 16-byte aligned, NULL when full */
void *arena_calloc(size_t count, size_t n);
void *arena_realloc(void *p, size_t n); /* p == NULL: as arena_alloc */
void arena_free(void *p);		/* wipes; NULL is fine */
char *arena_strdup(const char *s);
void arena_wipe(void); /* what is still in use, at the end; the rest was wiped when it was freed */
static inline void arena_freep(void *p)
{
	void *memory = *(void **)p;
	arena_free(memory);
}
#define ARENA_OWN __attribute__((cleanup(arena_freep)))

/* ---- faults.c ---- */

typedef enum fault {
	FAULT_NONE = 0,
	FAULT_ABSENT,
	FAULT_REFUSED,
	FAULT_BUSY,
	FAULT_UNTRUSTED,
	FAULT_NO_ACCESS,
	FAULT_TIMEOUT,
	FAULT_CUT,
	FAULT_NOT_HTTP,
	FAULT_HEADERS,
	FAULT_TOO_LARGE,
	FAULT_REDIRECT,
	FAULT_BAD_REQUEST,
	FAULT_UPGRADING,
	FAULT_DENIED,
	FAULT_STARTING,
	FAULT_NO_MOUNT,
	FAULT_MISSING,
	FAULT_NO_VERSION,
	FAULT_DELETED,
	FAULT_DESTROYED,
	FAULT_WRONG_PATH,
	FAULT_METHOD,
	FAULT_HEADER_RULE,
	FAULT_QUOTA,
	FAULT_STANDBY,
	FAULT_UNINITIALISED,
	FAULT_SEALED,
	FAULT_SERVER,
	FAULT_STATUS,
	FAULT_NOT_JSON,
	FAULT_ODD_JSON,
	FAULT_NO_DATA,
	FAULT_NO_FIELD,
	FAULT_EMPTY,
	FAULT_LEASE,
	FAULT_NOT_WRAPPED,
	FAULT_WRAP_ORIGIN,
	FAULT_UNWRAPPED,
	FAULT_LOGIN,
	FAULT_REVOKE,
	FAULT_COUNT
} fault;

/* One row a fault; docs/secrets.md has the same table and a test compares them. */
typedef struct fault_row {
	const char *word;
	bool retry;
	nb_class class;
	const char *sentence; /* with {path} {field} {detail} */
} fault_row;
const fault_row *fault_of(fault f);
/* "secret 'NAME': " and the sentence, placeholders filled, made visible. */
void fault_say(fault f, const char *name, const char *path, const char *field, const char *detail,
	       char out[static NB_ERROR_TEXT]);

/* ---- what one fetch came to ---- */

enum { DETAIL_MAX = 200, LEASE_MAX = 512, VAULT_TOKEN_MAX = 4096 };

typedef struct outcome {
	fault fault;
	char detail[DETAIL_MAX + 1]; /* of the server, or of libcurl; never of a value */
	char *value;		     /* arena; the caller frees */
	size_t length;
	char lease[LEASE_MAX + 1]; /* "" : none */
	bool renewable, cached;
	uint64_t life_ms; /* 0: none told */
	bool hint;	  /* life_ms says when to look again, not when the value ends */
	uint32_t version;
	const char *path; /* that the sentence names; NULL: the secret's own */
} outcome;

/* ---- http.c ---- */

typedef struct request {
	const char *path; /* below /v1/ */
	const char *body; /* NULL: GET; else POST, application/json */
	bool wrap;
	uint32_t serial; /* X-Nestbox-Serial: another one asks a caching agent for a new answer */
} request;

typedef struct reply {
	fault fault; /* of the transport; FAULT_NONE: status and body are there */
	long status;
	bool cached;
	uint64_t age_ms; /* of a cached reply: Age */
	char detail[DETAIL_MAX + 1];
	char *body; /* arena, NUL-terminated */
	size_t length;
} reply;

/* What every request needs. */
typedef struct agent {
	const struct sockaddr_un *address; /* read-only memory: the one place connect(2) may go to */
	socklen_t address_length;
	uid_t uid;
	const char *namespace, *job;
	char token[VAULT_TOKEN_MAX + 1]; /* the job's own, after login; "": the agent's */
	bool interruptible;		 /* a word of the keeper, or its end, cuts a request short ... */
	uint64_t grace_ns;		 /* ... after this long */
} agent;

int http_start(nb_error *e); /* before confinement */
/* Ends before the moment `deadline`, whatever the peer does. The caller frees r->body. */
void http_ask(const agent *a, const request *q, uint64_t deadline, reply *r);

/* ---- reply.c ---- */

enum { JSON_DEPTH_MAX = 16, JSON_VALUES_MAX = 20000 };

/* The reply's JSON: bounded depth and number of values, no duplicate keys, no NUL, UTF-8; NULL and *detail (no part of
 * the text). */
json_t *reply_json(const char *text, size_t n, char detail[static DETAIL_MAX + 1]);
/* Status and body into fault and detail; FAULT_NONE for 200 and 204. */
fault reply_fault(const reply *r, char detail[static DETAIL_MAX + 1]);
/* A text in an object of the reply, or NULL. */
const char *json_text(const json_t *object, const char *key);

/* ---- value.c ---- */

/* What a secret's reply holds: value, life, lease. root is r's body. */
void reply_secret(const nb_wire_secret *ask, const reply *r, const json_t *root, outcome *o);
/* lease_duration and renewable of an object, less what a cached reply has aged since it was made (at least a second is
 * left: an agent that keeps a lease alive itself gives out the first answer on and on). */
void reply_life(const json_t *object, const reply *r, outcome *o);
bool lease_id_good(const char *id); /* printable ASCII without blanks */

/* ---- vault.c ---- */

typedef struct courier courier;
/* Transport and status, in one; the caller frees r->body. */
fault vault_ask(courier *c, const request *q, uint64_t deadline, reply *r, outcome *o);
/* The body of a good reply. NULL: o says why. */
json_t *vault_json(const reply *r, outcome *o);
/* Of a lease whose value can't be used o->lease is kept: it is the caller's to give back. */
void vault_fetch(courier *c, const nb_wire_secret *ask, uint32_t serial, uint64_t deadline, outcome *o);
/* The token of before stays when there is no new one. */
void vault_login(courier *c, uint64_t deadline, outcome *o);
void vault_health(courier *c, uint64_t deadline, outcome *o);
/* "{"key":"value"}" in the arena, escaped; count pairs of key and value. */
char *json_body(const char *const *pairs, size_t count);

/* ---- renew.c ---- */

typedef struct lease {
	char id[LEASE_MAX + 1];
	uint64_t ends;	/* boottime ns, 0: unknown */
	uint32_t index; /* of its secret */
} lease;
enum { LEASES_MAX = 256 };

/* o->fault, o->life_ms, o->renewable */
void lease_renew(courier *c, const char *id, uint32_t increment_s, uint32_t serial, uint64_t deadline, outcome *o);
/* FAULT_NONE: it is over. */
fault lease_revoke(courier *c, const char *id, uint64_t deadline, outcome *o);
/* Note a lease, in the file first: before its value leaves this process. */
bool lease_add(courier *c, const char *id, uint64_t ends, uint32_t index);
/* Give all back until the deadline; counts. What may be given back later stays in the file; what is refused would be
 * refused again, and is told. */
void leases_revoke(courier *c, uint64_t deadline, uint32_t *ret_revoked, uint32_t *ret_failed);
void leases_sweep(courier *c, uint32_t index, uint64_t deadline);
void token_renew(courier *c, uint64_t deadline, outcome *o);

/* ---- life.c, tell.c ---- */

typedef enum secret_state { STATE_ASKED = 0, STATE_HELD, STATE_FAILED } secret_state;

typedef struct secret {
	nb_wire_secret ask;
	secret_state state;
	uint32_t generation, version, tries;
	uint32_t serial; /* answers had */
	uint8_t digest[32]; /* of the value handed over last */
	char lease[LEASE_MAX + 1];
	bool renewable, failing, expired;
	fault seen; /* the failure before: says more than that a last, short try ran out of time */
	char seen_detail[DETAIL_MAX + 1];
	uint64_t due, ends, life_ms; /* boottime ns; 0: never */
} secret;

struct courier {
	agent agent;
	nb_wire_vault vault;
	uint64_t started, deadline;
	char jwt[NB_SECRET_TOKEN_MAX + 1], login_path[96];
	bool logged_in, token_wanted, token_renewable, over;
	bool login_lost; /* told: what the job logged in with ends, and there is nothing new */
	uint32_t logins, login_tries;
	uint64_t token_due, token_ends, token_life_ms;
	int lease_fd, sweep_fds[NB_SWEEPS_MAX];
	uint32_t swept, count, lease_count;
	lease leases[LEASES_MAX];
	secret secrets[NB_SECRETS_MAX];
};

/* First answers, then renewals until FINISH or the end of the pair, then leases given back. */
void life_run(courier *c);
/* All waits of the courier: milliseconds, ended early by a word of the keeper. False once the pair ended or FINISH
 * came. */
bool life_pause(courier *c, uint64_t ms);
/* Log in, if the job does so itself. */
void life_login(courier *c, uint64_t deadline, outcome *o);
/* The login lives for so long from now, 0: without an end. */
void life_of_login(courier *c, uint64_t life_ms);
/* One try for one secret; tells the keeper when it worked or will never work. True when there is nothing more to try
 * for now. */
bool secret_try(courier *c, uint32_t index, uint64_t until, bool last, outcome *o);
/* All that is due, until the end. */
void keep_fresh(courier *c);
uint64_t random_below(uint64_t n);

bool tell(const nb_wire_say *say);
bool tell_value(const secret *s, uint32_t index, const outcome *o);
bool tell_failure(const secret *s, uint32_t index, const outcome *o);
bool tell_life(const secret *s, uint32_t index, nb_secret_event_kind kind, uint64_t life_ms);

/* ---- confine.c ---- */

enum {
	MS_NS = 1000000,
	FIRST_PAUSE_MS = 100 /* before a second try; each further pause is longer, up to a second */
};
int harden(nb_error *e); /* first: not dumpable, limits, signals, no new privileges */
/* From here on: no file, no program, no process, no memory map; connect(2) to `address` only. Adds NB_SECRET_* flags.
 */
int confine(const struct sockaddr_un *address, socklen_t length, uint32_t *flags, nb_error *e);
/* The address in a page of its own, which is read-only from now on. */
const struct sockaddr_un *address_page(const char *path, socklen_t *ret_length, nb_error *e);
