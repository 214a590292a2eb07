/* SPDX-License-Identifier: Apache-2.0 */
#include "search.h"

#include "index.h"
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
	index_root *roots;
	size_t root_count;
	progress p;
	size_t unread;
	nb_error last; /* about the last file that could not be read */
} searching;

static void close_roots(searching *s)
{
	for (size_t i = 0; i < s->root_count; i++)
		index_close(&s->roots[i]);
	free(s->roots);
}

/* Each root through its index, if it has one; the others' files are listed for scanning. */
static int open_roots(searching *s, nb_error *e)
{
	index_options io = { .path = s->o->index };
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

/* The indexes first: one that no criterion helps with has all its files read after all. */
static int find_all(searching *s, nb_error *e)
{
	for (size_t i = 0; i < s->root_count;) {
		bool driven;
		if (index_find(&s->roots[i], s->q, s->sources, s->f, &driven, e) != 0)
			return -1;
		if (driven) {
			i++;
			continue;
		}
		size_t root = s->roots[i].root;
		index_close(&s->roots[i]);
		s->roots[i] = s->roots[--s->root_count];
		for (size_t n = 0; n < s->sources->count; n++)
			if (s->sources->files[n].root == root)
				s->sources->files[n].from = SOURCE_INDEXED; /* only the tail: the whole comes below */
		if (source_expand(s->sources, root, e) != 0)
			return -1;
	}
	int result = scan_find(s->q, s->sources, s->f, &s->p, &s->unread, &s->last);
	if (result != 0)
		*e = s->last;
	s->f->complete = s->f->complete && s->root_count == 0;
	return result;
}

/* A box that is in with one record only may meet the other criteria, or have ended, in one that is not in yet. */
static bool is_incomplete(const box *b, const query *q, bool all_records)
{
	if (b->id[0] == '\0' || (b->has_start && b->start > q->until) || (b->has_end && b->end < q->since))
		return false;
	return all_records || !b->has_start || !b->has_end || b->met != query_all(q);
}

static bool any_to_scan(const source_list *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		if (sources->files[i].from != SOURCE_INDEXED)
			return true;
	return false;
}

static int complete_all(searching *s, bool all_records, nb_error *e)
{
	bool any = false;
	size_t ignored = 0;
	if (s->f->complete)
		return 0;
	for (size_t b = 0; b < s->f->box_count; b++) {
		char id[BOX_ID_MAX]; /* the array may move */
		if (!is_incomplete(&s->f->boxes[b], s->q, all_records))
			continue;
		any = true;
		memcpy(id, s->f->boxes[b].id, sizeof(id));
		for (size_t i = 0; i < s->root_count; i++)
			if (index_box(&s->roots[i], s->q, id, s->sources, s->f, e) != 0)
				return -1;
	}
	if (!any || !any_to_scan(s->sources))
		return 0;
	if (scan_complete(s->q, s->sources, s->f, &s->p, &ignored, &s->last) == 0)
		return 0;
	*e = s->last;
	return -1;
}

int search_run(const options *o, const query *q, source_list *sources, bool all_records, found *f, size_t *ret_n,
	       nb_error *e)
{
	searching s = { .o = o, .q = q, .sources = sources, .f = f };
	s.p.on = !o->no_progress && isatty(STDERR_FILENO);
	int result = open_roots(&s, e);
	if (result == 0)
		result = find_all(&s, e);
	if (result == 0)
		result = complete_all(&s, all_records, e);
	close_roots(&s);
	if (result != 0)
		return -1;
	*ret_n = found_choose(f, q, query_all(q));
	if (found_load(f, sources, e) != 0)
		return -1;
	if (s.unread == 0)
		return 0;
	*e = s.last;
	return nb_fail_add(e, "; the answer lacks what %zu such file%s may hold", s.unread, s.unread == 1 ? "" : "s");
}
