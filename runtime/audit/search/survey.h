/* SPDX-License-Identifier: Apache-2.0 */
/* survey - the files that an index knows, and those that are there: which is which. */
#pragma once

#include "index.h"

/* The index's rows and the files that are there, side by side. */
typedef struct survey {
	index_root *i;
	db_list rows;
	db_file **by_path, **by_inode, **by_head;
	bool *claimed;     /* the row belongs to a file that is there */
	source_list found; /* the walk's own list: one root */
	bool broken;       /* some file can't be read to its end */
	progress *p;
} survey;

void survey_free(survey *s);
/* All rows of the index, in every order that matching needs. */
int survey_compare(survey *s, nb_error *e);
/* The row of a file that is there, not claimed yet; NULL: it is new. */
db_file *survey_row(survey *s, const source_file *file);
/* The order in which files are taken in; of pointers to them. */
int survey_order(const void *a, const void *b);
