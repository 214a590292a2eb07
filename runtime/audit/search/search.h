/* SPDX-License-Identifier: Apache-2.0 */
/* search - one question answered: by the index where there is one, by reading where there is none. */
#pragma once

#include "options.h"
#include "progress.h"

/* Everything that meets the query's criteria, chosen and loaded. all_records: of the boxes, not only what the table
 * needs. *ret_n boxes. Errors: NB_HOST, also when a file could not be read: what was found is in *f nevertheless, and
 * *ret_n is set, as it may be all there is. */
int search_run(const options *o, const query *q, source_list *sources, bool all_records, found *f, size_t *ret_n,
	       nb_error *e);
