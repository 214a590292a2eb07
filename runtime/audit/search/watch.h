/* SPDX-License-Identifier: Apache-2.0 */
/* watch - did anything change in a directory of logs since its index was written? */
#pragma once

#include "asking.h"

typedef enum watch_verdict {
	WATCH_SAME,
	WATCH_GREW, /* some files did, and that is all */
	WATCH_MOVED /* more than growth: files came, went, shrank or were replaced */
} watch_verdict;

typedef struct watch {
	db *d; /* not owned */
	asking *asking;
	bool any;    /* the index knows of some directory */
	bool broken; /* some file can't be read to its end */
	bool no_memory;
	db_list grown; /* in the end: the files that grew, with their new size and time */
} watch;

/* Begin to ask about all that the index knows below root. Errors: NB_HOST. */
int watch_begin(watch *w, db *d, const char *root, nb_error *e);
/* True when the answer may be had after the index was read: as a rule nothing has changed. */
bool watch_can_wait(const watch *w);
/* The answer. Errors: NB_HOST. */
int watch_end(watch *w, watch_verdict *ret, nb_error *e);
void watch_free(watch *w);
