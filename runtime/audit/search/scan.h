/* SPDX-License-Identifier: Apache-2.0 */
/* scan - the search that needs no index: read everything, look closely only at lines that can matter. */
#pragma once

#include "progress.h"
#include "query.h"

/* All records of the sources that can belong to an answer; each file is read from its `from` on. A file that can't be
 * read does not end the search: *ret_unread counts those, and *e tells of the last one, which is no failure. */
int scan_find(const query *q, const source_list *sources, found *f, progress *p, size_t *ret_unread, nb_error *e);
/* The missing records of boxes that are partly in. */
int scan_complete(const query *q, const source_list *sources, found *f, progress *p, size_t *ret_unread, nb_error *e);
/* One run of lines, from whatever place: add those that meet the criterion `only`, or, NULL, that can belong to an
 * answer. */
int scan_run(const query *q, const criterion *only, slice run, uint32_t file, uint64_t offset, found *f, nb_error *e);
/* The next line of a run that contains the needle, without its newline; false when there is none. */
bool scan_next(slice *run, const char *needle, slice *ret_line);
