/* SPDX-License-Identifier: Apache-2.0 */
#include "search.h"

#include "index.h"
#include "sharing.h"
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct searching {
	const options *o;
	const query *q;
	source_list *sources;
	found *f;
	bool all_records;
	bool completed; /* what the indexes know of the boxes is in */
	index_root *roots;
	size_t root_count;
	bool later; /* the indexes are used as they are; whether the logs are still so is asked meanwhile */
	progress p;
	size_t unread;
	nb_error last; /* about the last file that could not be read */
} searching;

static void count_unread(searching *s, const index_root *i)
{
	s->unread += i->unread;
	if (i->unread > 0)
		s->last = i->last;
}

static void close_roots(searching *s)
{
	for (size_t i = 0; i < s->root_count; i++) {
		count_unread(s, &s->roots[i]);
		index_close(&s->roots[i]);
	}
	free(s->roots);
	s->roots = NULL;
	s->root_count = 0;
}

/* Each root through its index, if it has one; the others' files are listed for scanning. */
static int open_roots(searching *s, nb_error *e)
{
	index_options io = { .path = s->o->index, .later = s->later };
	s->roots = calloc(s->sources->root_count + 1, sizeof(*s->roots));
	if (s->roots == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot search");
	for (size_t i = 0; i < s->sources->root_count; i++) {
		bool open = false;
		if (!s->o->no_index && index_open(s->sources, i, &io, &s->p, &s->roots[s->root_count], &open, e) != 0)
			return -1;
		if (open)
			s->root_count++;
		else if (source_expand(s->sources, i, e) != 0)
			return -1;
	}
	return 0;
}

/* Do without an index: all its files are read after all. */
static int leave_index(searching *s, size_t i, nb_error *e)
{
	size_t root = s->roots[i].root;
	index_discard(&s->roots[i]);
	index_close(&s->roots[i]);
	s->roots[i] = s->roots[--s->root_count];
	for (size_t n = 0; n < s->sources->count; n++)
		if (s->sources->files[n].root == root)
			s->sources->files[n].from = SOURCE_INDEXED; /* only the tail: the whole comes */
	return source_expand(s->sources, root, e);
}

static bool any_to_scan(const source_list *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		if (sources->files[i].from != SOURCE_INDEXED)
			return true;
	return false;
}

/* One index's part of the answer. */
static int find_in(searching *s, index_root *i, bool *ret_driven, nb_error *e)
{
	index_plan plan;
	int result = index_plan_of(i, s->q, &plan, e);
	const shared_question a = { s->q, &plan, s->all_records };
	*ret_driven = plan.driver != NULL;
	/* Where there are more sources, who completes the boxes must look into these, too. */
	bool alone = s->root_count == 1 && !any_to_scan(s->sources);
	if (result == 0 && plan.driver != NULL) {
		if (alone && sharing_answer(i, &a, s->sources, s->f, &result, e))
			s->completed = result == 0;
		else
			result = index_read(i, s->q, &plan, 0, plan.places.count, s->sources, s->f, e);
	}
	places_free(&plan.places);
	return result;
}

/* The indexes first: one that no criterion helps with, or that can't be read, is left. */
static int find_all(searching *s, nb_error *e)
{
	for (size_t i = 0; i < s->root_count;) {
		bool driven;
		nb_error why;
		if (find_in(s, &s->roots[i], &driven, &why) == 0 && driven)
			i++;
		else if (leave_index(s, i, e) != 0)
			return -1;
	}
	int result = scan_find(s->q, s->sources, s->f, &s->p, &s->unread, &s->last);
	if (result != 0)
		*e = s->last;
	s->f->complete = s->f->complete && s->root_count == 0;
	return result;
}

/* An index turned out to be damaged when part of the answer was in: everything is read, which completes all. */
static int without_index(searching *s, size_t i, nb_error *e)
{
	size_t ignored = 0;
	int result = leave_index(s, i, e);
	while (result == 0 && s->root_count > 0)
		result = leave_index(s, 0, e);
	if (result == 0 && scan_complete(s->q, s->sources, s->f, &s->p, &ignored, &s->last) != 0) {
		*e = s->last;
		result = -1;
	}
	return result;
}

/* Whoever asks for a box by its id has all records of it from the index. */
static bool asked_by_id(const query *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->criteria[i].key != NULL && q->criteria[i].key->fields[0] == FIELD_BOX)
			return q->count == 1;
	return false;
}

static int complete_all(searching *s, nb_error *e)
{
	bool any = false;
	size_t ignored = 0, failed = 0;
	nb_error why;
	const shared_question a = { .q = s->q, .all_records = s->all_records };
	if (s->f->complete || s->completed)
		return 0;
	for (size_t b = 0; b < s->f->box_count && !any; b++)
		any = box_incomplete(s->f, &s->f->boxes[b], s->q, s->all_records);
	if (any && !asked_by_id(s->q) &&
	    boxes_complete(s->roots, s->root_count, &a, s->sources, s->f, &failed, &why) != 0)
		return without_index(s, failed, e);
	if (!any || !any_to_scan(s->sources))
		return 0;
	if (scan_complete(s->q, s->sources, s->f, &s->p, &ignored, &s->last) == 0)
		return 0;
	*e = s->last;
	return -1;
}

static int answer(searching *s, nb_error *e)
{
	s->completed = false;
	if (open_roots(s, e) != 0 || find_all(s, e) != 0)
		return -1;
	return complete_all(s, e);
}

/* The indexes are taken at their word first. Such an answer counts only if it lacks nothing, and the logs have not
 * changed since the indexes were written. */
static bool counts(searching *s, int result)
{
	bool taken = false, same = true;
	for (size_t i = 0; i < s->root_count; i++) {
		taken = taken || s->roots[i].watching;
		same = index_unchanged(&s->roots[i]) && same;
	}
	close_roots(s);
	return !taken || (result == 0 && same && s->unread == 0);
}

/* All anew, with the indexes brought up to date. */
static int answer_again(searching *s, nb_error *e)
{
	found_free(s->f);
	source_forget(s->sources);
	s->unread = 0;
	s->later = false;
	int result = answer(s, e);
	close_roots(s);
	return result;
}

int search_run(const options *o, const query *q, source_list *sources, bool all_records, found *f, size_t *ret_n,
	       nb_error *e)
{
	searching s = { .o = o, .q = q, .sources = sources, .f = f, .all_records = all_records, .later = true };
	s.p.on = !o->no_progress && isatty(STDERR_FILENO);
	int result = answer(&s, e);
	if (!counts(&s, result))
		result = answer_again(&s, e);
	if (result != 0)
		return -1;
	*ret_n = found_choose(f, q, query_all(q));
	if (found_load(f, sources, &s.unread, &s.last, e) != 0)
		return -1;
	if (s.unread == 0)
		return 0;
	*e = s.last;
	return nb_fail_add(e, "; the answer lacks what %zu such file%s may hold", s.unread, s.unread == 1 ? "" : "s");
}
