/* SPDX-License-Identifier: Apache-2.0 */
/* check - does every record of a file follow from the one before it? Fed with runs of lines, knows nothing of files. */
#pragma once

#include "audit/audit.h"
#include "pick.h"

typedef enum check_kind {
	CHECK_FITS,
	CHECK_TORN,    /* a note: an interrupted write, at the end or closed by the next writer */
	CHECK_ALTERED, /* the line's hash does not follow from its text */
	CHECK_BROKEN,  /* the line is whole but does not follow the one before: dropped, inserted or moved */
	CHECK_JUNK,    /* the line is no record */
} check_kind;

typedef struct check {
	uint64_t line;          /* number of the line last looked at, from 1 */
	uint64_t records;       /* that fitted */
	uint64_t sequence;      /* of the last good record */
	uint8_t hash[32];       /* of the last good record */
	uint8_t first_prev[32]; /* what the first record says that it follows */
	uint8_t first_hash[32];
	bool begun, fresh; /* fresh: the record just looked at fitted */
	check_kind fault;  /* the first thing that does not fit; nothing after it is judged */
	uint64_t fault_line;
	uint64_t torn, torn_line;       /* torn lines that a writer closed, and the first of them */
	uint64_t junk_line, junk_bytes; /* lines that are no record, not judged yet */
	bool junk_newline;
	nb_sha256 junk_sum, junk_sum_bare; /* of them with, and without, the last newline */
	uint64_t bytes;
} check;

void check_init(check *c);
/* One line; newline: it ended with one. */
void check_line(check *c, slice line, bool newline);
/* After the last line: judges what is open. */
void check_end(check *c);
const char *check_words(check_kind kind);
/* SHA-256 by the fastest way at hand. */
void check_digest(const uint8_t prev[static 32], slice text, uint8_t out[static 32]);
