/* SPDX-License-Identifier: Apache-2.0 */
/* sharing - one index's part of an answer, put together by two threads where it is long. */
#pragma once

#include "index.h"

typedef struct shared_question {
	const query *q;
	const index_plan *plan; /* boxes_complete needs none */
	bool all_records;       /* of the boxes; else as many as it takes to choose them and to tell their lives */
} shared_question;

/* A box that is in with one record only may meet the other criteria, or have ended, in one that is not in yet. */
bool box_incomplete(const found *f, const box *b, const query *q, bool all_records);
/* Look for all records of the incomplete boxes, in every index; -1: in *ret_failed one can't be read. */
int boxes_complete(index_root *roots, size_t count, const shared_question *a, source_list *sources, found *f,
		   size_t *ret_failed, nb_error *e);
/* All places of the plan read, and the boxes completed, by two threads. False: not begun; it is short, or there is no
 * processor or no memory for that. */
bool sharing_answer(index_root *i, const shared_question *a, source_list *sources, found *f, int *ret_result,
		    nb_error *e);
