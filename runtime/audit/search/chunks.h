/* SPDX-License-Identifier: Apache-2.0 */
/* chunks - the lines at places of the logs. What one key led to is kept while an answer is put together, since the
 * other records of a box are as a rule where the first was. */
#pragma once

#include "places.h"

/* The lines that begin in some chunks of a file. */
typedef struct chunk_lines {
	uint64_t first, last; /* places, as in `places` */
	uint32_t file;        /* index into the source list */
	uint64_t offset;      /* of text.at */
	slice text;           /* into buf */
	char *buf;            /* owned */
} chunk_lines;

typedef struct chunks {
	chunk_lines *at; /* in order */
	size_t count, room;
	size_t bytes;
} chunks;

void chunks_free(chunks *c);
/* Keep some, whose buffer becomes c's; false when there is no room, and it stays the caller's. Only what comes in order
 * is kept. */
bool chunks_keep(chunks *c, const chunk_lines *lines);
/* Kept lines that hold all of [first, last]; NULL: none. */
const chunk_lines *chunks_find(const chunks *c, uint64_t first, uint64_t last);
/* Read the lines that begin in chunks [first, last] of a file; none may. Sets text, offset and buf. Errors: NB_HOST. */
int chunks_read(source_reader *reader, uint32_t first, uint32_t last, chunk_lines *ret, nb_error *e);
