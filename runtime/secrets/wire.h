/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between keeper and courier, one a datagram of a SOCK_SEQPACKET pair: type, then the fields of its table in
 * order. Numbers little-endian; a text is its length (16 bits) and its bytes, without a NUL. A decoder takes a
 * datagram only when every text fits its field and holds no NUL, and nothing is left over. Both ends come from one
 * build: there is one format.
 */
#pragma once

#include "secrets.h"

enum { NB_WIRE_MAX = 32 * 1024, NB_WIRE_CHUNK = 24 * 1024, NB_WIRE_FDS = 1 + NB_SWEEPS_MAX, NB_COURIER_FD = 3 };

typedef enum nb_wire_type {
	NB_WIRE_VAULT = 1, /* keeper: nb_wire_vault, with descriptors: the lease file, files to sweep */
	NB_WIRE_SECRET,	   /* keeper: nb_wire_secret */
	NB_WIRE_GO,	   /* keeper: nb_wire_mark; index = how many secrets */
	NB_WIRE_TOKEN,	   /* keeper: nb_wire_blob */
	NB_WIRE_LOOK,	   /* keeper: nb_wire_mark; sys/health in place of secrets */
	NB_WIRE_FINISH,	   /* keeper: nb_wire_mark */
	NB_WIRE_SAY,	   /* courier: nb_wire_say, every event but values' bytes */
	NB_WIRE_BYTES,	   /* courier: nb_wire_blob */
	NB_WIRE_TYPES
} nb_wire_type;

typedef struct nb_wire_vault {
	uint64_t budget_ms, revoke_ms, grace_ms;
	uint32_t agent_uid, has_lease_fd, sweeps;
	char socket[108], namespace[129], job[257], auth_mount[65], auth_role[129];
} nb_wire_vault;

typedef struct nb_wire_secret {
	uint64_t refresh_ms;
	uint32_t index, engine, version, wrap, renew, increment_s;
	char name[NB_SECRET_NAME_MAX + 1], path[NB_SECRET_PATH_MAX], field[129], body[4097];
} nb_wire_secret;

typedef struct nb_wire_mark {
	uint32_t index;
} nb_wire_mark;

typedef struct nb_wire_say {
	uint64_t life_ms, total;
	uint32_t kind, index, generation, flags, version, revoked, failed, class;
	char lease[NB_SHA256_HEX], fault[24], text[NB_ERROR_TEXT];
} nb_wire_say;

/* bytes point into the datagram when decoded */
typedef struct nb_wire_blob {
	uint64_t offset;
	uint32_t index, generation;
	const uint8_t *bytes;
	size_t n;
} nb_wire_blob;

typedef struct nb_wire_message {
	nb_wire_type type;
	union {
		nb_wire_vault vault;
		nb_wire_secret secret;
		nb_wire_mark mark;
		nb_wire_say say;
		nb_wire_blob blob;
	};
} nb_wire_message;

/* Bytes written to out, or 0 when a text or the blob is over its limit. Pure. */
size_t nb_wire_encode(const nb_wire_message *m, uint8_t out[static NB_WIRE_MAX]);
/* True and *ret_m when in[0..n) is one whole message. Pure. */
bool nb_wire_decode(const uint8_t *in, size_t n, nb_wire_message *ret_m);

/* Encode, send with descriptors, wipe. 0, or -1 with errno (EMSGSIZE: over a limit; EPIPE: nobody there). Waits for
 * room. */
int nb_wire_send(int fd, const nb_wire_message *m, const int *fds, size_t fd_count);
/* One datagram into buf (which the message's blob points into), without waiting. 1; 0: none now; -1 with errno: EPIPE
 * at the end of the pair, EBADMSG for nonsense. Descriptors received come into fds (-1 beyond those sent; fds NULL:
 * any are closed). */
int nb_wire_receive(int fd, uint8_t buf[static NB_WIRE_MAX], nb_wire_message *ret_m, int fds[NB_WIRE_FDS]);
