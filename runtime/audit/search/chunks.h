/* SPDX-License-Identifier: Apache-2.0 */
/* chunks - the lines at places of the logs. */
#pragma once

#include "places.h"

/* The lines that begin in some chunks of a file. */
typedef struct chunk_lines {
	uint64_t offset; /* of text.at */
	slice text;      /* into buf */
	char *buf;       /* owned; used again */
	size_t room;
} chunk_lines;

/* Read the lines that begin in chunks [first, last] of a file; none may. Errors: NB_HOST. */
int chunks_read(source_reader *reader, uint32_t first, uint32_t last, chunk_lines *lines, nb_error *e);
