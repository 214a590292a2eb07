/* SPDX-License-Identifier: Apache-2.0 */
/* asking - is what the index tells of still so in the file system? That is most of what a search costs, so another
 * thread asks while the index is read; where the answers come from the disk, several do. */
#pragma once

#include "db.h"

typedef struct asked_growth {
	uint32_t id;
	uint64_t size, mtime_ns; /* as they are now */
} asked_growth;

typedef struct asking_answer {
	bool moved; /* a directory changed, or a file did more than grow */
	asked_growth *grown;
	size_t grown_count;
} asking_answer;

typedef struct asking asking;

/* NULL: no memory. */
asking *asking_new(void);
/* Add a part as db_watch gives it. False: no memory. */
bool asking_add(asking *a, const uint8_t *part, size_t n);
/* Begin; paths are below root. Nothing may be added any more. Errors: NB_HOST. */
int asking_begin(asking *a, const char *root, nb_error *e);
/* Help, or do it alone where threads could not be had, and wait. The answer is valid until asking_free. False: no
 * memory. */
bool asking_end(asking *a, asking_answer *ret);
/* What was begun is ended by itself. */
void asking_free(asking **a);
