/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector - the launcher's side of `nestbox collect`: records go over a unix socket to a process of root's, which
 * says by itself whose they are, chains and writes them. What it believes and what not: runtime/collect/collect.h.
 *
 * Wire: SOCK_SEQPACKET, one message each way at a time, both ends on one machine, so numbers are in its byte order.
 *   collector: NB_COLLECT_HELLO with a number used once, after it has looked at who connected; or NB_COLLECT_REFUSED
 *   launcher:  an nb_collect_ask, then `head` and `event` as nb_audit_append takes them, without NULs
 *   collector: NB_COLLECT_PLACED or NB_COLLECT_REFUSED
 * The number makes a record that was put into the socket before the collector looked, by a program that then executed
 * the launcher, worthless.
 *
 * No library, no allocation. Every wait has a deadline. With a box's start or end the caller becomes non-dumpable
 * (prctl(2) PR_SET_DUMPABLE): the collector takes neither from a process that others of its user could attach to.
 */
#pragma once

#include "base/base.h"

enum {
	NB_COLLECT_MAGIC = 0x6e62636c,
	NB_COLLECT_NONCE = 16,
	NB_COLLECT_TEXT_MAX = 30208, /* head and event: what the collector adds has to fit into a line as well */
	NB_COLLECT_PATH = 108        /* sun_path, unix(7) */
};

typedef enum nb_collect_kind {
	NB_COLLECT_START = 1, /* sandbox-start: one for a process, a box begins */
	NB_COLLECT_END,       /* sandbox-end: from the process that began it, and no other */
	NB_COLLECT_OTHER,     /* about a box that runs, by its user or root */
	NB_COLLECT_HELLO,
	NB_COLLECT_PLACED,
	NB_COLLECT_REFUSED
} nb_collect_kind;

typedef struct nb_collect_ask {
	uint32_t magic, kind;
	uint32_t durable;     /* 1: answer when it would survive a power cut */
	uint32_t head, event; /* bytes of each */
	uint8_t nonce[NB_COLLECT_NONCE];
	char id[NB_UUID_TEXT]; /* of the box, NUL-terminated */
	char zero[3];
} nb_collect_ask;
_Static_assert(sizeof(nb_collect_ask) == 76, "no padding that would carry memory");

typedef struct nb_collect_answer {
	uint32_t magic, kind;
	uint32_t class; /* nb_class of a refusal */
	uint32_t zero;
	uint64_t sequence;
	uint8_t bytes[32];        /* HELLO: the number, 16 bytes; PLACED: the record's hash */
	char text[NB_ERROR_TEXT]; /* REFUSED: one sentence, NUL-terminated */
} nb_collect_answer;

struct nb_audit_place;

/* A connection. The descriptor is owned; O_CLOEXEC; -1: none. */
typedef struct nb_collector {
	int fd;
	char path[NB_COLLECT_PATH];
	uint8_t nonce[NB_COLLECT_NONCE];
	uint64_t within_ns; /* how long each exchange may take */
} nb_collector;

/* Connect and wait for the hello. Whoever listens there must have been root when he began to. Errors: NB_HOST; what the
 * collector refuses has its sentence. */
int nb_collector_open(const char *path, uint64_t within_ns, nb_collector *ret_c, nb_error *e);
/*
 * Hand one record over and wait for its place in the chain. A collector that was restarted meanwhile is connected to
 * again, once. id: the box's. Errors: NB_HOST, or the class of the refusal.
 */
int nb_collector_send(nb_collector *c, nb_collect_kind kind, const char *id, const char *head, const char *event,
		      bool durable, struct nb_audit_place *ret_place, nb_error *e);
void nb_collector_close(nb_collector *c);
